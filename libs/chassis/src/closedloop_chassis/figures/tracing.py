"""MetricService.TraceMetric: the raw rows behind a figure, whose contributions add up to it (S79)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from google.protobuf.struct_pb2 import Struct

from closedloop.common.v1.common_pb2 import Evidence, Provenance
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.currency import coins
from closedloop_chassis.figures import catalogue, collected, reach
from closedloop_chassis.figures.declared import Figure, Rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Scope

rpcs = Rpcs("closedloop.platform.v1.MetricService")

# By field of the scope: what a figure calls it, and what it asks of a row.
ASKED = {
    "unit_id": ("unit", "unit_id = ANY(%(in_units)s)"),
    "person_id": ("person", "owner_id = %(in_person)s"),
    "account_id": ("account", "account_id = %(in_account)s"),
    "product_id": ("product", "%(in_product)s = ANY(product_ids)"),
    "channel": ("channel", "channel = %(in_channel)s"),
    "pipeline_id": ("pipeline", "pipeline_id = %(in_pipeline)s"),
    "stage_key": ("stage", "stage_key = %(in_stage)s"),
    "kind": ("kind", "kind = %(in_kind)s"),
}
SHARED = f"({Scope.SQL} OR %(scope_owner)s = ANY(participant_ids))"

# What every row adds is worked out of narrow rows, read once; what a row says of itself is asked of a page's rows alone.
TRACE = """
WITH raw AS NOT MATERIALIZED (
    SELECT * FROM ({sql}) r WHERE {where}
), narrow AS MATERIALIZED (
    SELECT record_id, input, amount{besides} FROM raw
), input AS (
    SELECT input, count(*)::bigint AS rows, sum(amount)::float8 AS amount FROM narrow GROUP BY input
), whole AS (
    SELECT coalesce(sum(rows), 0)::bigint AS rows, sum(amount) FILTER (WHERE input = %(input_below)s) AS below FROM input
), placed AS MATERIALIZED (
    SELECT record_id, input, ({contribution})::float8 AS contribution FROM narrow, whole
), chosen AS MATERIALIZED (
    SELECT * FROM placed WHERE (record_id, input) > (%(after)s, %(after_input)s) ORDER BY record_id, input LIMIT %(limit)s
), shown AS MATERIALIZED (
    SELECT * FROM raw WHERE record_id = ANY(ARRAY(SELECT record_id FROM chosen))
), page AS (
    SELECT record_type, record_id, input, amount::float8 AS amount, record_time, source, source_id, fields, contribution
      FROM chosen JOIN shown USING (record_id, input)
)
SELECT (SELECT coalesce(jsonb_agg(i ORDER BY input), '[]') FROM input i) AS inputs,
       (SELECT rows FROM whole) AS rows, (SELECT sum(contribution) FROM placed) AS value,
       (SELECT coalesce(jsonb_agg(p ORDER BY record_id, input), '[]') FROM page p) AS page
"""
PLACE = "row_number() OVER (ORDER BY amount, record_id, input) - 1"
# The share that a row in the middle has in an interpolated quantile.
MIDDLE = f"amount * greatest(0, 1 - abs(({PLACE}) - %(quantile)s * (whole.rows - 1)))"
CONTRIBUTION = {
    "sum": "amount",
    "mean": "amount::float8 / whole.rows",
    "weighted": "amount * weight / nullif((SELECT sum(weight) FROM narrow), 0)",
    "last": "CASE WHEN row_number() OVER (ORDER BY place DESC) = 1 THEN amount ELSE 0 END",
    "ratio": "CASE WHEN input = %(input_above)s THEN amount / nullif(whole.below, 0) ELSE 0 END",
}


@dataclass(frozen=True, slots=True)
class Traced:
    inputs: list[dict[str, Any]]
    rows: int
    value: float | None
    page: list[dict[str, Any]]


@rpcs.method
async def trace_metric(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    known = collected.of(call)
    figure = known.figure(request.name)
    # A figure of less than what was asked for looks like the answer.
    reach.within(call, request.scope.unit_id)
    if not isinstance(figure.trace, Rows):
        return await figure.trace(request, call)
    return await traced(request, call, figure, figure.trace)


def _check_person(person_id: str, call: Call) -> None:
    person = call.org.person(person_id)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {person_id}")
    if not call.scope.covers(person.id, person.unit_id):
        raise errors.PermissionDenied("OUT_OF_SCOPE", f"{person.id} is not among {call.caller.subject}'s people")


async def traced(request: pb.TraceMetricRequest, call: Call, figure: Figure, rows: Rows) -> pb.TraceMetricResponse:
    """The answer out of the figure's rows."""
    first, last = protos.day(request.start_date, "start_date"), protos.day(request.end_date, "end_date")
    if last < first:
        raise errors.InvalidArgument(
            "PERIOD_NOT_SUPPORTED", "the last day is before the first", {"end_date": "before start_date"}
        )
    params = asked(request, call, figure, rows, first, last)
    found = await call.db.one(_sql(request, rows), params, into=Traced)
    assert found is not None
    answer = _answer(found, figure, rows, call)
    page, token = pages.split(found.page, request, lambda row: (row["record_id"], row["input"]))
    scale = coins(call.home.currency) if rows.money else 1
    answer.rows.extend(_row(one, scale, 1 if rows.how == "ratio" else scale) for one in page)
    answer.next_page_token = token
    return answer


