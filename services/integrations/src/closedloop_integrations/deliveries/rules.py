"""When a message may leave, where to, and what becomes of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

Outcome = Literal["accepted", "deferred", "refused", "unknown", "expired"]

# The life of a message goes one way; a report of an earlier station changes nothing.
RANK = {
    "queued": 0,
    "held": 0,
    "sending": 1,
    "uncertain": 2,
    "sent": 3,
    "delivered": 4,
    "opened": 5,
    "clicked": 6,
    "replied": 7,
}
_BETWEEN_DIGITS = re.compile(r"[\s()./\-]+")
_NUMBER = re.compile(r"\+?[0-9]{5,20}")
FINAL = frozenset({"bounced", "failed", "suppressed", "cancelled", "complained"})
HANDED_OVER = frozenset({"sent", "delivered", "opened", "clicked", "replied", "uncertain"})


class QuietHours(Part):
    """No message from `start` to `end`, in the recipient's zone; over midnight where start is later than end."""

    start: time = time(22, 0)
    end: time = time(7, 30)


class Frequency(Part):
    """At most so many messages to one address within so many days."""

    messages: int = Field(default=2, ge=1, le=1000)
    days: int = Field(default=7, ge=1, le=366)


class SmsTemplate(Part):
    """A template that the carriers have approved, and its variable in which our text stands."""

    code: str = Field(min_length=1, max_length=64)
    variable: str = Field(default="content", min_length=1, max_length=64)


class DeliveryRules(Rules):
    """Quiet hours and frequency by purpose ("internal", "service", "marketing", "survey"), retries, opt-out."""

    rulebook: ClassVar[str] = "integrations.deliveries"

    # For colleagues, in order; the first that is configured and has an address is used.
    colleague_channels: tuple[str, ...] = ("wecom", "dingtalk", "mail")
    quiet: dict[str, QuietHours] = Field(
        default={
            "internal": QuietHours(start=time(22, 0), end=time(7, 30)),
            "service": QuietHours(start=time(21, 0), end=time(8, 0)),
            "marketing": QuietHours(start=time(20, 0), end=time(9, 0)),
            "survey": QuietHours(start=time(20, 0), end=time(9, 0)),
        }
    )
    frequency: dict[str, Frequency] = Field(
        default={"marketing": Frequency(messages=2, days=7), "survey": Frequency(messages=1, days=30)}
    )
    # Purposes that an opt-out stops.
    opt_out_binds: tuple[str, ...] = ("marketing", "survey")
    # An answer that says no more than this is an opt-out.
    opt_out_words: tuple[str, ...] = ("退订", "不再接收", "请勿再发", "TD", "unsubscribe", "opt out")
    # Purposes whose mails are counted: opened, links followed.
    counted: tuple[str, ...] = ("marketing",)
    # By purpose; no short message leaves for another one.
    sms_templates: dict[str, SmsTemplate] = Field(default={})
    attempts: int = Field(default=6, ge=1, le=50)
    first_delay_seconds: float = Field(default=30, gt=0)
    longest_delay_seconds: float = Field(default=3600, gt=0)
    # A hand-over unanswered for longer is uncertain.
    lease_seconds: float = Field(default=180, ge=10, le=3600)
    # Of numbers that are written without one.
    country_prefix: str = Field(default="+86", pattern=r"^\+[0-9]{1,4}$")
    # Of a mobile number, behind its country's.
    mobile_digits: int = Field(default=11, ge=5, le=15)


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """What somebody said about being written to; empty channel or topic: every one."""

    channel: str
    topic: str
    allowed: bool
    at: datetime


def permitted(entries: Iterable[ConsentEntry], channel: str, topic: str) -> bool:
    """The most specific applicable word counts, of equally specific ones the last; nobody who said nothing is barred."""
    applicable = [e for e in entries if e.channel in ("", channel) and e.topic in ("", topic)]
    last = max(applicable, key=lambda e: (bool(e.channel) + bool(e.topic), e.at), default=None)
    return last is None or last.allowed


