"""What each of the four metrics counts: a row a case, with its record (`id`), whose it is, when it came about (`at`) and its
`value`, which is 0 or 1 where the metric is a share."""

from __future__ import annotations

from collections.abc import Mapping

from closedloop_funnel.performance.rules import MetricWord

# Planned visits whose time has passed: done or not. One called off does not count; one found false was not made.
VISITS = """
SELECT id::text AS id, owner_id, unit_id, account_id, planned_to AS at,
       (state = 'done' AND authenticity <> 'confirmed_false')::int::float8 AS value
  FROM activity WHERE kind = 'visit' AND state IN ('planned', 'done') AND planned_to <= %(now)s
"""
# Days of stays that ended, by each stage's calendar.
PACE = """
SELECT o.id || ':' || m.sequence AS id, o.owner_id, o.unit_id, o.account_id, m.at, m.dwell_days AS value
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
 WHERE m.dwell_days IS NOT NULL AND NOT m.imported
"""
# Deals that left a stage where a custom proposal is expected: with one, or without.
PROPOSALS = """
SELECT o.id || ':' || m.sequence AS id, o.owner_id, o.unit_id, o.account_id, m.at,
       EXISTS (SELECT FROM proposal p WHERE p.opportunity_id = o.id AND p.custom
                  AND p.submitted_at <= m.at)::int::float8 AS value
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
       JOIN unnest(%(pipelines)s::text[], %(stages)s::text[]) AS e (pipeline_id, stage_key)
         ON e.pipeline_id = m.pipeline_id AND e.stage_key = m.from_stage_key
 WHERE m.direction IN ('forward', 'won') AND NOT m.imported
"""
FEEDBACK = """
SELECT id::text AS id, owner_id, unit_id, account_id, at, (customer_feedback <> '')::int::float8 AS value
  FROM activity
 WHERE kind IN ('visit', 'meeting', 'demo') AND state = 'done' AND authenticity <> 'confirmed_false'
"""
CASES: Mapping[MetricWord, str] = {
    "visit_completion": VISITS,
    "stage_pace": PACE,
    "proposals_made": PROPOSALS,
    "feedback_collected": FEEDBACK,
}
