"""What is measured beside the four thresholds: told to targets for the elastic track, without a colour (S17, S3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel.activities.rules import ActivityRules
from closedloop_funnel.performance.measuring import WEEK, Judged
from closedloop_funnel.performance.rules import MetricRule, PerformanceRules
from closedloop_funnel.performance.store import Week
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.truth.rules import TruthRules

# By metric its unit, as the catalogue of targets names them.
UNITS = {
    "visit_quality": "{score}",
    "authentic_contacts": "1",
    "follow_up_on_time": "1",
    "needs_diagnosed": "1",
    "new_opportunities": "1",
    "log_completeness": "1",
}
NOT_FALSE = "authenticity <> 'confirmed_false'"
LOCAL_DAY = "({0} AT TIME ZONE %(zone)s)::date"

# Rows as those of `cases`: a row a case, whose it is and its `value`.
# Parts that a visit's log has, of those that make a good one, 0..100; one found false has none.
VISIT_QUALITY = f"""
SELECT id::text AS id, owner_id, unit_id, account_id, at,
       CASE WHEN {NOT_FALSE} THEN 100 * (
               (%(parts)s::jsonb->>'effective')::float8 * effective::int
             + (%(parts)s::jsonb->>'attitude_after')::float8 * (attitude_after <> '')::int
             + (%(parts)s::jsonb->>'next_step')::float8 * (next_step <> '')::int
             + (%(parts)s::jsonb->>'customer_feedback')::float8 * (customer_feedback <> '')::int
           ) ELSE 0 END AS value
  FROM activity
 WHERE kind = 'visit' AND state = 'done' AND at >= %(from)s AND at < %(to)s
"""
AUTHENTIC = f"""
SELECT id::text AS id, owner_id, unit_id, account_id, at, ({NOT_FALSE})::int::float8 AS value
  FROM activity
 WHERE kind = ANY(%(contact_kinds)s) AND state = 'done' AND at >= %(from)s AND at < %(to)s
"""
# What was agreed for a day of the period whose end has come: done with the same deal, or else account, by the end of
# that day, whoever did it.
FOLLOWED = f"""
SELECT v.id::text AS id, v.owner_id, v.unit_id, v.account_id, v.at, EXISTS (
           SELECT FROM activity f
            WHERE f.state = 'done' AND f.{NOT_FALSE} AND f.at > v.at AND f.id <> v.id
              AND {LOCAL_DAY.format("f.at")} <= v.next_step_date
              AND CASE WHEN v.opportunity_id IS NOT NULL THEN f.opportunity_id = v.opportunity_id
                       ELSE f.account_id = v.account_id END)::int::float8 AS value
  FROM activity v
 WHERE v.state = 'done' AND v.next_step_date BETWEEN %(first_day)s AND %(last_day)s
   AND coalesce(v.opportunity_id, v.account_id) IS NOT NULL
"""
# Deals that left a stage in which needs are diagnosed: with the evidence of it or a report that was not found false.
DIAGNOSED = f"""
SELECT o.id || ':' || m.sequence AS id, o.owner_id, o.unit_id, o.account_id, m.at, (
           EXISTS (SELECT FROM stage_evidence e
                    WHERE e.opportunity_id = o.id AND e.kind = ANY(%(needs_kinds)s) AND e.at <= m.at)
           OR EXISTS (SELECT FROM activity v
                       WHERE v.opportunity_id = o.id AND v.state = 'done' AND v.{NOT_FALSE}
                         AND v.action_unit_keys && %(needs_units)s::text[] AND v.at <= m.at))::int::float8 AS value
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
       JOIN unnest(%(pipelines)s::text[], %(stages)s::text[]) AS s (pipeline_id, stage_key)
         ON s.pipeline_id = m.pipeline_id AND s.stage_key = m.from_stage_key
 WHERE m.at >= %(from)s AND m.at < %(to)s AND m.direction IN ('forward', 'won') AND NOT m.imported
"""
OPENED = """
SELECT id::text AS id, owner_id, unit_id, account_id, created_at AS at, 1::float8 AS value
  FROM opportunity
 WHERE NOT imported AND review_id IS NULL AND created_at >= %(from)s AND created_at < %(to)s
