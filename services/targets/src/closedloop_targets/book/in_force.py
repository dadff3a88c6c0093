"""Targets that hold now. Of several plans that reach a holder, those of the highest unit count: they follow each other."""

from __future__ import annotations

from typing import Any

from closedloop_chassis.work import Work
from closedloop_targets import company
from closedloop_targets.metrics.rules import MetricRules

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


def places(work: Work) -> dict[str, Any]:
    return {"tops": company.tops(work.org)}


def manners(work: Work) -> dict[str, Any]:
    """Which metrics are means and where less is better, for SQL that adds up actuals."""
    catalogue = work.rules(MetricRules).metrics
    return {
        "means": [metric.code for metric in catalogue if metric.aggregation != "sum"],
        "lower": [metric.code for metric in catalogue if metric.lower_is_better],
    }
