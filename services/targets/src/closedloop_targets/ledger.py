"""What was done, read out of the ledger for many holders at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_targets import company

HolderKind = Literal["unit", "person"]

SUMS = """
WITH asked AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(metrics)s::text[], %(products)s::text[],
        %(lines)s::text[],
                         %(segments)s::text[], %(starts)s::date[], %(ends)s::date[], %(means)s::bool[])
         WITH ORDINALITY AS a (kind, holder_id, metric, product_id, product_line, segment, start_date, end_date,
             mean, position)
), fact AS (
    SELECT asked.position, asked.mean, actual.base_minor, actual.weight
      FROM asked
      JOIN actual ON actual.metric = asked.metric AND actual.owner_id = asked.holder_id
                 AND actual.date BETWEEN asked.start_date AND asked.end_date
                 AND asked.product_id IN ('', actual.product_id) AND asked.product_line IN ('', actual.product_line)
                 AND asked.segment IN ('', actual.segment)
     WHERE asked.kind = 'person'
    UNION ALL
    SELECT asked.position, asked.mean, actual.base_minor, actual.weight
      FROM asked
      JOIN unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below) ON tree.above = asked.holder_id
      JOIN actual ON actual.metric = asked.metric AND actual.unit_id = tree.below
                 AND actual.date BETWEEN asked.start_date AND asked.end_date
                 AND asked.product_id IN ('', actual.product_id) AND asked.product_line IN ('', actual.product_line)
                 AND asked.segment IN ('', actual.segment)
     WHERE asked.kind = 'unit'
)
SELECT position, CASE WHEN mean THEN round(sum(base_minor * weight) / nullif(sum(weight), 0))
                      ELSE sum(base_minor) END::bigint AS minor
  FROM fact GROUP BY position, mean
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One sum or weighted mean: a holder (a unit with everything below it), a metric, a part of the business, a span of
    days."""

    kind: HolderKind
    holder_id: str
    metric: str
    start: date
    end: date
    product_id: str = ""
    product_line: str = ""
    segment: str = ""
    mean: bool = False


async def sums(reader: Reader | Transaction, asked: Sequence[Asked], org: OrgSnapshot) -> list[int | None]:
    """In the order asked, in minor units of the company's currency or millionths; None where there is no row at all."""
    if not asked:
        return []
    units = dict.fromkeys(one.holder_id for one in asked if one.kind == "unit")
    params = {
        "kinds": [one.kind for one in asked],
        "holders": [one.holder_id for one in asked],
        "metrics": [one.metric for one in asked],
        "products": [one.product_id for one in asked],
        "lines": [one.product_line for one in asked],
        "segments": [one.segment for one in asked],
        "starts": [one.start for one in asked],
        "ends": [one.end for one in asked],
        "means": [one.mean for one in asked],
        **company.closure(org, units),
    }
    found = {row["position"]: row["minor"] for row in await reader.all(SUMS, params)}
    return [found.get(position + 1) for position in range(len(asked))]
