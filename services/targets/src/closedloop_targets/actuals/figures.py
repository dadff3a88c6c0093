"""Every metric of the catalogue as a figure whose rows of the ledger can be asked for (S79), and how well they are kept (S80)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from closedloop_chassis.figures.declared import Agreement, Field, Figure, Figures, Record, Rows, SourceWord
from closedloop_chassis.work import Work
from closedloop_targets.amounts import MILLIONTHS
from closedloop_targets.figures.rules import TargetFigureRules
from closedloop_targets.metrics.rules import MEASURED, WON, Metric, MetricRules

SUMS = "ActualService.SummarizeActuals"
# What a row of the ledger says; what was taken back by then counts nowhere, nor does the row that took it back.
LEDGER = """
SELECT 'actual' AS record_type, id::text AS record_id, '{metric}' AS input, base_minor / {scale}::numeric AS amount, weight,
       date || ' ' || id AS place, owner_id, unit_id, account_id, ARRAY[product_id] AS product_ids,
       recorded_at AS record_time, source, source_id,
       jsonb_build_object('number', subject, 'date', date, 'owner_id', owner_id, 'unit_id', unit_id,
                          'product_id', product_id, 'weight', weight) AS fields
  FROM actual
 WHERE metric = '{metric}' AND date BETWEEN %(first_day)s AND %(last_day)s AND recorded_at <= %(at)s
   AND reverses_id IS NULL AND (reversed_at IS NULL OR reversed_at > %(at)s)
"""
HOW: Mapping[str, Literal["sum", "weighted", "last"]] = {"sum": "sum", "mean": "weighted", "last": "last"}
# Where else it is a figure, by who feeds it.
UPSTREAM = {
    WON: "funnel.won_value",
    "closedloop.integrations.invoice.recorded.v1": "integrations.revenue",
    "closedloop.customers.lead.responded.v1": "customers.first_response",
    "closedloop.customers.lead.converted.v1": "customers.lead_conversion",
}
# Measured by the week of a person, of whom the funnel knows no rows.
BY_THE_WEEK = ("log_completeness",)
SOURCES: Mapping[str, SourceWord] = {"crm": "crm", "erp": "erp", "tickets": "external"}


def figures(rules_of: Callable[[type[Any]], Any]) -> list[Figure]:
    rules: MetricRules = rules_of(MetricRules)
    return [_figure(metric) for metric in rules.metrics]


def _figure(metric: Metric) -> Figure:
    money = metric.kind == "money"
    by_hand: tuple[SourceWord, ...] = ("manual",) if "hand" in metric.entry else ()
    return Figure(
        name=f"targets.{metric.code}",
        title=metric.name,
        definition=metric.description or metric.name,
        formula={"sum": "sum(rows)", "mean": "mean(rows by their weight)", "last": "last row"}[metric.aggregation],
        unit="" if money else metric.unit or "1",
        sources=(SOURCES.get(metric.source, "external"), *by_hand),
        scopes=("unit", "person", "account", "product"),
        shown_in=(SUMS,),
        records=("actual",),
        step={"sum": "sum", "mean": "weighted mean", "last": "last"}[metric.aggregation] + " of the ledger's rows",
        upstream=_upstream(metric),
        refresh_rule={"event": "with each event"}.get(metric.refresh, metric.refresh),
        owner_id=metric.owner_id,
        rule=(MetricRules, f"metrics.{metric.code}"),
        trace=Rows(
            sql=LEDGER.format(metric=metric.code, scale=1 if money else MILLIONTHS),
            how=HOW[metric.aggregation],
            money=money,
            historic=True,
        ),
    )


def _upstream(metric: Metric) -> tuple[str, ...]:
    found = [UPSTREAM[source] for source in metric.fed_by if source in UPSTREAM]
    if MEASURED in metric.fed_by and metric.code not in BY_THE_WEEK:
        found.append(f"funnel.{metric.code}")
    return tuple(found)


# Rows that came in the span and stand. Only money has a day of its own: what is measured by the week is told after it.
ROWS = """
SELECT a.id, a.metric || ' ' || a.subject || ' (' || a.source_id || ')' AS label, a.owner_id, a.unit_id, a.currency,
       a.product_id, a.account_id, a.source_id, a.recorded_at,
       CASE WHEN a.currency <> '' THEN a.date::timestamp AT TIME ZONE %(zone)s END AS occurred_at
  FROM actual a
 WHERE a.recorded_at >= %(from)s AND a.recorded_at < %(to)s AND a.reverses_id IS NULL AND a.reversed_by_id IS NULL
"""
OF_MONEY = "r.currency <> ''"
# By customer: what was won and what was invoiced in the same days.
WON_AND_INVOICED = """
SELECT account_id AS id, account_id AS label, min(owner_id) FILTER (WHERE metric = 'won_value') AS owner_id,
       min(unit_id) FILTER (WHERE metric = 'won_value') AS unit_id,
       coalesce(sum(base_minor) FILTER (WHERE metric = 'won_value'), 0) AS ours,
       coalesce(sum(base_minor) FILTER (WHERE metric = 'invoiced_value'), 0) AS theirs
  FROM actual
 WHERE metric IN ('won_value', 'invoiced_value') AND account_id <> '' AND recorded_at < %(to)s
   AND date > (%(to)s AT TIME ZONE %(zone)s)::date - %(agreement_days)s::int
 GROUP BY account_id
HAVING count(*) FILTER (WHERE metric = 'won_value') > 0 AND count(*) FILTER (WHERE metric = 'invoiced_value') > 0
"""


def days(work: Work) -> Mapping[str, Any]:
    return {"agreement_days": work.rules(TargetFigureRules).agreement_days}


FIGURES = Figures(
    figures=figures,
    records=(
        Record(
            name="actual",
            title="rows of the ledger",
            source="crm",
            arrival="told by funnel, customers and integrations, imported, or recorded by hand",
            sql=ROWS,
            fields=(
                Field(
                    name="holder",
                    filled="r.owner_id <> '' OR r.unit_id <> ''",
                    suggestion="credit a person or a unit; what is nobody's is in no attainment",
                ),
                Field(
                    name="product_id",
                    expected=OF_MONEY,
                    filled="r.product_id <> ''",
                    suggestion="name the product, so that its life cycle can be weighed",
                ),
                Field(
                    name="account_id",
                    kind="missing_reference",
                    expected=OF_MONEY,
                    filled="r.account_id <> ''",
                    suggestion="name the customer, so that key customers' results are theirs",
                ),
                Field(
                    name="source_id",
                    filled="r.source_id <> ''",
                    suggestion="bring rows with the identifier of their source; without it a second import counts twice",
                ),
            ),
            late_suggestion="let facts come by events; import what no system tells every day",
        ),
    ),
    agreements=(
        Agreement(
            name="won_and_invoiced",
            record="actual",
            figures=("targets.won_value", "targets.invoiced_value"),
            ours="won value",
            theirs="invoices of the ERP",
            sql=WON_AND_INVOICED,
            params=days,
            suggestion="ask why the customer was invoiced another sum than was won: a change of the order, or a wrong deal",
        ),
    ),
)
