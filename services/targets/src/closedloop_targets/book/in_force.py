"""Targets that hold now. Of several plans that reach a holder, those of the highest unit count: they follow each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from closedloop_chassis.work import Work
from closedloop_targets import company
from closedloop_targets.periods.rules import Grain, Period

# A table expression over %(holders)s (ids), %(kind)s, %(metrics)s (empty: all), %(since)s, %(until)s and %(tops)s. Amounts
# are in the books' money; cells are not, and are brought there by `in_books(…, book_rate)`.
REACHED = """
    SELECT * FROM (
        SELECT t.*, rank() OVER (PARTITION BY t.holder_id, t.metric
                                 ORDER BY array_position(%(tops)s::text[], t.plan_unit_id)) AS place
          FROM target_in_force t
         WHERE t.holder_id = ANY(%(holders)s) AND t.holder_kind = %(kind)s AND t.counts
           AND (cardinality(%(metrics)s::text[]) = 0 OR t.metric = ANY(%(metrics)s))
           AND t.start_date <= %(until)s AND t.end_date >= %(since)s) AS ranked
     WHERE place = 1
"""


def asked(target: str, key: str, since: str, until: str) -> str:
    """The SQL value of what a target asks for in a span of days, in the books' money: all of it where it lies within, else
    of a sum what its cells there come to, with the parameters %(grain)s and %(cut)s of `adds_up`."""
    return f"""
           CASE WHEN {target}.start_date >= {since} AND {target}.end_date <= {until} THEN {target}.minor
                ELSE (SELECT coalesce(sum(in_books(c.minor, {target}.book_rate)
                                          * (least(c.end_date, {until}) - greatest(c.start_date, {since}) + 1)
                                          / (c.end_date - c.start_date + 1)), 0)
                        FROM cell c
                       WHERE c.target_id = {target}.{key} AND c.grain = %(grain)s
                         AND CASE WHEN %(cut)s THEN c.start_date <= {until} AND c.end_date >= {since}
                                  ELSE c.start_date >= {since} AND c.end_date <= {until} END) END"""


def adds_up(period: Period) -> tuple[Grain, bool]:
    """Of what a target is spread over, the grain that adds up to the period, and whether its cells are cut at the edges.

    Days and spans of their own are made of the weeks that every target has, each by how many of its days lie inside."""
    if period.grain in ("fortnight", "week"):
        return period.grain, False
    if period.grain not in ("day", "custom"):
        return "month", False
    months = period.start.day == 1 and (period.end + timedelta(days=1)).day == 1
    return ("month", False) if months else ("week", True)


def places(work: Work) -> dict[str, Any]:
    return {"tops": company.tops(work.org)}