def quiet_until(now: datetime, zone: str, hours: QuietHours) -> datetime | None:
    """When the quiet hours end in which `now` lies; None outside of them. Aware."""
    local = now.astimezone(ZoneInfo(zone))
    clock = local.time()
    over_midnight = hours.start > hours.end
    quiet = (clock >= hours.start or clock < hours.end) if over_midnight else hours.start <= clock < hours.end
    if not quiet:
        return None
    day = local.date() + timedelta(days=over_midnight and clock >= hours.start)
    return datetime.combine(day, hours.end, ZoneInfo(zone)).astimezone(now.tzinfo)


def quiet_from(moment: datetime, zone: str, hours: QuietHours) -> datetime | None:
    """When the next quiet hours begin after a moment that lies in none; None where there are none. Aware."""
    if hours.start == hours.end:
        return None
    local = moment.astimezone(ZoneInfo(zone))
    day = local.date() + timedelta(days=local.time() >= hours.start)
    return datetime.combine(day, hours.start, ZoneInfo(zone)).astimezone(moment.tzinfo)


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether and when a message may go: queued, held or suppressed; the reason is the rule's word. Who has not left by
    `quiet_at` is looked at again."""

    state: str
    due_at: datetime
    reason: str = ""
    rule: str = ""
    explanation: str = ""
    quiet_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a colleague wants to be told; what is empty, the rulebook says."""

    channels: tuple[str, ...] = ()
    quiet: QuietHours | None = None
    time_zone: str = ""
    digest_times: tuple[time, ...] = ()
    muted_topics: frozenset[str] = frozenset()


NO_WISHES = Wishes()


def next_digest(now: datetime, zone: str, times: Iterable[time]) -> datetime:
    """The first of the times of day that is not over, in the zone; `times` is not empty. Aware."""
    local = now.astimezone(ZoneInfo(zone))
    today = [datetime.combine(local.date(), at, ZoneInfo(zone)) for at in sorted(times)]
    tomorrow = datetime.combine(local.date() + timedelta(days=1), min(times), ZoneInfo(zone))
    return next((at for at in today if at >= local), tomorrow).astimezone(now.tzinfo)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that decides on the passage of one message. `recent`: messages of the purpose to the address lately."""

    purpose: str
    channel: str
    topic: str
    zone: str
    urgent: bool
    not_before: datetime | None
    expires_at: datetime | None
    consents: tuple[ConsentEntry, ...]
    channel_closed: bool
    contact_gone: bool
    recent: int
    wishes: Wishes = NO_WISHES


def passage(c: Circumstances, rules: DeliveryRules, now: datetime) -> Passage:
    bound = c.purpose in rules.opt_out_binds
    if c.contact_gone:
        return Passage("suppressed", now, "contact_gone", "contact", "the contact has left or was erased")
    if bound and (c.channel_closed or not permitted(c.consents, c.channel, c.topic)):
        what = f"{c.purpose} messages by {c.channel}" + (f" about {c.topic}" if c.topic else "")
        return Passage("suppressed", now, "opted_out", "opt_out_binds", f"the recipient does not want {what}")
    internal = c.purpose == "internal"
    urgent = c.urgent and internal
    if internal and not urgent and c.topic and c.topic in c.wishes.muted_topics:
        return Passage("suppressed", now, "muted", "preference", f"the colleague does not want {c.topic}")
    limit = rules.frequency.get(c.purpose)
    if limit is not None and c.recent >= limit.messages:
        sentence = f"{c.recent} of at most {limit.messages} {c.purpose} messages within {limit.days} days"
        return Passage("suppressed", now, "frequency", f"frequency.{c.purpose}", sentence)
    due, reason, rule, sentence = now, "", "", ""
    if c.not_before is not None and c.not_before > now:
        due, reason, sentence = c.not_before, "not_before", f"not before {c.not_before.isoformat()}"
    hours = c.wishes.quiet or rules.quiet.get(c.purpose)
    if internal and not urgent and c.wishes.digest_times:
        due, reason, rule = next_digest(due, c.zone, c.wishes.digest_times), "digest", "preference"
        sentence = f"gathered with others until {due.isoformat()}"
    elif hours is not None and not urgent and (end := quiet_until(due, c.zone, hours)) is not None:
        due, reason, rule = end, "quiet_hours", f"quiet.{c.purpose}"
        sentence = f"{hours.start:%H:%M} to {hours.end:%H:%M} in {c.zone} are quiet"
    if c.expires_at is not None and due >= c.expires_at:
        return Passage("suppressed", now, "expired", rule, f"worthless before it may leave at {due.isoformat()}")
    bounded = hours is not None and not urgent and reason != "digest"
    quiet_at = quiet_from(due, c.zone, hours) if bounded and hours else None
    return Passage("held" if due > now or reason == "digest" else "queued", due, reason, rule, sentence, quiet_at)


def again(c: Circumstances, rules: DeliveryRules, now: datetime, due: datetime, reason: str) -> Passage:
    """The passage of a message that had one before and leaves, for `reason`, at `due` or later: wishes and quiet hours may be
    others by now. How often the recipient is written to was counted with its request, and it is gathered with nothing."""
    ungathered = replace(c.wishes, digest_times=())
    found = passage(replace(c, recent=0, not_before=due, wishes=ungathered), rules, now)
    if found.state == "suppressed" or found.reason == "quiet_hours":
        return found
    return replace(found, state="queued", reason=reason, explanation="")


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a message after a hand-over; `due_at` when it is tried again."""

    state: str
    reason: str
    due_at: datetime | None = None


