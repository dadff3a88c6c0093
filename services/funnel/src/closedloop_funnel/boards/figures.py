"""What the boards of the funnel show, as figures whose rows can be asked for (S79); the deals and moves behind them, and
whom they must agree with (S80)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from closedloop_chassis.figures.declared import Agreement, Field, Figure, Figures, Record, Rows, ScopeWord
from closedloop_chassis.work import Call
from closedloop_funnel.boards.rules import BoardRules
from closedloop_funnel.pipelines.rules import PipelineRules

FUNNEL, FORECAST = "BoardService.GetFunnelBoard", "BoardService.GetForecastBoard"
STARS = "PerformanceService.GetStarDependence"

# A deal as a row: whose it is, what it can be asked by, and the fields that mattered.
DEAL = """
'opportunity' AS record_type, o.id::text AS record_id, o.owner_id, o.unit_id, o.account_id::text AS account_id,
o.product_ids, o.participant_ids, o.pipeline_id, o.source, o.source_id,
jsonb_build_object('number', o.name, 'date', coalesce(o.close_date, o.expected_close_date), 'stage', o.stage_key,
                   'state', o.state, 'owner_id', o.owner_id, 'unit_id', o.unit_id, 'pipeline_id', o.pipeline_id) AS fields
"""
CLOSED = "o.state <> 'open' AND o.close_date BETWEEN %(first_day)s AND %(last_day)s"
WON = f"""
SELECT {DEAL}, 'won' AS input, coalesce(o.reporting_minor, 0)::numeric AS amount, o.closed_at AS record_time
  FROM opportunity o WHERE {CLOSED} AND o.state = 'won'
"""
WON_OR_LOST = f"""
SELECT {DEAL}, o.state AS input, (o.state = 'won')::int::float8 AS amount, o.closed_at AS record_time
  FROM opportunity o WHERE {CLOSED}
"""
CYCLES = f"""
SELECT * FROM (
    SELECT {DEAL}, 'days' AS input, o.closed_at AS record_time,
           coalesce((SELECT sum(dwell_days) FROM stage_move WHERE opportunity_id = o.id),
                    o.close_date - o.engage_date)::float8 AS amount
      FROM opportunity o WHERE {CLOSED} AND o.state = 'won') c
 WHERE amount IS NOT NULL
"""
OPEN = f"""
SELECT {DEAL}, 'open' AS input, coalesce(o.reporting_minor, 0)::numeric AS amount, o.updated_at AS record_time, o.stage_key
  FROM opportunity o WHERE o.state = 'open'
"""
EXPECTED = f"""
SELECT {DEAL}, o.category AS input, coalesce(o.reporting_minor, 0) * o.probability AS amount, o.updated_at AS record_time
  FROM opportunity o
 WHERE o.state <> 'lost' AND coalesce(o.close_date, o.expected_close_date) BETWEEN %(first_day)s AND %(last_day)s
"""
# A move is a row of its own: the deal and its place in the deal's history.
MOVE = """
'stage_move' AS record_type, o.id || ':' || m.sequence AS record_id, o.owner_id, o.unit_id,
o.account_id::text AS account_id, o.product_ids, o.participant_ids, m.pipeline_id, o.source, o.source_id,
m.at AS record_time,
jsonb_build_object('number', o.name, 'date', (m.at AT TIME ZONE %(zone)s)::date, 'from', m.from_stage_key,
                   'to', m.to_stage_key, 'direction', m.direction, 'author_id', m.author_id) AS fields
"""
IN_PERIOD = "m.at >= %(from)s AND m.at < %(to)s"
STAYS = f"""
SELECT {MOVE}, 'days' AS input, m.dwell_days AS amount, m.from_stage_key AS stage_key
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
 WHERE {IN_PERIOD} AND m.from_stage_key <> '' AND m.dwell_days IS NOT NULL
"""
# In the flow view both are counted in the period in which they happened.
PASSAGES = f"""
SELECT {MOVE}, p.input, 1::float8 AS amount, p.stage_key
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
       CROSS JOIN LATERAL (
           VALUES ('entered', m.to_stage_key, true),
                  ('advanced', m.from_stage_key, m.from_stage_key <> '' AND m.direction IN ('forward', 'won'))
       ) AS p (input, stage_key, counts)
 WHERE {IN_PERIOD} AND p.counts
"""

# Open deals as they stand and those that closed in the span; what an import brought of old tells nothing of punctuality.
DEALS = """
SELECT o.id, o.name || ' (' || o.id || ')' AS label, o.owner_id, o.unit_id, o.state, o.account_id, o.reporting_minor,
       o.expected_close_date, o.close_date, o.engage_date, o.product_ids, o.reason_code, o.closed_at AS recorded_at,
       CASE WHEN NOT o.imported THEN o.close_date::timestamp AT TIME ZONE %(zone)s END AS occurred_at
  FROM opportunity o
 WHERE o.state = 'open' AND o.created_at < %(to)s OR o.state <> 'open' AND o.closed_at >= %(from)s AND o.closed_at < %(to)s
