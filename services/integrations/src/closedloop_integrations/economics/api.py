"""EconomicsService."""

from __future__ import annotations

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import economics_pb2 as pb
from closedloop_chassis import pages, protos
from closedloop_chassis.enums import number, word, words
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.economics import bridge, reading, statutory, stock, store, turnover, wire
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import EconomicsRules

rpcs = Rpcs("closedloop.integrations.v1.EconomicsService")

# Between the keys of a row, where a page goes on.
BREAK = "\x1f"


@rpcs.method
async def list_margins(request: pb.ListMarginsRequest, call: Call) -> pb.ListMarginsResponse:
    (after,) = pages.after(request, "")
    rules, scope = call.rules(EconomicsRules), reading.asked(request.scope, call)
    calculation, dimensions = word(pb.Calculation, request.calculation), words(pb.Dimension, request.dimensions)
    found = await reading.totals(call, scope, dimensions, calculation)
    whole = reading.summed(found)
    for place, name in enumerate(dimensions):
        if name == "unit":
            onto = reading.regions(call, request.scope, request.unit_level, {keys[place] for keys in found})
            found = reading.fold(found, place, onto)
    by_product = "product" in dimensions or bool(scope.product_id)
    rows = sorted(
        (BREAK.join(keys), keys, margin)
        for keys, codes in (found if dimensions else {(): whole}).items()
        if (margin := reading.margin(codes, rules, calculation, by_product=by_product)) is not None and not margin.empty
    )
    page, token = pages.split(
        [row for row in rows if row[0] > after or not after][: pages.size(request) + 1], request, lambda row: (row[0],)
    )
    titles = await store.titles(call.db, sorted({key for _, keys, _ in page for key in keys} - {""}))
    titles |= {unit.id: unit.name for unit in call.org.units.values()}
    titles |= {person.id: person.name for person in call.org.people.values()}
    total = reading.margin(whole, rules, calculation, by_product=bool(scope.product_id))
    response = pb.ListMarginsResponse(
        rows=[wire.margin_row(margin, scope.currency, rules.items, keys, titles) for _, keys, margin in page],
        next_page_token=token,
        total=wire.margin_row(total, scope.currency, rules.items),
        rule=reference(call, "items", _sentence(calculation)),
        as_of_time=protos.timestamp(await store.as_of(call.db, scope.at)),
    )
    if calculation == "statutory" and scope.whole_books and (books := statutory.ledger(whole, rules)) is not None:
        response.ledger_difference.CopyFrom(protos.money(books - total.margin, scope.currency))
    return response


@rpcs.method
async def get_margin_bridge(request: pb.GetMarginBridgeRequest, call: Call) -> pb.MarginBridge:
    rules, scope = call.rules(EconomicsRules), reading.asked(request.scope, call)
    by_product = bool(scope.product_id)
    ends = []
    for end in (getattr(request, "from"), request.to):
        calculation = word(pb.Calculation, end)
        found = reading.summed(await reading.totals(call, scope, (), calculation))
        ends.append(reading.margin(found, rules, calculation, by_product=by_product))
    origin, target = ends
    built = bridge.build(origin, target, rules.items)
    response = pb.MarginBridge(
        to=wire.margin_row(target, scope.currency, rules.items),
        items=wire.bridge_items(built, target.revenue, scope.currency),
        residual=protos.money(built.residual, scope.currency),
        rule=reference(call, "items", "margin(from) - sum(items) = margin(to)"),
        as_of_time=protos.timestamp(await store.as_of(call.db, scope.at)),
    )
    getattr(response, "from").CopyFrom(wire.margin_row(origin, scope.currency, rules.items))
    return response


@rpcs.method
async def list_stock_days(request: pb.ListStockDaysRequest, call: Call) -> pb.ListStockDaysResponse:
    (after,) = pages.after(request, -1)
    rules = call.rules(EconomicsRules)
    day = protos.day(request.date) if request.HasField("date") else call.home.today()
    worst = max(request.light - 1, 0)
    lit = [
        (held, light)
        for held in await stock.look(call, call.db, day, [request.product_id] if request.product_id else [])
        if (light := turnover.light(held, rules.stock.lights)) and turnover.LIGHTS.index(light) >= worst
        if request.warehouse in ("", held.warehouse)
    ]
    lit.sort(key=lambda each: turnover.worst_first(*each))
    page, token = pages.split(
        list(enumerate(lit))[after + 1 : after + 2 + pages.size(request)], request, lambda row: (row[0],)
    )
    whole = turnover.together(held for held, _ in lit)

    def shown(held: turnover.Stock, light: str) -> pb.StockDays:
        return pb.StockDays(
            product_id=held.product_id,
            warehouse=held.warehouse,
            date=protos.date_proto(day),
            stock_value=protos.money(held.value, call.home.currency),
            daily_cost_of_sales=protos.money(round(held.daily), call.home.currency),
            days=held.days,
            light=number(common_pb2.Light, light),
            rule=reference(call, "stock.lights", turnover.sentence(held)),
        )

    return pb.ListStockDaysResponse(
        rows=[shown(*row) for _, row in page],
        next_page_token=token,
        total=shown(whole, turnover.light(whole, rules.stock.lights)),
    )


def _sentence(calculation: str) -> str:
    return {
        "statutory": "revenue - cost of goods - items that accounting standards put into the cost of sales",
        "operational": "revenue - cost of goods - every cost item, by the day of its document",
        "contribution": "revenue - cost of goods - controllable cost items",
    }[calculation]
