"""What makes a log count: substance, times that can be, the parts a company insists on (S42, S50)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.activities.record import Activity
from closedloop_funnel.places import Place, metres

KindWord = Literal["visit", "call", "meeting", "demo", "message", "mail", "other"]
PartWord = Literal["content", "attitude_after", "next_step"]


class ActivityRules(Rules):
    """`effective_needs`: parts a log must have to count as a contact with substance; `complete_needs`: those of a
    whole daily log (S42). By default no part is required: a thin log is kept and marked (S45)."""

    rulebook: ClassVar[str] = "funnel.activities"

    effective_needs: tuple[PartWord, ...] = ("content",)
    effective_characters: int = Field(default=10, ge=0, le=10_000)
    complete_needs: tuple[PartWord, ...] = ("content", "attitude_after", "next_step")
    content_required: tuple[KindWord, ...] = ()
    next_step_required: tuple[KindWord, ...] = ()
    # How far the clock of a device may be ahead of ours.
    tolerance_minutes: float = Field(default=5, ge=0, le=1440)
    # How long after it was written a log may be corrected.
    amend_days: int = Field(default=7, ge=0, le=366)
    # Of so many days logs are listed at once.
    list_days: int = Field(default=62, ge=1, le=366)
    # How long after its end a day may be closed.
    daily_log_days: int = Field(default=3, ge=0, le=366)


class VisitRules(Rules):
    """What a visit brings back (S50): photos by subject, and items to tick. A photo contradicts the visit when it was
    taken more than `photo_minutes` before or after it, or more than `photo_meters` away from where the device checked
    in; `metadata_required`: also when it says neither."""

    rulebook: ClassVar[str] = "funnel.visits"

    photos: tuple[Literal["storefront", "display", "conversation"], ...] = ("storefront", "display", "conversation")
    checklist: tuple[str, ...] = ()
    photo_minutes: float = Field(default=60, ge=0, le=10_080)
    photo_meters: float = Field(default=500, ge=0, le=100_000)
    metadata_required: bool = False


def effective(rules: ActivityRules, log: Activity) -> bool:
    """A contact with substance that is not found false (S34, S51)."""
    if log.state != "done" or log.authenticity == "confirmed_false":
        return False
    return all(getattr(log, part) for part in rules.effective_needs) and (
        "content" not in rules.effective_needs or len(log.content.strip()) >= rules.effective_characters
    )


def complete(rules: ActivityRules, log: Activity) -> bool:
    """Says what was said, how the attitude moved and what comes next (S42)."""
    return all(getattr(log, part) for part in rules.complete_needs)


def check_times(rules: ActivityRules, started: datetime, ended: datetime | None, now: datetime) -> None:
    """Raises InvalidArgument TIME_IN_FUTURE or TIMES_REVERSED."""
    latest = now + timedelta(minutes=rules.tolerance_minutes)
    for name, moment in (("start_time", started), ("end_time", ended)):
        if moment and moment > latest:
            raise errors.InvalidArgument(
                "TIME_IN_FUTURE", f"{name} has not come yet; plan it instead", {name: "in the future"}
            )
    if ended and ended < started:
        raise errors.InvalidArgument("TIMES_REVERSED", "it ended before it began", {"end_time": "before start_time"})


def check_amendable(rules: ActivityRules, log: Activity, now: datetime) -> None:
    """Raises FailedPrecondition AMEND_WINDOW_CLOSED; a plan may be changed for as long as it is one."""
    if log.logged_at is not None and now - log.logged_at > timedelta(days=rules.amend_days):
        raise errors.FailedPrecondition("AMEND_WINDOW_CLOSED", f"a log may be corrected for {rules.amend_days} days")


def check_parts(rules: ActivityRules, log: Activity) -> None:
    """Raises InvalidArgument CONTENT_REQUIRED or NEXT_STEP_REQUIRED where the company insists."""
    if log.kind in rules.content_required and not log.content.strip():
        raise errors.InvalidArgument(
            "CONTENT_REQUIRED", f"say what was said at this {log.kind}", {"content": "is empty"}
        )
    if log.kind in rules.next_step_required and not log.next_step.strip():
        raise errors.InvalidArgument("NEXT_STEP_REQUIRED", "say what comes next", {"next_step": "is empty"})


def inconsistency(
    rules: VisitRules,
    taken: datetime | None,
    shot: Place | None,
    within: tuple[datetime, datetime],
    place: Place | None,
) -> str:
    """Why a photo cannot be of this visit, in words; empty when nothing speaks against it."""
    if taken is None and shot is None and rules.metadata_required:
        return "the photo says neither when nor where it was taken"
    begins, ends = within
    slack = timedelta(minutes=rules.photo_minutes)
    if taken is not None and not begins - slack <= taken <= ends + slack:
        return f"taken at {taken.isoformat()}, the visit was from {begins.isoformat()} to {ends.isoformat()}"
    if shot is not None and place is not None and metres(shot, place) > rules.photo_meters:
        return f"taken {metres(shot, place):,.0f} m from where the visit checked in"
    return ""


def missing(rules: VisitRules, photos: Collection[str], ticked: Collection[str]) -> list[str]:
    """Photos and items a visit still lacks."""
    lacking = [f"photo.{subject}" for subject in rules.photos if subject not in photos]
    return lacking + [item for item in rules.checklist if item not in ticked]


def risen(log: Activity) -> int:
    """1 if the customer's attitude rose, -1 if it fell, 0 if it stayed or nobody says (S42)."""
    order = ("hostile", "cool", "neutral", "warm", "committed")
    if not log.attitude_before or not log.attitude_after:
        return 0
    change = order.index(log.attitude_after) - order.index(log.attitude_before)
    return (change > 0) - (change < 0)
