"""What the funnel does by itself every day: one timer for the company, set anew each time it rings."""

from __future__ import annotations

from datetime import time, timedelta

from closedloop_chassis.work import Work

COMPANY = "company"


def next_morning(work: Work, kind: str, hour: time) -> None:
    """Sets the timer of the kind for the next time the clocks of the company show `hour`; one that is set stays."""
    day = work.home.today()
    moment = work.home.moment(day, hour)
    if moment <= work.now:
        moment = work.home.moment(day + timedelta(days=1), hour)
    work.timers.set(kind, COMPANY, moment)
