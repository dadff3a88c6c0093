"""The clock of silence: started when a record is made, begun again by every effective touch, due after days without
one (S27)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.work import Work
from closedloop_customers.wake_ups.rules import WakeUpRules

KIND = "customers.silence"

# (record id, owner, unit)
Held = tuple[str, str, str]


def watch(work: Work, record_type: str, held: Sequence[Held], setting: ClockSetting | None = None) -> None:
    """Queues one statement; a clock that runs already goes on."""
    started = [(id_, owner_id, unit_id, {"type": record_type}) for id_, owner_id, unit_id in held]
    work.clocks.start_many(KIND, setting or work.rules(WakeUpRules).silence, started)


def touched(work: Work, record_type: str, held: Sequence[Held], last: datetime | None = None) -> None:
    """Meets the clocks and begins them again: counted from `last` where all were touched at one moment, else from now.

    A touch longer ago than the span gives a whole span from now: an import of the past wakes nobody."""
    if not held:
        return
    work.clocks.meet(KIND, *(id_ for id_, _, _ in held))
    setting = work.rules(WakeUpRules).silence
    elapsed = work.now - last if last is not None else timedelta()
    span = setting.budget(timedelta(days=1))
    if setting.calendar == "plain" and timedelta() < elapsed < span:
        setting = setting.shortened(span - elapsed)
    watch(work, record_type, held, setting)


def forget(work: Work, *ids: str) -> None:
    """Nobody is reminded of these any more."""
    work.clocks.cancel(KIND, *ids)