def asked(
    request: pb.TraceMetricRequest, call: Call, figure: Figure, rows: Rows, first: date, last: date
) -> dict[str, Any]:
    """Parameters of the statement. Raises what the contract says of a scope, a period or a moment it does not know."""
    if request.HasField("at") and not rows.historic:
        raise errors.InvalidArgument("AT_NOT_SUPPORTED", f"{figure.name} is known as it is now", {"at": "not kept"})
    for name, value in ((field.name, value) for field, value in request.scope.ListFields()):
        if value and ASKED[name][0] not in figure.scopes:
            raise errors.InvalidArgument(
                "SCOPE_NOT_SUPPORTED", f"{figure.name} is not known by {name}", {f"scope.{name}": "empty"}
            )
    if request.scope.person_id:
        _check_person(request.scope.person_id, call)
    for word, known in rows.known.items():
        name = next(name for name, (called, _) in ASKED.items() if called == word)
        value, words = getattr(request.scope, name), known(call)
        if value and value not in words:
            raise errors.NotFound(f"{word.upper()}_UNKNOWN", f"no {word} {value}; there are {', '.join(sorted(words))}")
    if rows.company_only and not call.scope.company:
        raise errors.PermissionDenied("OUT_OF_SCOPE", f"the rows behind {figure.name} are the whole company's")
    home, scope = call.home, request.scope
    if rows.standing and not first <= home.today(scope.unit_id) <= last:
        raise errors.InvalidArgument(
            "PERIOD_NOT_SUPPORTED", f"{figure.name} is known for today", {"end_date": "a period with today in it"}
        )
    after, after_input = pages.after(request, "", "")
    return {
        **call.scope.params,
        "from": home.moment(first, unit_id=scope.unit_id),
        "to": home.moment(last + timedelta(days=1), unit_id=scope.unit_id),
        "now": call.now,
        "at": protos.instant_of(request, "at") or call.now,
        **rows.params(call),
        "first_day": first,
        "last_day": last,
        "zone": str(home.zone(scope.unit_id)),
        "in_units": list(call.org.subtree(scope.unit_id)),
        "in_person": scope.person_id,
        "in_account": scope.account_id,
        "in_product": scope.product_id,
        "in_channel": scope.channel,
        "in_pipeline": scope.pipeline_id,
        "in_stage": scope.stage_key,
        "in_kind": scope.kind,
        "input_above": rows.above,
        "input_below": rows.below,
        "quantile": rows.how if isinstance(rows.how, float) else None,
        "after": after,
        "after_input": after_input,
        "limit": pages.size(request) + 1,
    }


def _sql(request: pb.TraceMetricRequest, rows: Rows) -> str:
    conditions = [] if rows.company_only else [SHARED if rows.shared else Scope.SQL]
    conditions += [ASKED[field.name][1] for field, value in request.scope.ListFields() if value]
    contribution = CONTRIBUTION[rows.how] if isinstance(rows.how, str) else MIDDLE
    besides = {"weighted": ", weight", "last": ", place"}.get(str(rows.how), "")
    return TRACE.format(
        sql=rows.sql, where=" AND ".join(conditions) or "true", besides=besides, contribution=contribution
    )


def _answer(found: Traced, figure: Figure, rows: Rows, call: Call) -> pb.TraceMetricResponse:
    scale = coins(call.home.currency) if rows.money else 1
    # A ratio of money is a plain number.
    shown = 1 if rows.how == "ratio" else scale
    unit = catalogue.unit(figure, call)
    amounts = {one["input"]: one["amount"] / scale for one in found.inputs}
    answer = pb.TraceMetricResponse(
        unit=unit,
        explanation=explanation(found, rows, amounts),
        inputs=[
            Evidence(
                name=one["input"],
                value=amounts[one["input"]],
                unit=call.home.currency if rows.money else "",
                text=f"{one['rows']} rows",
            )
            for one in found.inputs
        ],
        total_rows=found.rows,
        total_contribution=(found.value or 0.0) / shown,
        rule=collected.reference(call, *figure.rule, explanation=figure.formula),
        refresh_time=protos.timestamp(call.now),
    )
    divisible = rows.how != "ratio" or bool(amounts.get(rows.below))
    if rows.how != "sum" and (found.value is None or not divisible):
        answer.reason = "nothing to divide by" if found.rows else "no rows in the period"
    else:
        answer.value = (found.value or 0.0) / shown
    return answer


def explanation(found: Traced, rows: Rows, amounts: dict[str, float]) -> str:
    """The formula with its numbers."""
    parts = " + ".join(f"{amount:.2f} {name}" for name, amount in amounts.items()) or "0"
    if rows.how == "sum":
        return parts
    if rows.how == "mean":
        return f"({parts}) / {found.rows} rows"
    if rows.how in ("weighted", "last"):
        return f"{'weighted mean' if rows.how == 'weighted' else 'last'} of {found.rows} rows"
    if rows.how == "ratio":
        return f"{amounts.get(rows.above, 0.0):.2f} {rows.above} / {amounts.get(rows.below, 0.0):.2f} {rows.below}"
    return f"quantile {rows.how:g} of {found.rows} rows"


def _row(row: dict[str, Any], scale: int, shown: int) -> pb.TraceRow:
    fields = Struct()
    fields.update({"amount": row["amount"] / scale, **row["fields"]})
    return pb.TraceRow(
        record_type=row["record_type"],
        record_id=row["record_id"],
        provenance=Provenance(source=row["source"], source_id=row["source_id"] or ""),
        record_time=protos.timestamp(datetime.fromisoformat(row["record_time"])) if row["record_time"] else None,
        input=row["input"],
        contribution=(row["contribution"] or 0.0) / shown,
        fields=fields,
    )