"""
CASES = {
    "visit_quality": VISIT_QUALITY,
    "authentic_contacts": AUTHENTIC,
    "follow_up_on_time": FOLLOWED,
    "needs_diagnosed": DIAGNOSED,
    "new_opportunities": OPENED,
}
# What is counted and not averaged.
COUNTED = ("new_opportunities",)
TOLD = "\nUNION ALL\n".join(
    f"SELECT '{key}' AS key, owner_id AS group_key, count(*) AS cases, {'sum' if key in COUNTED else 'avg'}(value) AS value"
    f" FROM ({cases}) c GROUP BY owner_id"
    for key, cases in CASES.items()
)
# Days that were closed, and whose done activities all say what a whole log says.
LOGGED = f"""
SELECT l.person_id, l.day
  FROM daily_log l
 WHERE l.day BETWEEN %(first_day)s AND %(last_day)s AND NOT EXISTS (
       SELECT FROM activity v
        WHERE v.owner_id = l.person_id AND v.state = 'done' AND v.at >= %(from)s AND v.at < %(to)s
          AND {LOCAL_DAY.format("v.at")} = l.day
          AND (%(content)s AND v.content = '' OR %(attitude_after)s AND v.attitude_after = ''
               OR %(next_step)s AND v.next_step = ''))
"""
AT_WORK = """
SELECT DISTINCT owner_id FROM activity WHERE state = 'done' AND at >= %(from)s AND at < %(to)s
"""


async def measure(db: Reader | Transaction, work: Work, monday: date, judged: Sequence[Judged]) -> list[Judged]:
    """By person, for the week from `monday`; whoever was at work has days to log and opened none, one, or more deals.

    Three round trips, whatever the number of people."""
    activities = work.rules(ActivityRules)
    params = {
        "from": work.home.moment(monday),
        "to": work.home.moment(monday + WEEK),
        "first_day": monday,
        "last_day": monday + WEEK - timedelta(days=1),
        "zone": str(work.home.zone()),
        **counted_by(work),
        **{part: part in activities.complete_needs for part in ("content", "attitude_after", "next_step")},
    }
    found = [Week(week=monday, **row) for row in await db.all(TOLD, params)]
    logged: dict[str, set[date]] = {}
    for row in await db.all(LOGGED, params):
        logged.setdefault(row["person_id"], set()).add(row["day"])
    busy = {row["owner_id"] for row in await db.all(AT_WORK, params)} | set(logged) | {one.group_key for one in judged}
    opened = {one.group_key for one in found if one.key == "new_opportunities"}
    found += [Week("new_opportunities", person_id, monday, 0, 0.0) for person_id in sorted(busy - opened)]
    for person_id in sorted(busy):
        person = work.org.person(person_id)
        days = _working_days(work, monday, person.unit_id if person else "")
        if days:
            whole = len(logged.get(person_id, set()) & days)
            found.append(Week("log_completeness", person_id, monday, len(days), whole / len(days)))
    return [
        Judged(one.key, _plain(one.key, UNITS[one.key]), one.group_key, monday, one.value, one.cases, "none", 0)
        for one in found
    ]


def counted_by(work: Work) -> dict[str, Any]:
    """What the rulebooks say of what counts."""
    rules = work.rules(PerformanceRules)
    stages = [
        (pipeline_id, stage.key)
        for pipeline_id, pipeline in work.rules(PipelineRules).pipelines.items()
        for stage in pipeline.stages
        if set(stage.action_unit_keys) & set(rules.needs_units)
    ]
    return {
        "parts": Jsonb(dict(rules.visit_parts)),
        "contact_kinds": list(work.rules(TruthRules).content_kinds),
        "needs_units": list(rules.needs_units),
        "needs_kinds": list(rules.needs_evidence),
        "pipelines": [pipeline for pipeline, _ in stages],
        "stages": [stage for _, stage in stages],
    }


def _working_days(work: Work, monday: date, unit_id: str) -> set[date]:
    days = (monday + timedelta(days=number) for number in range(7))
    return {day for day in days if work.calendars.is_workday(day, "business", unit_id)}


def _plain(key: str, unit: str) -> MetricRule:
    """Nothing is asked of it here: no colour, nothing that follows."""
    return MetricRule(name=key, unit=unit, benchmark=0, healthy=0, tolerable=0)
