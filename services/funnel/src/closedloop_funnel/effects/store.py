"""Stays where an action is due: with it, without it, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.pipelines import scope


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one unit in one period (0: this, 1: the one before): ended stays, those with the action claimed and verified,
    those that went on, and those of both."""

    key: str
    period: int
    due: int
    done: int
    verified: int
    advanced: int
    advanced_done: int


COUNTED = f"""
WITH homes AS (
    SELECT * FROM unnest(%(keys)s::text[], %(pipelines)s::text[], %(stages)s::text[])
                  AS h (key, home_pipeline, home_stage)
), stays AS (
    SELECT h.key, o.id, n.at AS left_at, n.direction IN ('forward', 'won') AS advanced, (n.at < %(from)s)::int AS period
      FROM homes h JOIN stage_move m ON m.pipeline_id = h.home_pipeline AND m.to_stage_key = h.home_stage
           JOIN stage_move n ON n.opportunity_id = m.opportunity_id AND n.sequence = m.sequence + 1
           JOIN opportunity o ON o.id = m.opportunity_id LEFT JOIN account a ON a.id = o.account_id
     WHERE {scope.SQL} AND n.at >= %(before)s AND n.at < %(to)s AND NOT n.imported
)
SELECT s.key, s.period, count(*) AS due, count(*) FILTER (WHERE d.done) AS done,
       count(*) FILTER (WHERE d.verified) AS verified, count(*) FILTER (WHERE s.advanced) AS advanced,
       count(*) FILTER (WHERE s.advanced AND d.done) AS advanced_done
  FROM stays s
       CROSS JOIN LATERAL (
           SELECT count(*) > 0 AS done, coalesce(bool_or((claim -> 'verified')::boolean), false) AS verified
             FROM activity v, jsonb_array_elements(v.actions) AS claim
            WHERE v.opportunity_id = s.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false'
              AND v.at <= s.left_at AND claim ->> 'actionUnitKey' = s.key) d
 GROUP BY s.key, s.period
"""


async def counted(db: Reader | Transaction, params: dict[str, Any]) -> Sequence[Counted]:
    return await db.all(COUNTED, params, into=Counted)
