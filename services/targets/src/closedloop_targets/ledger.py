"""What was done, read out of the ledger for many holders at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import aggregation, company

HolderKind = Literal["unit", "person"]

# Of metrics of one manner: `{columns}` of the rows that count, `{value}` of those of one question.
FIGURES = """
WITH asked AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(metrics)s::text[], %(products)s::text[],
        %(lines)s::text[], %(segments)s::text[], %(starts)s::date[], %(ends)s::date[])
         WITH ORDINALITY AS a (kind, holder_id, metric, product_id, product_line, segment, start_date, end_date, position)
), fact AS (
    SELECT asked.position, {columns}
      FROM asked
      JOIN actual ON actual.metric = asked.metric AND actual.owner_id = asked.holder_id
                 AND actual.date BETWEEN asked.start_date AND asked.end_date
                 AND asked.product_id IN ('', actual.product_id) AND asked.product_line IN ('', actual.product_line)
                 AND asked.segment IN ('', actual.segment)
     WHERE asked.kind = 'person'
    UNION ALL
    SELECT asked.position, {columns}
      FROM asked
      JOIN unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below) ON tree.above = asked.holder_id
      JOIN actual ON actual.metric = asked.metric AND actual.unit_id = tree.below
                 AND actual.date BETWEEN asked.start_date AND asked.end_date
                 AND asked.product_id IN ('', actual.product_id) AND asked.product_line IN ('', actual.product_line)
                 AND asked.segment IN ('', actual.segment)
     WHERE asked.kind = 'unit'
)
SELECT position, {value} AS figure FROM fact GROUP BY position
"""
SUMMED = "actual.base_minor"
WEIGHED = "actual.base_minor, actual.weight, actual.date, actual.id, actual.reverses_id, actual.reversed_by_id"
# What a mean rests on: visits, leads, days.
WEIGHT = f"sum(fact.weight) FILTER (WHERE {aggregation.LIVE.format(row='fact')})"


@dataclass(frozen=True, slots=True)
class Asked:
    """One figure: a holder (a unit with everything below it), a metric, a part of the business, a span of days."""

    kind: HolderKind
    holder_id: str
    metric: str
    start: date
    end: date
    product_id: str = ""
    product_line: str = ""
    segment: str = ""


async def figures(work: Work, reader: Reader | Transaction, asked: Sequence[Asked]) -> list[int | None]:
    """In the order asked, in minor units of the company's currency or millionths, as each metric comes together; None
    where there is no row at all. One round trip for each manner in which the metrics asked for do."""
    return await _ask(work, reader, asked, None)


async def weights(work: Work, reader: Reader | Transaction, asked: Sequence[Asked]) -> list[Decimal | None]:
    """What the means asked for rest on, in the order asked."""
    return await _ask(work, reader, asked, WEIGHT)


async def _ask(work: Work, reader: Reader | Transaction, asked: Sequence[Asked], value: str | None) -> list[Any]:
    found: list[Any] = [None] * len(asked)
    manners = {metric: aggregation.of(work, metric) for metric in {one.metric for one in asked}}
    for manner in sorted({one.aggregation for one in manners.values()}):
        group = [(at, one) for at, one in enumerate(asked) if manners[one.metric].aggregation == manner]
        units = dict.fromkeys(one.holder_id for _, one in group if one.kind == "unit")
        params = {
            "kinds": [one.kind for _, one in group],
            "holders": [one.holder_id for _, one in group],
            "metrics": [one.metric for _, one in group],
            "products": [one.product_id for _, one in group],
            "lines": [one.product_line for _, one in group],
            "segments": [one.segment for _, one in group],
            "starts": [one.start for _, one in group],
            "ends": [one.end for _, one in group],
            **company.closure(work.org, units),
        }
        columns = SUMMED if manner == "sum" and value is None else WEIGHED
        sql = FIGURES.format(columns=columns, value=value or aggregation.value(manner, "fact"))
        for row in await reader.all(sql, params):
            found[group[row["position"] - 1][0]] = row["figure"]
    return found
