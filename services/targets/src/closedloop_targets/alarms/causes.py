"""What is known of holders that missed: history, pipeline, allocation, tracking, feedback (S8). Set-based."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from closedloop_chassis.work import Work
from closedloop_targets import aggregation, company, ledger
from closedloop_targets.alarms import rules
from closedloop_targets.alarms.raising import Finding
from closedloop_targets.alarms.rules import CauseRules, Signs
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar

# Open deals that close in the period, of people or of units with what is below them.
PIPELINE = """
SELECT asked.holder_id, coalesce(sum(d.minor), 0)::bigint AS minor
  FROM unnest(%(kinds)s::text[], %(holders)s::text[]) AS asked (kind, holder_id)
  JOIN pipeline_deal d ON d.open AND d.close_date BETWEEN %(start)s AND %(end)s
   AND CASE asked.kind WHEN 'person' THEN d.owner_id = asked.holder_id
            ELSE d.unit_id IN (SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
                                WHERE above = asked.holder_id) END
 GROUP BY 1
"""
GOAL = aggregation.asked("%(metric)s::text", "t.minor", "t.end_date - t.start_date + 1", "t.end_date")
# How far people's targets lie off the mean of their kind: of everybody below a unit, of a person's siblings.
SPREAD = f"""
WITH goal AS (
    SELECT t.holder_id, t.unit_id, t.parent_id, {GOAL} AS minor
      FROM target_in_force t
     WHERE t.holder_kind = 'person' AND t.counts AND t.metric = %(metric)s
       AND t.start_date <= %(end)s AND t.end_date >= %(start)s
     GROUP BY 1, 2, 3
), among AS (
    SELECT asked.holder_id AS asked, goal.minor
      FROM unnest(%(kinds)s::text[], %(holders)s::text[]) AS asked (kind, holder_id)
      JOIN goal ON asked.kind = 'unit' AND goal.unit_id IN (
                SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
                 WHERE above = asked.holder_id)
                OR asked.kind = 'person' AND goal.parent_id IN (
                SELECT parent_id FROM goal mine WHERE mine.holder_id = asked.holder_id)
)
SELECT asked AS holder_id, count(*)::int AS heads,
       (avg(abs(minor - mean)) / nullif(max(mean), 0))::float8 AS spread
  FROM (SELECT asked, minor, avg(minor) OVER (PARTITION BY asked) AS mean FROM among) AS m
 GROUP BY 1
"""
# Process metrics that were measured of late, a month's when it is over; how long after its day a result was known.
TRACKED = """
SELECT asked.holder_id, count(DISTINCT a.metric) FILTER (WHERE a.metric = ANY(%(process)s::text[])
            AND coalesce(a.observed_at, a.recorded_at) >= %(since)s)::int AS tracked,
       (percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM coalesce(a.observed_at, a.recorded_at)
            - a.date::timestamp AT TIME ZONE 'UTC')) FILTER (WHERE a.metric = %(metric)s AND a.date >= %(since)s)
            / 3600)::float8 AS feedback
  FROM unnest(%(kinds)s::text[], %(holders)s::text[]) AS asked (kind, holder_id)
  JOIN actual a ON a.date BETWEEN %(since)s::date - interval '1 month' AND %(day)s
   AND a.metric = ANY(%(process)s::text[] || %(metric)s::text)
   AND a.reverses_id IS NULL
   AND CASE asked.kind WHEN 'person' THEN a.owner_id = asked.holder_id
            ELSE a.unit_id IN (SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
                                WHERE above = asked.holder_id) END
 GROUP BY 1
"""
# Actions of a holder that were due in the period so far; a unit's with everything below it.
ACTIONS = """
SELECT asked.holder_id, count(*)::int AS planned, count(*) FILTER (WHERE k.state IN ('claimed', 'verified'))::int AS done
  FROM unnest(%(kinds)s::text[], %(holders)s::text[]) AS asked (kind, holder_id)
  JOIN key_action k ON k.date BETWEEN %(start)s AND %(day)s AND k.state <> 'cancelled'
   AND CASE asked.kind WHEN 'person' THEN k.owner_id = asked.holder_id
            ELSE k.unit_id IN (SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
                                WHERE above = asked.holder_id) END
 GROUP BY 1
