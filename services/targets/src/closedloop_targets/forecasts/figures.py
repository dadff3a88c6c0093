"""The forecast as a figure whose months can be asked for (S79, S6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis.figures import collected, tracing
from closedloop_chassis.figures.declared import Figure, Figures, Record, Rows
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.amounts import MILLIONTHS
from closedloop_targets.forecasts.rules import ForecastRules
from closedloop_targets.metrics.rules import MetricRules

FORECASTS = "ForecastService.ListForecasts"
# Months of the newest statement for one holder; a month counts in the period in which it begins.
MONTHS = """
SELECT 'forecast' AS record_type, f.run_id || ':' || f.holder_id || ':' || p.period AS record_id, p.period AS input,
       p.value / %(scale)s::float8 AS amount, f.owner_id, f.unit_id, f.stated_at AS record_time, 'derived' AS source,
       f.run_id::text AS source_id,
       jsonb_build_object('number', p.period, 'date', p.start, 'method', f.method, 'history_months', f.history_months,
                          'lower', p.lower / %(scale)s::float8, 'upper', p.upper / %(scale)s::float8) AS fields
  FROM (SELECT * FROM forecast
         WHERE holder_kind = %(kind)s AND holder_id = %(holder)s AND metric = %(metric)s AND product_id = ''
           AND stated_at <= %(at)s ORDER BY stated_at DESC LIMIT 1) f,
       jsonb_to_recordset(f.points) AS p (period text, start date, value float8, lower float8, upper float8)
 WHERE p.start BETWEEN %(first_day)s AND %(last_day)s
"""
STATED = """
SELECT f.run_id AS id, f.holder_id || ' ' || f.metric AS label, f.owner_id, f.unit_id, f.naive, f.stated_at AS recorded_at,
       NULL::timestamptz AS occurred_at
  FROM forecast f WHERE f.stated_at >= %(from)s AND f.stated_at < %(to)s
"""


async def trace(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    """Of a person, or of a unit, by default the company."""
    metrics = call.rules(MetricRules)
    metric = metrics.metric(metrics.main)
    if request.scope.person_id:
        person = await company.person(call, request.scope.person_id)
        kind, holder, unit_id = "person", person.id, person.unit_id
    else:
        root = call.home.root
        unit_id = request.scope.unit_id or (root.id if root else "")
        kind, holder = "unit", unit_id
    call.authorize(holder if kind == "person" else "", unit_id)
    held: Mapping[str, Any] = {
        "kind": kind,
        "holder": holder,
        "metric": metric.code,
        "scale": 1 if metric.kind == "money" else MILLIONTHS,
    }
    # Reach was asked of the holder; a person's statement is theirs, a unit's has no person.
    rows = Rows(sql=MONTHS, params=lambda _: held, money=metric.kind == "money", historic=True)
    return await tracing.traced(request, call, collected.of(call).figure(request.name), rows)


FIGURES = Figures(
    figures=(
        Figure(
            name="targets.forecast",
            title="滚动预测",
            definition="what the main metric is expected to come to in the months of the period, by the newest statement",
            formula="sum(months of the statement)",
            sources=("derived",),
            shown_in=(FORECASTS,),
            records=("forecast",),
            step="months of the newest statement",
            upstream=("targets.won_value", "funnel.open_pipeline"),
            refresh_rule="monthly, and on demand",
            rule=(ForecastRules, "horizon_months"),
            trace=trace,
        ),
    ),
    records=(
        Record(
            name="forecast",
            title="statements of the forecast",
            source="derived",
            arrival="stated from the ledger's months, the pipeline and the market's trend",
            sql=STATED,
        ),
    ),
)
