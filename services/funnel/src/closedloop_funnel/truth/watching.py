"""A seller's new logs are looked at together, a while after the first of them."""

from __future__ import annotations

from closedloop_chassis.work import Work
from closedloop_funnel.truth.rules import TruthRules

TRUTH = "funnel.truth"


def look_soon(work: Work, owner_id: str) -> None:
    """Queues one look per seller; one that is set stays."""
    setting = work.rules(TruthRules).check_after
    work.timers.set(TRUTH, owner_id, work.calendars.due(setting, work.now))