"""
ANSWERED = """
SELECT holder_id, (avg(extract(epoch FROM coalesce(first_answered_at, %(now)s) - raised_at)) / 3600)::float8 AS hours
  FROM alarm WHERE holder_id = ANY(%(holders)s) AND metric = %(metric)s AND end_date BETWEEN %(start)s AND %(day)s
 GROUP BY 1
"""


async def ranked(
    work: Work, findings: Sequence[Finding], day: date, targets: Mapping[str, int]
) -> dict[str, list[dict[str, Any]]]:
    """Ranked causes as they are kept, by cause key. Six round trips a metric and period, whatever their number.

    `targets` are whole targets by cause key: a finding refers to what was asked for by now."""
    found: dict[str, list[dict[str, Any]]] = {}
    allowed = work.rules(CauseRules)
    for metric, start, end in sorted({(one.metric, one.start_date, one.end_date) for one in findings}):
        group = [one for one in findings if (one.metric, one.start_date, one.end_date) == (metric, start, end)]
        signs = await _signs(work, group, day, targets)
        for one in group:
            order = rules.rank(signs[one.holder_kind, one.holder_id], allowed)
            found[one.cause_key] = [
                {
                    "cause": cause.cause,
                    "share": cause.share,
                    "explanation": cause.explanation,
                    "numbers": [list(number) for number in cause.numbers],
                }
                for cause in order
            ]
    return found


async def _signs(
    work: Work, group: Sequence[Finding], day: date, targets: Mapping[str, int]
) -> dict[tuple[str, str], Signs]:
    one = group[0]
    catalogue, manner = work.rules(MetricRules), aggregation.of(work, one.metric)
    process = [metric.code for metric in catalogue.metrics if metric.track == "process" and metric.fed]
    params = {
        "kinds": [finding.holder_kind for finding in group],
        "holders": [finding.holder_id for finding in group],
        "metric": one.metric,
        "process": process,
        "start": one.start_date,
        "end": one.end_date,
        "day": day,
        "since": day - timedelta(days=work.rules(CauseRules).tracked_days),
        "now": work.now,
        **aggregation.manners(work),
        **company.closure(work.org, dict.fromkeys(f.holder_id for f in group if f.holder_kind == "unit")),
    }
    period = periods.parse(one.period, work.rules(FiscalCalendar))
    before = periods.year_before(period, work.rules(FiscalCalendar))
    asked = [
        ledger.Asked(f.holder_kind, f.holder_id, one.metric, span.start, span.end)  # type: ignore[arg-type]
        for f in group
        for span in (before, period)
    ]
    sums = iter(await ledger.figures(work, work.tx, asked))
    pipeline = {}
    if one.metric == catalogue.main:
        pipeline = {row["holder_id"]: row["minor"] for row in await work.tx.all(PIPELINE, params)}
    spread = {row["holder_id"]: row for row in await work.tx.all(SPREAD, params)}
    tracked = {row["holder_id"]: row for row in await work.tx.all(TRACKED, params)}
    acted = {row["holder_id"]: row for row in await work.tx.all(ACTIONS, params)}
    answered = {row["holder_id"]: row["hours"] for row in await work.tx.all(ANSWERED, params)}
    found = {}
    for finding in group:
        history, done = next(sums), next(sums) or 0
        target = targets[finding.cause_key]
        grown = manner.attained(target, history) if history and history > 0 else None
        even, seen = spread.get(finding.holder_id), tracked.get(finding.holder_id)
        acts = acted.get(finding.holder_id)
        found[finding.holder_kind, finding.holder_id] = Signs(
            growth=None if grown is None else grown - 1,
            # What is measured by a mean is not carried by anything.
            carried=(done + pipeline.get(finding.holder_id, 0)) / target if target and manner.adds_up else None,
            spread=even["spread"] if even else None,
            heads=even["heads"] if even else 0,
            tracked=seen["tracked"] if seen else 0,
            trackable=len(process),
            actions_done=acts["done"] if acts else 0,
            actions_planned=acts["planned"] if acts else 0,
            feedback_hours=seen["feedback"] if seen else None,
            response_hours=answered.get(finding.holder_id),
        )
    return found
