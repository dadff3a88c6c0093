"""Figures of the funnel, each board in one query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from closedloop_chassis.data.transaction import Reader
from closedloop_funnel.pipelines import scope

# What rows a board has, by grouping of the contract.
GROUPS = {
    "": "''",
    "none": "''",
    "unit": "o.unit_id",
    "owner": "o.owner_id",
    "product": "unnest(CASE WHEN o.product_ids = '{}' THEN ARRAY[''] ELSE o.product_ids END)",
    "customer_type": "coalesce(nullif(o.customer_type, ''), a.customer_type, '')",
    "account_grade": "coalesce(a.grade, '')",
}


@dataclass(frozen=True, slots=True)
class Funnel:
    """Rows with `group_key`: moves by stage and period (0: this, 1: the one before), stock by stage, ended deals."""

    flows: list[dict[str, Any]]
    stock: list[dict[str, Any]]
    ends: list[dict[str, Any]]


# A visit is a deal's stay in a stage: the move that brought it there, and the next one. In the cohort view a visit
# belongs to the period in which it began, in the flow view its end to the period in which it ended. Only moves of the two
# periods are touched, from both ends of a visit, and only open deals: what a board costs does not grow with history.
FUNNEL = """
WITH stays AS (
    SELECT m.opportunity_id, m.to_stage_key AS stage_key, m.at AS entered_at, n.at AS left_at, n.direction, n.dwell_days
      FROM stage_move m
           LEFT JOIN stage_move n ON n.opportunity_id = m.opportunity_id AND n.sequence = m.sequence + 1
     WHERE m.at >= %(before)s AND m.at < %(to)s
    UNION ALL
    SELECT m.opportunity_id, m.to_stage_key, m.at, n.at, n.direction, n.dwell_days
      FROM stage_move n JOIN stage_move m ON m.opportunity_id = n.opportunity_id AND m.sequence = n.sequence - 1
     WHERE n.at >= %(before)s AND n.at < %(to)s AND m.at < %(before)s
), visits AS (
    SELECT {group} AS group_key, s.stage_key, s.entered_at, s.left_at, s.direction, s.dwell_days
      FROM stays s JOIN opportunity o ON o.id = s.opportunity_id LEFT JOIN account a ON a.id = o.account_id
     WHERE {scope}
), flows AS (
    SELECT v.group_key, v.stage_key, p.period,
           count(*) FILTER (WHERE c.entered) AS entered,
           count(*) FILTER (WHERE c.ended AND v.direction IN ('forward', 'won')) AS advanced,
           count(*) FILTER (WHERE c.ended AND v.direction = 'lost') AS lost,
           avg(v.dwell_days) FILTER (WHERE c.ended) AS mean_days,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY v.dwell_days) FILTER (WHERE c.ended) AS median_days,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY v.dwell_days) FILTER (WHERE c.ended) AS p90_days
      FROM visits v
           CROSS JOIN (VALUES (0, %(from)s::timestamptz, %(to)s::timestamptz),
                              (1, %(before)s::timestamptz, %(from)s::timestamptz)) AS p (period, begins, ends)
           CROSS JOIN LATERAL (
               SELECT v.entered_at >= p.begins AND v.entered_at < p.ends AS entered,
                      CASE WHEN %(cohort)s
                           THEN v.entered_at >= p.begins AND v.entered_at < p.ends AND v.left_at IS NOT NULL
                           ELSE v.left_at >= p.begins AND v.left_at < p.ends END AS ended) c
     GROUP BY v.group_key, v.stage_key, p.period
), standing AS (
    SELECT {group} AS group_key, o.stage_key, o.reporting_minor, o.dwell_light
      FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
     WHERE o.state = 'open' AND {scope}
), stock AS (
    SELECT group_key, stage_key, count(*) AS open, coalesce(sum(reporting_minor), 0) AS amount_minor,
           count(*) FILTER (WHERE dwell_light IN ('yellow', 'red')) AS overdue
      FROM standing GROUP BY group_key, stage_key
), closed AS (
    SELECT {group} AS group_key, o.id, o.state, o.reporting_minor, o.close_date, o.engage_date
      FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
     WHERE o.state <> 'open' AND o.close_date BETWEEN %(first_day)s AND %(last_day)s AND {scope}
), ends AS (
    SELECT group_key, count(*) FILTER (WHERE state = 'won') AS won, count(*) FILTER (WHERE state = 'lost') AS lost,
           coalesce(sum(reporting_minor) FILTER (WHERE state = 'won'), 0) AS won_minor,
           avg(coalesce((SELECT sum(dwell_days) FROM stage_move WHERE opportunity_id = c.id), close_date - engage_date))
             FILTER (WHERE state = 'won') AS cycle_days
      FROM closed c GROUP BY group_key
)
SELECT (SELECT coalesce(jsonb_agg(f), '[]') FROM flows f) AS flows,
       (SELECT coalesce(jsonb_agg(s), '[]') FROM stock s) AS stock,
       (SELECT coalesce(jsonb_agg(e), '[]') FROM ends e) AS ends
"""

# A deal stands once as its owner sees it and once as the managers do: of the overrides made within the asked-for unit
# the highest counts, as its leader reads the board (U2).
FORECAST = """
WITH deals AS (
    SELECT o.category, o.reporting_minor, o.probability, o.push_count, {group} AS group_key,
           coalesce(o.close_date, o.expected_close_date) AS day,
           coalesce(nullif(f.category, ''), o.category) AS managed_category,
           coalesce(f.reporting_minor, o.reporting_minor) AS managed_minor,
           coalesce(f.expected_close_date, o.close_date, o.expected_close_date) AS managed_day
      FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
           LEFT JOIN LATERAL (
               SELECT category, reporting_minor, expected_close_date FROM forecast_override
                WHERE opportunity_id = o.id AND lifted_at IS NULL AND o.override IS NOT NULL AND o.state = 'open'
                  AND (%(in_units)s::text[] IS NULL OR unit_id = ANY(%(in_units)s))
                ORDER BY level DESC, at DESC LIMIT 1) f ON true
     WHERE {scope} AND o.state <> 'lost'
), seen AS (
    SELECT group_key, category, 1 AS own, 0 AS managed, reporting_minor AS own_minor, NULL AS managed_minor,
           reporting_minor * probability AS weighted, push_count
      FROM deals WHERE day BETWEEN %(first_day)s AND %(last_day)s
    UNION ALL
    SELECT group_key, managed_category, 0, 1, NULL, managed_minor, NULL, 0
      FROM deals WHERE managed_day BETWEEN %(first_day)s AND %(last_day)s
)
SELECT group_key, category, sum(own) AS deals, coalesce(sum(own_minor), 0)::bigint AS amount_minor,
       coalesce(round(sum(weighted)), 0)::bigint AS weighted_minor,
       sum(managed) AS managed, coalesce(sum(managed_minor), 0)::bigint AS managed_minor,
       count(*) FILTER (WHERE push_count > 0) AS pushed
  FROM seen GROUP BY group_key, category ORDER BY group_key, category
"""


@cache
def _query(template: str, grouping: str) -> str:
    return template.format(group=GROUPS[grouping], scope=scope.SQL)


async def funnel(db: Reader, grouping: str, params: dict[str, Any]) -> Funnel:
    found = await db.one(_query(FUNNEL, grouping), params, into=Funnel)
    assert found is not None
    return found


async def forecast(db: Reader, grouping: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    return await db.all(_query(FORECAST, grouping), params)
