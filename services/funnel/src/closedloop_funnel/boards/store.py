"""Figures of the funnel, each board in one query."""

from __future__ import annotations

from collections.abc import Iterable
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


# Dwell times of a group are put in order by themselves: a sort of numbers, not of rows with their keys.
DWELT = """
    LATERAL (SELECT avg(stay) AS mean_days, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY stay) AS quantiles
               FROM unnest(stays) AS stay) dwelt
"""
# A visit is a deal's stay in a stage: the move that brought it there, and the next one, which knows how long it was. In the
# flow view an end belongs to the period in which it happened, so that moves of the two periods say everything. They are read
# twice where the index alone answers, kept where their deals had to be looked up.
FLOW = f"""
WITH moves AS {{keep}} (
    SELECT {{group}} AS group_key, m.from_stage_key, m.to_stage_key, m.direction, m.dwell_days,
           (m.at < %(from)s)::int AS period
      FROM {{moves}} WHERE m.at >= %(before)s AND m.at < %(to)s AND {{narrowed}}
), entered AS (
    SELECT group_key, to_stage_key AS stage_key, period, count(*) AS entered FROM moves GROUP BY 1, 2, 3
), ended AS (
    SELECT group_key, from_stage_key AS stage_key, period,
           count(*) FILTER (WHERE direction IN ('forward', 'won')) AS advanced,
           count(*) FILTER (WHERE direction = 'lost') AS lost, array_agg(dwell_days) AS stays
      FROM moves WHERE from_stage_key <> '' GROUP BY 1, 2, 3
), flows AS (
    SELECT group_key, stage_key, period, coalesce(entered, 0) AS entered, coalesce(advanced, 0) AS advanced,
           coalesce(lost, 0) AS lost, mean_days, quantiles[1] AS median_days, quantiles[2] AS p90_days
      FROM entered FULL JOIN ended USING (group_key, stage_key, period), {DWELT}
"""
# In the cohort view a visit belongs to the period in which it began, whenever it ended: not before it began, so that what was
# earlier is not looked through for its end.
COHORT = f"""
WITH visits AS (
    SELECT {{group}} AS group_key, m.to_stage_key AS stage_key, (m.at < %(from)s)::int AS period, n.direction, n.dwell_days
      FROM {{moves}} LEFT JOIN stage_move n ON n.opportunity_id = m.opportunity_id
                      AND n.sequence = m.sequence + 1 AND n.at >= %(before)s
     WHERE m.at >= %(before)s AND m.at < %(to)s AND {{narrowed}}
), counted AS (
    SELECT group_key, stage_key, period, count(*) AS entered,
           count(*) FILTER (WHERE direction IN ('forward', 'won')) AS advanced,
           count(*) FILTER (WHERE direction = 'lost') AS lost,
           array_agg(dwell_days) FILTER (WHERE direction IS NOT NULL) AS stays
      FROM visits GROUP BY 1, 2, 3
), flows AS (
    SELECT group_key, stage_key, period, entered, advanced, lost, mean_days, quantiles[1] AS median_days,
           quantiles[2] AS p90_days
      FROM counted, {DWELT}
"""
# Only moves of the periods, open deals and deals that closed in it are touched: what a board costs does not grow with
# history.
FUNNEL = """
{flows}), standing AS (
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


# A move knows its pipeline; for what is not narrowed any further no deal is looked up. Else only deals are that changed since:
# none moves without being changed, so that those that rest cost nothing, however many there are.
MOVES = "stage_move m JOIN opportunity o ON o.id = m.opportunity_id LEFT JOIN account a ON a.id = o.account_id"
CHANGED = "o.updated_at >= %(before)s"
OF_PIPELINE = "m.pipeline_id = %(in_pipeline)s"


@cache
def _query(template: str, grouping: str, asked: tuple[str, ...]) -> str:
    return template.format(group=GROUPS[grouping], scope=_all(asked))


@cache
def _funnel(grouping: str, cohort: bool, asked: tuple[str, ...]) -> str:
    group = GROUPS[grouping]
    if group == GROUPS[""] and set(asked) <= {scope.NARROWING["in_pipeline"][1]}:
        moves, narrowed, keep = "stage_move m", OF_PIPELINE, "NOT MATERIALIZED"
    else:
        moves, narrowed, keep = MOVES, _all((CHANGED, *asked)), "MATERIALIZED"
    flows = (COHORT if cohort else FLOW).format(group=group, moves=moves, narrowed=narrowed, keep=keep)
    return FUNNEL.format(flows=flows, group=group, scope=_all(asked))


def _all(asked: Iterable[str]) -> str:
    return " AND ".join(asked) or "true"


async def funnel(db: Reader, grouping: str, cohort: bool, params: dict[str, Any]) -> Funnel:
    """Of one pipeline."""
    found = await db.one(_funnel(grouping, cohort, scope.asked(params)), params, into=Funnel)
    assert found is not None
    return found


async def forecast(db: Reader, grouping: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    return await db.all(_query(FORECAST, grouping, scope.asked(params)), params)
