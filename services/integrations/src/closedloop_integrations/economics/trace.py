"""MetricService.TraceMetric: the raw transactions behind every figure of this slice (S79)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct

from closedloop.common.v1.common_pb2 import Evidence, Provenance
from closedloop.integrations.v1 import economics_pb2
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.currency import coins
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.economics import reading, store, wire
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import COST, GOODS, MOVED, REVENUE, EconomicsRules, Total, converted

rpcs = Rpcs("closedloop.platform.v1.MetricService")

NOBODY = "00000000-0000-0000-0000-000000000000"


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


@rpcs.method
async def trace_metric(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    rules, home = call.rules(EconomicsRules), call.home.currency
    asked = figure(request.name, rules)
    scope = economics_pb2.EconomicScope(
        start_date=request.start_date,
        end_date=request.end_date,
        unit_id=request.scope.unit_id,
        product_id=request.scope.product_id,
        channel=request.scope.channel,
        account_id=request.scope.account_id,
        person_id=request.scope.person_id,
    )
    if request.HasField("at"):
        scope.at.CopyFrom(request.at)
    where = reading.asked(scope, call, of_units=not call.caller.roles <= {"rep"})
    whole: Mapping[str, Total] = reading.summed(await reading.totals(call, where, (), asked.calculation))
    codes = sorted(code for code in whole if asked.sign(code))
    after, after_code, after_product = pages.after(request, NOBODY, "", "")
    found = await store.trace(
        call.db,
        reading.MONTHS[asked.calculation],
        {
            **where.params(call),
            "codes": codes,
            "after": after,
            "after_code": after_code,
            "after_product": after_product,
            "limit": pages.size(request) + 1,
        },
    )
    page, token = pages.split(found, request, lambda fact: (str(fact.transaction_id), fact.code, fact.product_id))
    value = sum(asked.sign(code) * whole[code].amount for code in codes) / coins(home)
    inputs = [Evidence(name=_input(code, rules), value=whole[code].amount / coins(home), unit=home) for code in codes]
    return pb.TraceMetricResponse(
        value=value,
        unit=home,
        explanation=" ".join(
            f"{'+' if asked.sign(c) > 0 else '-'} {whole[c].amount / coins(home):.2f} {c}" for c in codes
        ),
        inputs=inputs[:1000],
        rows=[_row(fact, asked, rules, home) for fact in page],
        total_rows=sum(whole[code].entries for code in codes),
        total_contribution=value,
        rule=reference(call, "items", request.name),
        refresh_time=protos.timestamp(await store.as_of(call.db, where.at)),
        next_page_token=token,
    )


def _input(code: str, rules: EconomicsRules) -> str:
    return rules.item(code.removeprefix(COST)).name if code.startswith(COST) else code


def _row(fact: store.Traced, asked: Figure, rules: EconomicsRules, home: str) -> pb.TraceRow:
    amount = converted(fact.amount_minor, fact.currency, home, rules.worth(fact.currency, fact.day, home))
    fields = Struct()
    fields.update(
        {
            "number": fact.number,
            "date": fact.day.isoformat(),
            "unit_id": fact.unit_id,
            "channel": fact.channel,
            "product_id": fact.product_id,
            "person_id": fact.person_id,
            "account_id": fact.account_id,
            "currency": fact.currency,
        }
    )
    return pb.TraceRow(
        record_type="transaction",
        record_id=str(fact.transaction_id),
        provenance=Provenance(source=fact.source, source_id=fact.source_id),
        record_time=protos.timestamp(fact.known_from),
        input=_input(fact.code, rules),
        contribution=asked.sign(fact.code) * amount / coins(home),
        fields=fields,
    )
