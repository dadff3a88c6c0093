"""Cases of metrics, summed for whoever is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.performance.cases import CASES

GroupWord = Literal["owner_id", "unit_id", "account_id"]


@dataclass(frozen=True, slots=True)
class Summed:
    """`part`: place of the stretch of time among those asked for."""

    key: str
    part: int
    group_key: str
    cases: int
    total: float


@dataclass(frozen=True, slots=True)
class Owned:
    """One metric's cases of one person, oldest first."""

    key: str
    owner_id: str
    values: list[float]


CLOSED = "SELECT owner_id, unit_id, account_id, closed_at AS at, {0}::float8 AS value FROM opportunity WHERE state {1}"
COUNTED: Mapping[str, str] = {
    **{str(key): cases for key, cases in CASES.items()},
    "win_rate": CLOSED.format("(state = 'won')::int", "<> 'open'"),
    "cycle_days": CLOSED.format(
        "(close_date - coalesce(engage_date, created_at::date))", "= 'won' AND close_date IS NOT NULL"
    ),
    "won_amount": CLOSED.format("coalesce(reporting_minor, 0)", "= 'won'"),
}
SUMMED = """
SELECT '{key}' AS key, (w.place - 1)::int AS part, c.{group}::text AS group_key, count(*) AS cases, sum(c.value) AS total
  FROM ({cases}) c JOIN unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS w (begins, ends, place)
                     ON c.at >= w.begins AND c.at < w.ends
 WHERE c.at >= %(from)s AND c.at < %(to)s AND c.{group}::text = ANY(%(groups)s)
 GROUP BY 1, 2, 3
"""
OWNED = """
SELECT '{key}' AS key, c.owner_id, array_agg(c.value ORDER BY c.at, c.value) AS values FROM ({cases}) c
 WHERE c.at >= %(from)s AND c.at < %(to)s AND c.unit_id = ANY(%(units)s) AND c.value IS NOT NULL
 GROUP BY 1, 2
"""


async def summed(
    db: Reader | Transaction, keys: Sequence[str], group: GroupWord, params: dict[str, Any]
) -> list[Summed]:
    sql = "\nUNION ALL\n".join(SUMMED.format(key=key, group=group, cases=COUNTED[key]) for key in keys)
    return await db.all(sql, params, into=Summed)


async def owned(db: Reader | Transaction, keys: Sequence[str], params: dict[str, Any]) -> list[Owned]:
    sql = "\nUNION ALL\n".join(OWNED.format(key=key, cases=COUNTED[key]) for key in keys)
    return await db.all(f"SELECT * FROM ({sql}) o ORDER BY key, owner_id", params, into=Owned)
