"""The raw transactions behind what a customer is worth and how long stock lasts; and what all lineages here share (S79)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.struct_pb2 import Struct

from closedloop.common.v1.common_pb2 import Evidence, Provenance
from closedloop.integrations.v1 import economics_pb2
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.currency import coins
from closedloop_chassis.work import Call
from closedloop_integrations.economics import lifetime, stock, store, turnover
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import COST, GOODS, MOVED, REVENUE, EconomicsRules, converted

NOBODY = "00000000-0000-0000-0000-000000000000"


async def lifetime_value(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    """What one customer has brought by the end of the period: its realised margin, whoever sold and wherever it was booked."""
    supported(request, "account_id")
    rules, home, account = call.rules(EconomicsRules), call.home.currency, request.scope.account_id
    whose = await store.owner(call.db, account)
    if whose is None:
        raise errors.NotFound("ACCOUNT_UNKNOWN", f"no account {account}")
    call.authorize(*whose)
    params = {
        **page_params(request),
        "account_id": account,
        "end": protos.day(request.end_date, "end_date"),
        "at": protos.instant(request.at, "at") if request.HasField("at") else None,
        "goods": GOODS if rules.goods == "invoices" else MOVED,
        "currency": home,
    }
    params["rates"] = lifetime.rates(await store.account_money(call.db, params), rules, home)
    brought = await store.brought(call.db, params)
    page, token = split(await store.trace_lifetime(call.db, params), request)
    value = sum(amount for amount, _ in brought.values()) / coins(home)
    found = pb.TraceMetricResponse(
        unit=home,
        explanation=" ".join(f"{amount / coins(home):+.2f} {code}" for code, (amount, _) in brought.items()),
        inputs=[
            Evidence(
                name=input_name(code, rules), value=(amount if code == REVENUE else -amount) / coins(home), unit=home
            )
            for code, (amount, _) in brought.items()
        ][:1000],
        rows=[row(fact, fact.brought / coins(home), rules) for fact in page],
        total_rows=sum(entries for _, entries in brought.values()),
        total_contribution=value,
        rule=reference(call, "lifetime", request.name),
        refresh_time=protos.timestamp(await store.as_of(call.db, params["at"])),
        next_page_token=token,
    )
    if brought:
        found.value = value
    else:
        found.reason = "this customer has bought nothing"
    return found


async def stock_days(request: pb.TraceMetricRequest, call: Call) -> pb.TraceMetricResponse:
    """Of a product, or of all stock, at the end of the period. Rows are of two inputs and add up to each: the balances that lie
    there, and the sales of the window before.

    Stock is nobody's own: its transactions are for those who see the company's."""
    supported(request, "", "product_id")
    if not call.scope.company:
        raise errors.PermissionDenied("OUT_OF_SCOPE", "the sales behind stock days are the whole company's")
    rules, home = call.rules(EconomicsRules), call.home.currency
    day = protos.day(request.end_date, "end_date")
    at = protos.instant(request.at, "at") if request.HasField("at") else None
    wanted = [request.scope.product_id] if request.scope.product_id else []
    known = await stock.read(call, call.db, day, wanted, at=at)
    days = rules.stock.window_days
    shown = turnover.turnover(known.held, known.sold, days)
    products = sorted({each.product_id for each in shown})
    whole = turnover.together(shown)
    sold = sum(known.sold.get(product, 0) for product in products)
    facts: Sequence[store.Traced] = ()
    if products:
        params = {**stock.window(rules, day, products, home), "at": at, **page_params(request)}
        facts = await store.trace_stock(call.db, params)
    page, token = split(facts, request)
    found = pb.TraceMetricResponse(
        unit="d",
        explanation=f"{whole.value / coins(home):.2f} / ({sold / coins(home):.2f} / {days})",
        inputs=[
            Evidence(name="stock_value", value=whole.value / coins(home), unit=home),
            Evidence(name="cost_of_sales", value=sold / coins(home), unit=home),
            Evidence(name="window", value=days, unit="d"),
        ],
        rows=[row(fact, worth(fact, rules, home) / coins(home), rules, stock_input(fact)) for fact in page],
        total_rows=len(shown) + sum(known.entries.get(product, 0) for product in products),
        total_contribution=(whole.value + sold) / coins(home),
        rule=reference(call, "stock", turnover.sentence(whole)),
        refresh_time=protos.timestamp(await store.as_of(call.db, at)),
        next_page_token=token,
    )
    if whole.days is None:
        found.reason = turnover.sentence(whole) if products else "no stock"
    else:
        found.value = whole.days
    return found


def stock_input(fact: store.Traced) -> str:
    return "stock_value" if fact.code == "stock" else "cost_of_sales"


def supported(request: pb.TraceMetricRequest, needed: str, *besides: str) -> None:
    """Raises InvalidArgument SCOPE_NOT_SUPPORTED unless the scope names `needed` ("": nothing) and else only `besides`."""
    given = {field.name for field, value in request.scope.ListFields() if value}
    if strange := sorted(given - {needed, *besides}):
        raise errors.InvalidArgument(
            "SCOPE_NOT_SUPPORTED", f"{request.name} is not known by {strange[0]}", {f"scope.{strange[0]}": "empty"}
        )
    if needed and needed not in given:
        raise errors.InvalidArgument(
            "SCOPE_NOT_SUPPORTED", f"{request.name} is asked by {needed}", {f"scope.{needed}": "whose"}
        )


def scope(request: pb.TraceMetricRequest) -> economics_pb2.EconomicScope:
    found = economics_pb2.EconomicScope(
        start_date=request.start_date,
        end_date=request.end_date,
        unit_id=request.scope.unit_id,
        product_id=request.scope.product_id,
        channel=request.scope.channel,
        account_id=request.scope.account_id,
        person_id=request.scope.person_id,
    )
    if request.HasField("at"):
        found.at.CopyFrom(request.at)
    return found


def page_params(request: pb.TraceMetricRequest) -> dict[str, Any]:
    after, code, product = pages.after(request, NOBODY, "", "")
    return {"after": after, "after_code": code, "after_product": product, "limit": pages.size(request) + 1}


def split(facts: Sequence[store.Traced], request: pb.TraceMetricRequest) -> tuple[Sequence[store.Traced], str]:
    return pages.split(list(facts), request, lambda fact: (str(fact.transaction_id), fact.code, fact.product_id))


def worth(fact: store.Traced, rules: EconomicsRules, home: str) -> int:
    """What it adds to what is converted together with the rows before it."""
    rate = rules.worth(fact.currency, fact.day, home)
    upto = converted(fact.before + fact.amount_minor, fact.currency, home, rate)
    return upto - converted(fact.before, fact.currency, home, rate)


def input_name(code: str, rules: EconomicsRules) -> str:
    return rules.item(code.removeprefix(COST)).name if code.startswith(COST) else code


def row(fact: store.Traced, contribution: float, rules: EconomicsRules, name: str = "") -> pb.TraceRow:
    """A transaction of the ERP behind a figure; `name` is the input it counts in where its code does not say."""
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
        input=name or input_name(fact.code, rules),
        contribution=contribution,
        fields=fields,
    )
