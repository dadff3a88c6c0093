"""The four metrics by week, each out of the records themselves; and who won what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_funnel.performance.cases import CASES
from closedloop_funnel.performance.rules import MetricWord
from closedloop_funnel.pipelines import scope


@dataclass(frozen=True, slots=True)
class Week:
    """One metric of one group in one week; `value` is a share, or a mean of days."""

    key: str
    group_key: str
    week: date
    cases: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One row of `process_metric`."""

    person_id: str
    week: date
    key: str
    unit_id: str
    value: float
    sample_size: int
    light: str
    weeks_beyond: int
    consequence: str
    measured_at: datetime


NARROWED = f"""{Scope.SQL} AND (%(owner)s = '' OR owner_id = %(owner)s)
 AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))"""
WEEK = "date_trunc('week', {0} AT TIME ZONE %(zone)s)::date"

WEEKLY = f"""
SELECT '{{key}}' AS key, {{group}} AS group_key, {WEEK.format("at")} AS week, count(*) AS cases, avg(value) AS value
  FROM ({{cases}}) c WHERE at >= %(from)s AND at < %(to)s AND {NARROWED} GROUP BY 1, 2, 3
"""

KEEP = rows.insert("process_metric", Kept) + " ON CONFLICT (person_id, week, key) DO NOTHING"
KNOWN = "SELECT person_id, key FROM process_metric WHERE week = %(week)s"

# Deals that left without a custom proposal, for the consultant.
MISSED = """
SELECT DISTINCT o.id, o.name, o.owner_id, o.unit_id, o.account_id
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
       JOIN unnest(%(pipelines)s::text[], %(stages)s::text[]) AS e (pipeline_id, stage_key)
         ON e.pipeline_id = m.pipeline_id AND e.stage_key = m.from_stage_key
 WHERE m.at >= %(from)s AND m.at < %(to)s AND m.direction = 'forward' AND NOT m.imported AND o.state = 'open'
   AND o.owner_id = ANY(%(owners)s)
   AND NOT EXISTS (SELECT FROM proposal p WHERE p.opportunity_id = o.id AND p.custom)
"""

WON = f"""
SELECT o.owner_id, count(*) FILTER (WHERE o.state = 'won') AS won, count(*) AS ended,
       coalesce(sum(o.reporting_minor) FILTER (WHERE o.state = 'won'), 0)::bigint AS won_minor,
       coalesce(sum(o.reporting_minor), 0)::bigint AS ended_minor
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
 WHERE {scope.SQL} AND o.state <> 'open' AND o.close_date >= %(first_day)s AND o.close_date <= %(last_day)s
 GROUP BY o.owner_id ORDER BY won_minor DESC, o.owner_id
"""

# Cells of seller x customer type x product mix, each with the other sellers' of the same type and mix.
WIN_RATES = f"""
WITH ended AS (
    SELECT o.owner_id, o.state = 'won' AS won,
           CASE WHEN %(by_type)s THEN coalesce(nullif(o.customer_type, ''), a.customer_type, '') ELSE '' END
               AS customer_type,
           CASE WHEN %(by_mix)s THEN ARRAY(SELECT DISTINCT p FROM unnest(o.product_ids) AS p ORDER BY p) ELSE '{{}}' END
               AS product_ids
      FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
     WHERE {scope.SQL} AND o.state <> 'open' AND o.close_date >= %(first_day)s AND o.close_date <= %(last_day)s
), cells AS (
    SELECT owner_id, customer_type, product_ids, count(*) FILTER (WHERE won) AS won, count(*) AS ended
      FROM ended GROUP BY 1, 2, 3
), told AS (
    SELECT *, array_to_string(product_ids, ',') AS mix,
           (sum(won) OVER cell - won)::bigint AS others_won, (sum(ended) OVER cell - ended)::bigint AS others_ended
      FROM cells WINDOW cell AS (PARTITION BY customer_type, product_ids)
)
SELECT * FROM told
 WHERE (%(owner)s = '' OR owner_id = %(owner)s)
   AND (owner_id, customer_type, mix) > (%(after_owner)s, %(after_type)s, %(after_mix)s)
 ORDER BY owner_id, customer_type, mix LIMIT %(limit)s
"""


async def weeks(
    db: Reader | Transaction, keys: Sequence[MetricWord], params: dict[str, Any], *, by_person: bool
) -> list[Week]:
    group = "owner_id" if by_person else "unit_id"
    sql = "\nUNION ALL\n".join(WEEKLY.format(key=key, group=group, cases=CASES[key]) for key in keys)
    return await db.all(f"SELECT * FROM ({sql}) w ORDER BY key, group_key, week", params, into=Week)