"""
MOVES = """
SELECT m.opportunity_id AS id, o.name || ': ' || m.from_stage_key || ' > ' || m.to_stage_key AS label, o.owner_id, o.unit_id,
       m.reason, m.skipped_stage_keys, m.skipped_requirement_keys, m.dwell_days, m.from_stage_key, m.at AS recorded_at,
       NULL::timestamptz AS occurred_at
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id
 WHERE m.at >= %(from)s AND m.at < %(to)s AND NOT m.imported
"""
# Whose the deal is and whose the customer is; who takes part in the deal is no stranger to it.
OWNERS = """
SELECT o.id, o.name || ' (' || o.id || ')' AS label, o.owner_id, o.unit_id, 1 AS ours,
       (o.owner_id = a.account_owner_id OR a.account_owner_id = ANY(o.participant_ids)
        OR o.owner_id = ANY(a.account_participant_ids))::int AS theirs
  FROM opportunity o JOIN account a ON a.id = o.account_id
 WHERE o.state = 'open' AND o.created_at < %(to)s AND a.account_owner_id <> ''
"""
CONTRACTS = """
SELECT o.id, o.name || ' (' || o.id || ')' AS label, o.owner_id, o.unit_id, o.amount_minor AS ours, c.signed AS theirs
  FROM opportunity o
       JOIN LATERAL (SELECT sum(amount_minor) AS signed, min(currency) AS least, max(currency) AS most FROM contract
                      WHERE opportunity_id = o.id AND state IN ('signed', 'archived')) c
         ON c.signed IS NOT NULL AND c.least = o.currency AND c.most = o.currency
 WHERE o.state = 'won' AND o.closed_at >= %(from)s AND o.closed_at < %(to)s AND o.amount_minor IS NOT NULL
