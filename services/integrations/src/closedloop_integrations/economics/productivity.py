"""Where a seller stands among peers: the colour of a cell of the heat map (S76)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, timedelta

from closedloop_chassis import errors
from closedloop_chassis.work import Work


def places(amounts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], float]:
    """By (person, column): the share of the others in that column who brought less; who is alone stands highest."""
    columns: dict[str, list[int]] = defaultdict(list)
    for (_, column), amount in amounts.items():
        columns[column].append(amount)
    for peers in columns.values():
        peers.sort()
    return {
        (person, column): bisect_left(columns[column], amount) / (len(columns[column]) - 1)
        if columns[column][1:]
        else 1.0
        for (person, column), amount in amounts.items()
    }


def workdays(work: Work, unit_id: str, begin: date, end: date) -> int:
    """0 where the calendar does not know the year: then nobody can say what a day brought."""
    days = (begin + timedelta(days=ahead) for ahead in range((end - begin).days + 1))
    with suppress(errors.FailedPrecondition):
        return sum(work.calendars.is_workday(day, work.home.rules.calendar, unit_id) for day in days)
    return 0
