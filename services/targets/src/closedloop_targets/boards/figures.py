"""Completion and gap of whoever holds a target, as figures whose facts and targets can be asked for (S79, S10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.figures import collected, tracing
from closedloop_chassis.figures.declared import Field, Figure, Figures, Record, Rows, Tracer
from closedloop_chassis.work import Call, Work
from closedloop_targets import company
from closedloop_targets.actions.rules import ActionRules
from closedloop_targets.amounts import MILLIONTHS
from closedloop_targets.boards import store
from closedloop_targets.book import in_force
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods.rules import Period

PROGRESS = "BoardService.ListPersonProgress"
RANKING = "BoardService.ListTeamRanking"

# What was done, and what targets in force ask for, as the boards count both; `sign` tells what a fact does to the figure.
DONE_AND_ASKED = f"""
SELECT 'actual' AS record_type, a.id::text AS record_id, 'done' AS input,
       {{done}} * a.base_minor / %(scale)s::numeric AS amount, a.owner_id, a.unit_id, a.recorded_at AS record_time, a.source,
       a.source_id, jsonb_build_object('number', a.subject, 'date', a.date, 'owner_id', a.owner_id, 'unit_id', a.unit_id,
                                       'product_id', a.product_id) AS fields
  FROM actual a
 WHERE a.metric = %(metric)s AND a.date BETWEEN %(start)s AND %(end)s
   AND CASE WHEN %(kind)s = 'person' THEN a.owner_id = ANY(%(ids)s) ELSE a.unit_id = ANY(%(below)s) END
UNION ALL
SELECT 'target', g.target_id::text, 'target', g.asked::bigint / %(scale)s::numeric,
       CASE WHEN %(kind)s = 'person' THEN g.holder_id ELSE '' END, (%(units)s::text[])[1], NULL, 'manual', '',
       jsonb_build_object('number', t.statement, 'date', g.start_date, 'until', g.end_date, 'owner_id', t.owner_id,
                          'plan_id', t.plan_id)
  FROM (WITH {store.REACHED.format(asked=store.ASKED)} SELECT * FROM goal) g JOIN target t ON t.id = g.target_id
"""


def _tracer(how: Literal["sum", "ratio"], done: int) -> Tracer:
    sql = DONE_AND_ASKED.format(done=done)

    async def trace(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
        figure = collected.of(call).figure(request.name)
        held = await _held(request, call)
        money = _main(call).kind == "money"
        rows = Rows(sql=sql, how=how, above="done", below="target", params=lambda _: held, money=money)
        return await tracing.traced(request, call, figure, rows)

    return trace


async def _held(request: pb.TraceMetricRequest, call: Call) -> Mapping[str, Any]:
    """The one whose targets they are: a person, or a unit with what is done below it, by default the company."""
    first, last = protos.day(request.start_date, "start_date"), protos.day(request.end_date, "end_date")
    if request.scope.person_id:
        person = await company.person(call, request.scope.person_id)
        kind, holder, unit_id = "person", person.id, person.unit_id
    else:
        root = call.home.root
        unit_id = request.scope.unit_id or (root.id if root else "")
        kind, holder = "unit", (await company.unit(call, unit_id)).id if unit_id else ""
    call.authorize(holder if kind == "person" else "", unit_id)
    if last < first:
        raise errors.InvalidArgument(
            "PERIOD_NOT_SUPPORTED", "the last day is before the first", {"end_date": "before start_date"}
        )
    grain, cut = in_force.adds_up(Period("", "custom", first, last))
    metric = _main(call)
    return {
        "ids": [holder],
        "units": [unit_id],
        "below": list(call.org.subtree(unit_id)) if kind == "unit" else [],
        "kind": kind,
        "metric": metric.code,
        "scale": 1 if metric.kind == "money" else MILLIONTHS,
        "start": first,
        "end": last,
        "grain": grain,
        "cut": cut,
        "tops": list(company.tops(call.org)),
    }


def _main(work: Work) -> Any:
    rules = work.rules(MetricRules)
    return rules.metric(rules.main)


# Targets in force over the span; only whoever passes nothing on binds actions.
TARGETS = """
SELECT t.id, t.holder_id || ' ' || t.period || ' (' || t.id || ')' AS label,
       CASE WHEN t.holder_kind = 'person' THEN t.holder_id ELSE t.owner_id END AS owner_id, t.unit_id,
       t.owner_id AS named, (SELECT count(*) FROM binding b WHERE b.target_id = t.id) AS actions, %(least_actions)s AS least,
       EXISTS (SELECT FROM target c WHERE c.parent_id = t.id AND c.plan_id = t.plan_id AND c.number = t.number) AS passed_on,
       NULL::timestamptz AS recorded_at, NULL::timestamptz AS occurred_at
  FROM target_in_force t
 WHERE t.counts AND t.start_date < (%(to)s AT TIME ZONE %(zone)s)::date AND t.end_date >= (%(from)s AT TIME ZONE %(zone)s)::date
"""


def least(work: Work) -> Mapping[str, Any]:
    return {"least_actions": work.rules(ActionRules).minimum}


FIGURES = Figures(
    figures=(
        Figure(
            name="targets.attainment",
            title="目标达成率",
            definition="done of the main metric by what targets in force ask for the period; of a unit with all below it",
            formula="done / target",
            unit="1",
            sources=("crm", "manual"),
            shown_in=(PROGRESS, RANKING),
            records=("actual", "target"),
            step="rows of the ledger by targets in force",
            upstream=("targets.won_value",),
            rule=(MetricRules, "main"),
            trace=_tracer("ratio", 1),
        ),
        Figure(
            name="targets.gap",
            title="目标差额",
            definition="what targets in force ask for the period less what was done",
            formula="target - done",
            sources=("crm", "manual"),
            shown_in=(PROGRESS, RANKING),
            records=("actual", "target"),
            step="targets in force less rows of the ledger",
            upstream=("targets.won_value",),
            rule=(MetricRules, "main"),
            trace=_tracer("sum", -1),
        ),
    ),
    records=(
        Record(
            name="target",
            title="targets in force",
            source="manual",
            arrival="written into a plan, or handed down by a cascade, and published",
            sql=TARGETS,
            params=least,
            fields=(
                Field(
                    name="owner_id",
                    filled="r.named <> ''",
                    suggestion="name one owner of each target",
                ),
                Field(
                    name="actions",
                    expected="NOT r.passed_on",
                    filled="r.actions >= r.least",
                    suggestion="bind verifiable actions to the target, at least as many as the rulebook asks for",
                ),
            ),
        ),
    ),
)