"""


def _pipelines(call: Call) -> Collection[str]:
    return call.rules(PipelineRules).pipelines


def _stages(call: Call) -> Collection[str]:
    return {stage.key for pipeline in call.rules(PipelineRules).pipelines.values() for stage in pipeline.stages}


KNOWN: Mapping[ScopeWord, Callable[[Call], Collection[str]]] = {"pipeline": _pipelines, "stage": _stages}
BY_DEAL: tuple[ScopeWord, ...] = ("unit", "person", "account", "product", "pipeline")

FIGURES = Figures(
    figures=(
        Figure(
            name="funnel.won_value",
            title="赢单金额",
            definition="amount of deals won, in the company's money, on the day they closed",
            formula="sum(amount of won deals)",
            sources=("crm",),
            scopes=BY_DEAL,
            shown_in=(FUNNEL, STARS),
            records=("opportunity",),
            step="sum of won deals by close date",
            rule=(PipelineRules, "pipelines"),
            trace=Rows(sql=WON, money=True, shared=True, known=KNOWN),
        ),
        Figure(
            name="funnel.win_rate",
            title="赢单率",
            definition="deals won of all that closed, by number",
            formula="won / (won + lost)",
            unit="1",
            sources=("crm",),
            scopes=BY_DEAL,
            shown_in=(FUNNEL,),
            records=("opportunity",),
            step="share of closed deals that were won",
            rule=(PipelineRules, "pipelines"),
            trace=Rows(sql=WON_OR_LOST, how="mean", shared=True, known=KNOWN),
        ),
        Figure(
            name="funnel.cycle_days",
            title="成交周期",
            definition="days in stages of a deal that was won; from its first day to its last where stages are not known",
            formula="mean(days of won deals)",
            unit="d",
            sources=("crm",),
            scopes=BY_DEAL,
            shown_in=(FUNNEL,),
            records=("opportunity", "stage_move"),
            step="days of all stages of a won deal",
            rule=(PipelineRules, "pipelines"),
            trace=Rows(sql=CYCLES, how="mean", shared=True, known=KNOWN),
        ),
        Figure(
            name="funnel.open_pipeline",
            title="在途商机金额",
            definition="amount of deals that are open, in the company's money",
            formula="sum(amount of open deals)",
            sources=("crm",),
            scopes=(*BY_DEAL, "stage"),
            shown_in=(FUNNEL,),
            records=("opportunity",),
            step="sum of open deals",
            rule=(PipelineRules, "pipelines"),
            trace=Rows(sql=OPEN, money=True, shared=True, known=KNOWN, standing=True),
        ),
        Figure(
            name="funnel.expected_value",
            title="加权预测金额",
            definition="amount of deals won or expected to close in the period, by their probability",
            formula="sum(amount x probability)",
            sources=("crm",),
            scopes=BY_DEAL,
            shown_in=(FORECAST,),
            records=("opportunity",),
            step="amount by probability, on the expected day",
            rule=(PipelineRules, "pipelines"),
            trace=Rows(sql=EXPECTED, money=True, shared=True, known=KNOWN),
        ),
        Figure(
            name="funnel.stage_dwell",
            title="阶段停留天数",
            definition="days of stays in a stage that ended in the period, by the stage's calendar",
            formula="mean(days of stays)",
            unit="d",
            sources=("crm",),
            scopes=(*BY_DEAL, "stage"),
            shown_in=(FUNNEL,),
            records=("stage_move",),
            step="mean of stays that ended",
            rule=(BoardRules, "benchmark_days"),
            trace=Rows(sql=STAYS, how="mean", shared=True, known=KNOWN),
        ),
        Figure(
            name="funnel.stage_dwell_p90",
            title="阶段停留天数 P90",
            definition="days within which nine of ten stays ended",
            formula="quantile 0.9 (days of stays)",
            unit="d",
            sources=("crm",),
            scopes=(*BY_DEAL, "stage"),
            shown_in=(FUNNEL,),
            records=("stage_move",),
            step="quantile of stays that ended",
            rule=(BoardRules, "benchmark_days"),
            trace=Rows(sql=STAYS, how=0.9, shared=True, known=KNOWN),
        ),
        Figure(
            name="funnel.stage_conversion",
            title="阶段转化率",
            definition="deals that went on from a stage in the period by those that entered it",
            formula="advanced / entered",
            unit="1",
            sources=("crm",),
            scopes=(*BY_DEAL, "stage"),
            shown_in=(FUNNEL,),
            records=("stage_move",),
            step="moves out of a stage by moves into it",
            rule=(BoardRules, "stuck_share"),
            trace=Rows(sql=PASSAGES, how="ratio", above="advanced", below="entered", shared=True, known=KNOWN),
        ),
    ),
    records=(
        Record(
            name="opportunity",
            title="opportunities",
            source="crm",
            arrival="opened, changed and closed by sellers, or imported",
            sql=DEALS,
            fields=(
                Field(
                    name="account_id",
                    kind="missing_reference",
                    filled="r.account_id IS NOT NULL",
                    suggestion="name the customer of each deal; without one it is in nobody's account plan",
                ),
                Field(
                    name="amount",
                    filled="r.reporting_minor > 0",
                    suggestion="enter what the deal is worth, and a rate for its currency where there is none",
                ),
                Field(
                    name="expected_close_date",
                    expected="r.state = 'open'",
                    filled="r.expected_close_date IS NOT NULL",
                    suggestion="agree a closing day with the customer; deals without one are in no forecast",
                ),
                Field(
                    name="overdue_close_date",
                    kind="stale",
                    expected="r.state = 'open' AND r.expected_close_date IS NOT NULL",
                    filled="r.expected_close_date >= (%(to)s AT TIME ZONE %(zone)s)::date",
                    suggestion="close what is over, and move the day of what is not, with the reason",
                ),
                Field(
                    name="engage_date",
                    kind="missing_field",
                    filled="r.engage_date IS NOT NULL",
                    suggestion="enter when the customer was first engaged; cycles cannot be measured without it",
                ),
                Field(
                    name="date_order",
                    kind="impossible_date",
                    expected="r.close_date IS NOT NULL AND r.engage_date IS NOT NULL",
                    filled="r.close_date >= r.engage_date",
                    suggestion="a deal cannot close before it begins: correct one of the two days",
                ),
                Field(
                    name="product_ids",
                    filled="r.product_ids <> '{}'",
                    suggestion="add the products; results by product leave these deals out",
                ),
                Field(
                    name="reason_code",
                    expected="r.state = 'lost'",
                    filled="r.reason_code <> ''",
                    suggestion="ask why it was lost while somebody still remembers",
                ),
            ),
            late_suggestion="close deals on the day they are decided",
        ),
        Record(
            name="stage_move",
            title="stage moves",
            source="crm",
            arrival="written with each change of stage",
            sql=MOVES,
            fields=(
                Field(
                    name="skip_reason",
                    expected="r.skipped_stage_keys <> '{}' OR r.skipped_requirement_keys <> '{}'",
                    filled="r.reason <> ''",
                    suggestion="say why a step was left out",
                ),
                Field(
                    name="dwell_days",
                    expected="r.from_stage_key <> ''",
                    filled="r.dwell_days IS NOT NULL",
                    suggestion="correct the order of the moves; a stay without length is in no mean",
                ),
            ),
        ),
    ),
    agreements=(
        Agreement(
            name="account_owner",
            record="opportunity",
            figures=("funnel.won_value", "funnel.open_pipeline", "funnel.expected_value", "funnel.win_rate"),
            ours="funnel",
            theirs="customers",
            sql=OWNERS,
            suggestion="give the deal to the customer's owner, or add one of them to the other's team",
        ),
        Agreement(
            name="signed_contracts",
            record="opportunity",
            figures=("funnel.won_value",),
            ours="won amount",
            theirs="signed contracts",
            sql=CONTRACTS,
            suggestion="bring the deal's amount and its signed contracts to the same sum",
        ),
    ),
)
