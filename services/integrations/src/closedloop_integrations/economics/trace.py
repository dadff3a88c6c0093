"""MetricService.TraceMetric: the raw transactions behind every figure of this slice (S79)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from closedloop.common.v1.common_pb2 import Evidence
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.currency import coins
from closedloop_chassis.work import Call
from closedloop_integrations.economics import lineage, reading, store, wire
from closedloop_integrations.economics.productivity import workdays
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import COST, GOODS, MOVED, REVENUE, EconomicsRules, Total

# Two more may follow.
MOST_INPUTS = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """Which facts count, and how: codes that add and codes that take away."""

    calculation: str
    adds: Callable[[str], bool]
    takes: Callable[[str], bool] = lambda code: False

    def sign(self, code: str) -> int:
        return 1 if self.adds(code) else -1 if self.takes(code) else 0


def figure(name: str, rules: EconomicsRules) -> Figure:
    """Raises NotFound METRIC_UNKNOWN."""
    goods = GOODS if rules.goods == "invoices" else MOVED

    def charged(code: str, *, controllable: bool = False, statutory: bool = False) -> bool:
        if not code.startswith(COST):
            return code == goods
        item = rules.item(code.removeprefix(COST))
        return (item.controllable or not controllable) and (item.statutory or not statutory)

    known = {
        "revenue": Figure("operational", lambda code: code == REVENUE),
        "cost_of_goods": Figure("operational", lambda code: code == goods),
        "statutory_margin": Figure(
            "statutory", lambda code: code == REVENUE, lambda code: charged(code, statutory=True)
        ),
        "operational_margin": Figure("operational", lambda code: code == REVENUE, charged),
        "contribution_margin": Figure(
            "contribution", lambda code: code == REVENUE, lambda code: charged(code, controllable=True)
        ),
    }
    own = name.removeprefix("integrations.")
    if own in known and own != name:
        return known[own]
    wanted = name.removeprefix(wire.METRIC)
    if name.startswith(wire.METRIC) and wanted in {*(item.name for item in rules.items), "unplaced"}:
        return Figure(
            "operational", lambda code: code.startswith(COST) and rules.item(code[len(COST) :]).name == wanted
        )
    raise errors.NotFound("METRIC_UNKNOWN", f"no metric {name}")


async def traced(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    other = LINEAGES.get(request.name)
    return await (other or margin)(request, call)


async def margin(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    rules, home = call.rules(EconomicsRules), call.home.currency
    asked = figure(request.name, rules)
    where = reading.asked(lineage.scope(request), call, of_units=not call.caller.roles <= {"rep"})
    found = await _margin(request, call, asked, where)
    found.rule.CopyFrom(reference(call, "items", request.name))
    found.value = found.total_contribution
    found.unit = home
    return found


async def productivity(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    """Of one seller, wherever what is theirs was sold: the operational margin of a working day, as on the heat map."""
    person = request.scope.person_id
    lineage.supported(request, "person_id", "unit_id", "product_id", "channel", "account_id")
    unit_id = known.unit_id if (known := call.org.person(person)) else ""
    call.authorize(person, unit_id)
    rules, home = call.rules(EconomicsRules), call.home.currency
    where = reading.asked(lineage.scope(request), call, of_units=False)
    found = await _margin(request, call, figure("integrations.operational_margin", rules), where, everybody=True)
    days = workdays(call, unit_id, where.begin, where.end)
    found.inputs.extend(
        [
            Evidence(name="margin", value=found.total_contribution, unit=home),
            Evidence(name="working_days", value=days, unit="d"),
        ]
    )
    found.unit = f"{home}/d"
    if days:
        found.value = round(round(found.total_contribution * coins(home)) / days) / coins(home)
        found.explanation = f"({found.explanation}) / {days} working days"
    else:
        found.reason = "no working day known in the period"
    found.rule.CopyFrom(reference(call, "items", request.name))
    return found


async def _margin(
    request: pb.TraceMetricRequest, call: Call, asked: Figure, where: reading.Asked, *, everybody: bool = False
) -> pb.TraceMetricResponse:
    """The sum of the figure's facts, and a page of them; not yet what the figure makes of it."""
    rules, home = call.rules(EconomicsRules), call.home.currency
    whole: Mapping[str, Total] = reading.summed(
        await reading.totals(call, where, (), asked.calculation, everybody=everybody)
    )
    codes = sorted(code for code in whole if asked.sign(code))
    params = {**where.params(call), "codes": codes, **lineage.page_params(request)}
    params["scope_company"] = params["scope_company"] or everybody
    page, token = lineage.split(await store.trace(call.db, reading.MONTHS[asked.calculation], params), request)
    inputs = [
        Evidence(name=lineage.input_name(code, rules), value=whole[code].amount / coins(home), unit=home)
        for code in codes
    ]
    return pb.TraceMetricResponse(
        explanation=" ".join(
            f"{'+' if asked.sign(c) > 0 else '-'} {whole[c].amount / coins(home):.2f} {c}" for c in codes
        ),
        inputs=inputs[:MOST_INPUTS],
        rows=[
            lineage.row(fact, asked.sign(fact.code) * lineage.worth(fact, rules, home) / coins(home), rules)
            for fact in page
        ],
        total_rows=sum(whole[code].entries for code in codes),
        total_contribution=sum(asked.sign(code) * whole[code].amount for code in codes) / coins(home),
        refresh_time=protos.timestamp(await store.as_of(call.db, where.at)),
        next_page_token=token,
    )


# Figures with a way of their own; all others are sums of revenue, goods and cost.
LINEAGES = {
    "integrations.lifetime_value": lineage.lifetime_value,
    "integrations.productivity": productivity,
    "integrations.stock_days": lineage.stock_days,
}
