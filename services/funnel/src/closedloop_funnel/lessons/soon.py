"""Asks for lessons to be offered, right after what asks for them is done."""

from __future__ import annotations

from closedloop_chassis.work import Work

LESSONS = "funnel.lessons"
BREAKER = "breaker:"


def for_deal(work: Work, opportunity_id: str, *, opened: bool) -> None:
    work.timers.set(LESSONS, opportunity_id, work.now, {"opened": opened})


def for_seller(work: Work, person_id: str) -> None:
    """Whose breaker has opened."""
    work.timers.set(LESSONS, f"{BREAKER}{person_id}", work.now)
