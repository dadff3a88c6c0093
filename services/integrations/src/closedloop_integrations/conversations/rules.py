"""What of the platforms' messages is talk, and how it grows into conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

Kind = Literal["call", "meeting", "chat"]


class TalkEvent(Part):
    """Where an event of a platform says what was talked: dotted paths into its XML or JSON; empty: it does not say.

    `people` lead to a user id, to {"userid", "name"}, or to lists of them; the first is who began. Moments count in
    seconds or milliseconds since 1970."""

    kind: Kind
    id: str = Field(min_length=1, max_length=200)
    begin: str = Field(min_length=1, max_length=200)
    end: str = Field(default="", max_length=200)
    seconds: str = Field(default="", max_length=200)
    people: tuple[str, ...] = Field(min_length=1, max_length=20)
    subject: str = Field(default="", max_length=200)


class ConversationRules(Rules):
    """Limits of callbacks, and which events of which platform are calls or meetings (by platform, by event)."""

    rulebook: ClassVar[str] = "integrations.conversations"

    # A signed call of longer ago, or of a time to come, may be a recorded one.
    # What DingTalk's robots are written is good for longer: the platform's own limit.
    robot_seconds: int = Field(default=3600, ge=1, le=86_400)
    callback_seconds: int = Field(default=300, ge=1, le=86_400)
    longest_callback: int = Field(default=262_144, ge=1024, le=1_000_000)
    # How far another system's clock may be ahead of ours.
    skew_seconds: float = Field(default=300, ge=0, le=86_400)
    # A chat is read when nobody has written for so long; who writes later begins another conversation.
    quiet_minutes: float = Field(default=30, gt=0, le=1440)
    # A chat that is never quiet is read all the same.
    longest_hours: float = Field(default=8, gt=0, le=168)
    # How long after it was to end a meeting is asked for, and asked for again while it goes on.
    meeting_minutes: float = Field(default=5, gt=0, le=1440)
    events: dict[str, dict[str, TalkEvent]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """One message of a chat."""

    source: str
    id: str
    chat: str
    sent_at: datetime
    sender: str
    name: str
    recipients: tuple[str, ...]
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call or meeting that was held; `users` are (id, name), who began first."""

    source: str
    source_id: str
    kind: Kind
    started_at: datetime
    length: timedelta | None
    users: tuple[tuple[str, str], ...]
    subject: str


@dataclass(frozen=True, slots=True)
class Announced:
    """A meeting that a platform has named, and says more of when asked."""

    id: str


class Unreadable(ValueError):
    """It should be talk and is not; the text says why."""


def begun(talk: Written | Recorded | Announced, now: datetime, rules: ConversationRules) -> bool:
    """Whether it may have been by now."""
    if isinstance(talk, Announced):
        return True
    at = talk.sent_at if isinstance(talk, Written) else talk.started_at
    return at <= now + timedelta(seconds=rules.skew_seconds)


def recorded(source: str, event: Mapping[str, Any], shape: TalkEvent) -> Recorded:
    """The talk an event tells of. Raises Unreadable."""
    source_id, begin = text_at(event, shape.id), moment(at(event, shape.begin))
    users = tuple(dict.fromkeys(user for path in shape.people for user in _users(at(event, path))))
    if not source_id or begin is None or not users:
        raise Unreadable("an event without id, begin or people")
    end, seconds = moment(at(event, shape.end)), at(event, shape.seconds)
    length = end - begin if end else None
    if length is None and str(seconds or "").isdigit():
        length = timedelta(seconds=min(int(seconds), 10**6))
    if length is not None and length < timedelta(0):
        raise Unreadable("it ends before it begins")
    return Recorded(source, source_id, shape.kind, begin, length, users, text_at(event, shape.subject))


def at(event: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    found: Any = event if path else None
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def text_at(event: Mapping[str, Any], path: str) -> str:
    found = at(event, path)
    return clean(str(found)) if isinstance(found, (str, int)) else ""


def clean(text: str) -> str:
    """Without what no database takes: NUL, and half characters, which JSON can escape."""
    return text.replace("\0", "").encode("utf-8", "replace").decode().strip()


# From here on a number of seconds would be a day after the year 5000: it counts milliseconds.
MILLISECONDS = 10**11


def moment(said: Any) -> datetime | None:
    """Of seconds or milliseconds since 1970, as number or digits; None for anything else."""
    digits = str(said) if isinstance(said, (str, int)) and not isinstance(said, bool) else ""
    if not (digits.isascii() and digits.isdigit() and 0 < len(digits) <= 14):
        return None
    count = int(digits)
    return datetime.fromtimestamp(count / 1000 if count >= MILLISECONDS else count, UTC)


def _users(found: Any) -> Sequence[tuple[str, str]]:
    if isinstance(found, str):
        return [(clean(found), "")] if clean(found) else []
    if isinstance(found, Mapping):
        id = text_at(found, "userid") or text_at(found, "userId")
        return [(id, text_at(found, "name"))] if id else []
    if isinstance(found, Sequence):
        return [user for each in found for user in _users(each)]
    return []
