"""The figures every clock feeds, so that one dashboard and one alert serve all time rules; and how far their calendars go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from closedloop_chassis.clocks.due import Due
from closedloop_chassis.telemetry import metrics

# Counting a million clocks takes a while: measuring may take at most this share of the time.
SHARE = 0.01

RUNNING = """
SELECT kind, count(*) AS open,
       greatest(extract(epoch FROM %(now)s - min(due_at)), 0)::float8 AS oldest_overdue_seconds
  FROM clock WHERE state = 'open' GROUP BY kind
"""


def answered(rows: Sequence[dict[str, Any]]) -> None:
    """Rows of subjects whose clocks were answered: kind, whether one was still met, seconds since the first started."""
    for row in rows:
        if row["met"]:
            metrics.CLOCKS_MET.labels(row["kind"]).inc()
        metrics.CLOCK_TIME_TO_MEET.labels(row["kind"]).observe(row["seconds"])


def fired(clocks: Mapping[str, Sequence[Due]]) -> None:
    """Those that fired together, by kind."""
    for kind, due in clocks.items():
        metrics.CLOCKS_BREACHED.labels(kind).inc(sum(clock.phase == "due" for clock in due))


def known(ahead: Mapping[str, timedelta]) -> None:
    """Calendars with an end, and how far away it is."""
    metrics.CALENDAR_KNOWN.clear()
    for calendar, left in ahead.items():
        metrics.CALENDAR_KNOWN.labels(calendar).set(left.total_seconds())


def running(rows: Sequence[dict[str, Any]]) -> None:
    """Rows of one kind each: how many run, and how long ago the most overdue fell due."""
    metrics.CLOCKS_OPEN.clear()
    metrics.CLOCK_OLDEST_OVERDUE.clear()
    for row in rows:
        metrics.CLOCKS_OPEN.labels(row["kind"]).set(row["open"])
        metrics.CLOCK_OLDEST_OVERDUE.labels(row["kind"]).set(row["oldest_overdue_seconds"])
