"""The process metrics as figures whose cases can be asked for (S79), and how well the activities behind them are kept (S80)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from closedloop_chassis.figures.declared import Field, Figure, Figures, Record, Rows, no_params
from closedloop_chassis.work import Work
from closedloop_funnel.performance import cases, measuring, told
from closedloop_funnel.performance.rules import MetricWord, PerformanceRules

REPORT = "PerformanceService.GetPerformanceReport"
# What is told is shown by whom it is told to.
TOLD_TO = "targets.ActualService.SummarizeActuals"
# A case is a row; whose record it is says its id.
ROW = """
SELECT '{record}' AS record_type, c.id AS record_id, '{metric}' AS input, c.value::float8 AS amount, c.owner_id, c.unit_id,
       c.account_id::text AS account_id, c.at AS record_time, 'crm' AS source, '' AS source_id,
       jsonb_build_object('date', (c.at AT TIME ZONE %(zone)s)::date, 'owner_id', c.owner_id, 'unit_id', c.unit_id) AS fields
  FROM ({cases}) c {narrowed}
"""
IN_PERIOD = "WHERE c.at >= %(from)s AND c.at < %(to)s"


def _figure(
    metric: str,
    title: str,
    definition: str,
    formula: str,
    record: str,
    *,
    sql: str,
    narrowed: str = "",
    params: Callable[[Work], Mapping[str, Any]] = no_params,
    unit: str = "1",
    how: str = "mean",
    shown_in: tuple[str, ...] = (REPORT,),
    rule: str = "",
) -> Figure:
    return Figure(
        name=f"funnel.{metric}",
        title=title,
        definition=definition,
        formula=formula,
        unit=unit,
        sources=("crm",),
        scopes=("unit", "person", "account"),
        shown_in=shown_in,
        records=(record,),
        step=f"{'number' if how == 'sum' else 'mean'} of cases in the period",
        refresh_rule="live; told to targets every Monday for the week before",
        rule=(PerformanceRules, rule or f"metrics.{metric}"),
        trace=Rows(
            sql=ROW.format(record=record, metric=metric, cases=sql, narrowed=narrowed),
            how="sum" if how == "sum" else "mean",
            params=params,
        ),
    )


def _judged(metric: MetricWord, title: str, definition: str, formula: str, record: str, **more: Any) -> Figure:
    """One of the four of the report."""
    return _figure(metric, title, definition, formula, record, sql=cases.CASES[metric], narrowed=IN_PERIOD, **more)


def _told(metric: str, title: str, definition: str, formula: str, record: str, rule: str, **more: Any) -> Figure:
    """One that targets shows."""
    return _figure(
        metric,
        title,
        definition,
        formula,
        record,
        sql=told.CASES[metric],
        params=told.counted_by,
        shown_in=(TOLD_TO,),
        rule=rule,
        **more,
    )


# Planned or done in the span; planned ones whose time has not come have nothing to say yet.
ACTIVITIES = """
SELECT v.id, v.kind || ' (' || v.id || ')' AS label, v.owner_id, v.unit_id, v.state, v.kind, v.content,
       v.attitude_after, v.next_step, v.next_step_date, v.account_id, v.opportunity_id, v.lead_id, v.customer_feedback,
       v.logged_at AS recorded_at, CASE WHEN v.state = 'done' THEN coalesce(v.ended_at, v.at) END AS occurred_at
  FROM activity v WHERE v.state = 'done' AND v.logged_at >= %(from)s AND v.logged_at < %(to)s
"""
IN_PERSON = "r.kind IN ('visit', 'meeting', 'demo')"

FIGURES = Figures(
    figures=(
        _judged(
            "visit_completion",
            "客户拜访完成率",
            "planned visits whose time has passed that were made, and not found false",
            "done / planned",
            "activity",
        ),
        _judged(
            "stage_pace",
            "商机阶段停留",
            "days of stays in a stage that ended, without imported ones",
            "mean(days)",
            "stage_move",
            unit="d",
        ),
        _judged(
            "proposals_made",
            "方案定制完成率",
            "deals that left a stage which expects a custom proposal with one",
            "with a proposal / left the stage",
            "stage_move",
            params=measuring.expected,
        ),
        _judged(
            "feedback_collected",
            "客户反馈收集率",
            "visits, meetings and demos with the customer's feedback",
            "with feedback / done",
            "activity",
        ),
        _told(
            "visit_quality",
            "拜访质量",
            "parts that a visit's log has of those that make a good one, 0..100; none if found false",
            "mean(score of visits)",
            "activity",
            "visit_parts",
            unit="{score}",
        ),
        _told(
            "authentic_contacts",
            "真实联系率",
            "contacts that were not found false",
            "not false / done",
            "activity",
            "week_begins",
        ),
        _told(
            "follow_up_on_time",
            "跟进及时率",
            "agreed next steps that were done by the end of their day",
            "done in time / agreed",
            "activity",
            "week_begins",
        ),
        _told(
            "needs_diagnosed",
            "需求诊断率",
            "deals that left their diagnosis with needs proven",
            "proven / left the stage",
            "stage_move",
            "needs_units",
        ),
        _told(
            "new_opportunities",
            "新增有效商机",
            "deals opened in the period and not held for review",
            "count(deals)",
            "opportunity",
            "week_begins",
            how="sum",
        ),
    ),
    records=(
        Record(
            name="activity",
            title="activities",
            source="crm",
            arrival="logged by sellers, imported, or read out of calls and meetings",
            sql=ACTIVITIES,
            fields=(
                Field(
                    name="content",
                    filled="r.content <> ''",
                    suggestion="write down what was said; a contact without content cannot be told from none",
                ),
                Field(
                    name="customer",
                    kind="missing_reference",
                    filled="coalesce(r.account_id, r.opportunity_id, r.lead_id) IS NOT NULL",
                    suggestion="say with which customer, deal or lead it was",
                ),
                Field(
                    name="attitude_after",
                    expected=IN_PERSON,
                    filled="r.attitude_after <> ''",
                    suggestion="note how the customer's attitude moved; the trend of a deal is made of it",
                ),
                Field(
                    name="next_step",
                    expected=IN_PERSON,
                    filled="r.next_step <> ''",
                    suggestion="agree a next step before leaving",
                ),
                Field(
                    name="next_step_date",
                    expected="r.next_step <> ''",
                    filled="r.next_step_date IS NOT NULL",
                    suggestion="agree the day, too; what has none is followed up by nobody",
                ),
            ),
            late_suggestion="log a contact on the day it happened, at the latest the day after",
        ),
    ),
)
