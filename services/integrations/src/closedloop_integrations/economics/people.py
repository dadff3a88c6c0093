"""EconomicsService: what customers are worth, and what sellers bring (S76)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from functools import cache

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.integrations.v1 import economics_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.enums import word
from closedloop_chassis.work import Call
from closedloop_integrations.economics import lifetime, reading, store
from closedloop_integrations.economics.api import rpcs as rpcs
from closedloop_integrations.economics.productivity import places, workdays
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import GOODS, MOVED, EconomicsRules, Margin

NOBODY = "00000000-0000-0000-0000-000000000000"
# Before the highest sum there can be.
HIGHEST = -(2**62)


@rpcs.method
async def list_lifetime_values(request: pb.ListLifetimeValuesRequest, call: Call) -> pb.ListLifetimeValuesResponse:
    after, after_id = pages.after(request, HIGHEST, NOBODY)
    rules, home, today = call.rules(EconomicsRules), call.home.currency, call.home.today()
    if request.unit_id and call.org.unit(request.unit_id) is None:
        raise errors.NotFound("UNIT_UNKNOWN", f"no unit {request.unit_id}")
    rates = lifetime.rates(await store.foreign(call.db, home), rules, home)
    found = await store.lifetimes(
        call.db,
        {
            **call.scope.params,
            "goods": GOODS if rules.goods == "invoices" else MOVED,
            "rates": rates,
            "account_id": request.account_id or None,
            "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
            "owner_id": request.owner_id,
            "channel": request.channel,
            "first_from": protos.day(request.first_order_from) if request.HasField("first_order_from") else None,
            "first_to": protos.day(request.first_order_to) if request.HasField("first_order_to") else None,
            "after": after,
            "after_id": after_id,
            "limit": pages.size(request) + 1,
        },
    )
    page, token = pages.split(found, request, lambda row: (-row.realised, str(row.id)))
    return pb.ListLifetimeValuesResponse(
        values=[_value(row, call, rules, home, today) for row in page], next_page_token=token
    )


def _value(row: store.Worth, call: Call, rules: EconomicsRules, home: str, today: date) -> pb.LifetimeValue:
    margins = {date.fromisoformat(month): margin for month, margin in row.margins.items()}
    expected = lifetime.expect(margins, row.orders, row.first_day, today, rules.lifetime)
    value = pb.LifetimeValue(
        account_id=str(row.id),
        account_name=row.name,
        ownership=Ownership(owner_id=row.owner_id, unit_id=row.unit_id),
        first_order_date=protos.date_proto(row.first_day),
        last_order_date=protos.date_proto(row.last_day),
        orders=row.orders,
        realised_margin=protos.money(row.realised, home),
        reason=expected.reason,
        acquisition_channel=row.channel,
        rule=reference(call, "lifetime", expected.reason or f"over {rules.lifetime.horizon_months} months"),
    )
    if not expected.reason:
        value.expected_margin.CopyFrom(protos.money(expected.margin, home))
        value.expected_low.CopyFrom(protos.money(expected.low, home))
        value.expected_high.CopyFrom(protos.money(expected.high, home))
    return value


@rpcs.method
async def list_productivity(request: pb.ListProductivityRequest, call: Call) -> pb.ListProductivityResponse:
    (after,) = pages.after(request, "")
    column, calculation = word(pb.Dimension, request.column), word(pb.Calculation, request.calculation)
    if column == "person":
        raise errors.InvalidArgument("COLUMN_IS_ROW", "people are the rows", {"column": "another dimension"})
    rules, scope = call.rules(EconomicsRules), reading.asked(request.scope, call, of_units=False)
    # A place among peers needs the peers; only those in reach are shown.
    found = await reading.totals(call, scope, ("person", column), calculation, everybody=True)
    by_product = column == "product"
    cells: dict[str, dict[str, Margin]] = defaultdict(dict)
    for (person, key), codes in found.items():
        margin = reading.margin(codes, rules, calculation, by_product=by_product)
        if person and not margin.empty:
            cells[person][key] = margin
    whole = {
        person: reading.margin(codes, rules, calculation)
        for (person, _), codes in reading.fold(found, 1, {key: "" for _, key in found}).items()
        if person in cells
    }
    standing = places({(person, key): m.margin for person, row in cells.items() for key, m in row.items()})
    overall = places({(person, ""): margin.margin for person, margin in whole.items()})

    @cache
    def days_of(unit_id: str, begin: date, end: date) -> int:
        return workdays(call, unit_id, begin, end)

    def cell(person: str, unit_id: str, key: str, margin: Margin, place: float) -> pb.ProductivityCell:
        shown = pb.ProductivityCell(
            key=key,
            revenue=protos.money(margin.revenue, scope.currency),
            margin=protos.money(margin.margin, scope.currency),
            orders=margin.orders,
            percentile=place,
        )
        if not key or column == "month":
            begin, end = scope.month(key) if key else (scope.begin, scope.end)
            if days := days_of(unit_id, begin, end):
                shown.working_days = days
                shown.margin_per_day.CopyFrom(protos.money(round(margin.margin / days), scope.currency))
        return shown

    people = [(person, known.unit_id if (known := call.org.person(person)) else "") for person in sorted(cells)]
    rows = [(p, unit) for p, unit in people if p > after and call.scope.covers(p, unit)][: pages.size(request) + 1]
    page, token = pages.split(rows, request, lambda row: (row[0],))
    return pb.ListProductivityResponse(
        rows=[
            pb.ProductivityRow(
                person_id=person,
                unit_id=unit,
                cells=[cell(person, unit, key, m, standing[person, key]) for key, m in sorted(cells[person].items())],
                total=cell(person, unit, "", whole[person], overall[person, ""]),
            )
            for person, unit in page
        ],
        next_page_token=token,
        as_of_time=protos.timestamp(await store.as_of(call.db, scope.at)),
    )