def after_attempt(
    outcome: Outcome, attempts: int, bounced: bool, retry_after: float, rules: DeliveryRules, now: datetime
) -> Next:
    """`attempts` counts the one that has just been made."""
    if outcome == "accepted":
        return Next("sent", "")
    if outcome == "unknown":
        return Next("uncertain", "no_answer")
    if outcome == "expired":
        return Next("suppressed", "expired")
    if outcome == "refused":
        return Next("bounced" if bounced else "failed", "address_unknown" if bounced else "refused")
    if attempts >= rules.attempts:
        return Next("failed", "gave_up")
    delay = min(rules.first_delay_seconds * 2 ** (attempts - 1), rules.longest_delay_seconds)
    return Next("queued", "retry", now + timedelta(seconds=max(delay, retry_after)))


def advances(before: str, after: str) -> bool:
    """Whether a report of station `after` tells something new of a message at station `before`."""
    if before in FINAL or before == after:
        return False
    if after in FINAL:
        return before in HANDED_OVER or before == "sending"
    return RANK[after] > RANK[before]


# What a gateway may report of a message; the rest of its life is ours to tell.
REPORTABLE = frozenset({"delivered", "opened", "clicked", "replied", "bounced", "failed", "complained"})


def is_opt_out(text: str, rules: DeliveryRules) -> bool:
    """Whether an answer says little more than that no messages are wanted."""
    words = "|".join(re.escape(word) for word in rules.opt_out_words)
    return bool(re.match(rf"\W*(?:{words})(?:\W.{{0,20}})?\Z", text.strip(), re.I | re.S))


def number_of(text: str, rules: DeliveryRules) -> str:
    """A telephone number in one spelling, E.164 as far as it can be told, so that one telephone is one recipient whoever wrote
    it down; what is no number stays as it is."""
    digits = _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", text.strip()))
    if not _NUMBER.fullmatch(digits):
        return text.strip()
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if digits.startswith("+"):
        return digits
    # 86 138…: the prefix without its sign, before a whole number.
    country = rules.country_prefix[1:]
    if digits.startswith(country) and len(digits) == len(country) + rules.mobile_digits:
        return f"+{digits}"
    return rules.country_prefix + digits.removeprefix("0")


def address_of(channel: str, email: str, mobile: str, handles: Mapping[str, str]) -> str:
    """Where a colleague is reached on a channel; empty where nowhere."""
    if channel == "mail":
        return email
    if channel == "sms":
        return mobile
    return handles.get(channel, "") or (mobile if channel == "dingtalk" else "")
