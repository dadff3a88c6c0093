"""The manager's own judgement of a deal, kept beside the seller's (U2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.copies import rates as rates_told
from closedloop_funnel.opportunities import opening, proto, store, telling
from closedloop_funnel.opportunities.record import Held, Seen
from closedloop_funnel.pipelines import scope
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.OpportunityService")


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One row of `forecast_override`. `level`: how many units it stands above the deal's own."""

    id: str
    opportunity_id: str
    author_id: str
    unit_id: str
    level: int
    category: str = ""
    amount_minor: int | None = None
    currency: str = ""
    reporting_minor: int | None = None
    expected_close_date: date | None = None
    reason: str
    at: datetime
    lifted_at: datetime | None = None


INSERT = rows.insert("forecast_override", Override)
LIFT = """
UPDATE forecast_override SET lifted_at = %(now)s
 WHERE opportunity_id = %(id)s AND author_id = %(author_id)s AND lifted_at IS NULL
"""
NEAREST = """
SELECT to_jsonb(f) FROM forecast_override f WHERE opportunity_id = %(id)s AND lifted_at IS NULL
 ORDER BY level, at DESC LIMIT 1
"""
LIST = f"""
SELECT {rows.listed(Override, "f")} FROM forecast_override f
 WHERE EXISTS (SELECT FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
                WHERE o.id = f.opportunity_id AND {scope.SQL})
   AND (%(id)s::uuid IS NULL OR f.opportunity_id = %(id)s)
   AND (%(author_id)s = '' OR f.author_id = %(author_id)s)
   AND (NOT %(in_force)s OR f.lifted_at IS NULL)
   AND (f.at < %(after)s::timestamptz OR (f.at = %(after)s::timestamptz AND f.id > %(after_id)s::uuid))
 ORDER BY f.at DESC, f.id LIMIT %(limit)s
"""


@rpcs.method
async def override_forecast(request: pb.OverrideForecastRequest, call: Call) -> pb.Opportunity:
    deal = await store.lock(call.tx, request.opportunity_id, call.home.today())
    call.authorize(deal.owner_id, deal.unit_id, deal.participant_ids)
    etags.check(request.etag, deal.version)
    if deal.state != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"it was {deal.state}; what is closed needs no forecast")
    call.tx.do(LIFT, {"id": deal.id, "author_id": call.caller.subject, "now": call.now})
    said = await _said(request, deal, call)
    if said is not None:
        call.tx.do(INSERT, {"rows": rows.pack([said])})
    nearest = await call.tx.value(NEAREST, {"id": deal.id})
    seen = Seen(**rows.row(deal, only=rows.columns(Seen)))
    after = replace(seen, override=nearest, version=deal.version + 1, updated_at=call.now)
    store.save(call.tx, [after])
    call.audit(deal.id, "override_forecast", opening.plain_opportunity(seen), opening.plain_opportunity(after))
    writer = proto.Writer(call)
    telling.tell(call, after, writer.stage(after), after.account_name)
    return writer.write(after)


async def _said(request: pb.OverrideForecastRequest, deal: Held, call: Call) -> Override | None:
    """What the caller now thinks of the deal; None when nothing is left of it."""
    category = word(pipelines_pb2.ForecastCategory, request.category)
    priced, dated = request.HasField("amount"), request.HasField("expected_close_date")
    if not (category or priced or dated):
        return None
    if category == "closed":
        raise errors.InvalidArgument(
            "CATEGORY_NOT_SETTABLE", "closing the deal makes it closed", {"category": "nobody's to say"}
        )
    amount = protos.minor_units(request.amount, "amount") if priced else None
    currency = request.amount.currency_code if priced else ""
    day = protos.day(request.expected_close_date, "expected_close_date") if dated else None
    reporting = await _reporting(call.tx, call, amount, currency, day or deal.expected_close_date)
    unit_id, level = _place(deal.unit_id, call)
    return Override(
        id=new_id(),
        opportunity_id=deal.id,
        author_id=call.caller.subject,
        unit_id=unit_id,
        level=level,
        category=category,
        amount_minor=amount,
        currency=currency,
        reporting_minor=reporting,
        expected_close_date=day,
        reason=request.reason,
        at=call.now,
    )


async def _reporting(tx: Transaction, call: Call, amount: int | None, currency: str, day: date | None) -> int | None:
    rates = await rates_told.spot(tx, call.home.currency, [currency])
    return rates.convert(amount, currency, day or call.home.today())


def _place(unit_id: str, call: Call) -> tuple[str, int]:
    """The nearest unit at or above the deal's that the caller leads, and its height; the company for all others."""
    above = list(call.org.ancestry(unit_id)) or [unit_id]
    for level, one in enumerate(above):
        unit = call.org.unit(one)
        if unit is not None and unit.manager_id == call.caller.subject:
            return one, level
    return above[-1], len(above) - 1


@rpcs.method
async def list_forecast_overrides(
    request: pb.ListForecastOverridesRequest, call: Call
) -> pb.ListForecastOverridesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **scope.params(request.scope, call),
        "id": request.opportunity_id or None,
        "author_id": request.author_id,
        "in_force": request.in_force_only,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(LIST, params, into=Override)
    page, token = pages.split(found, request, lambda one: [one.at.isoformat(), one.id])
    return pb.ListForecastOverridesResponse(
        overrides=[proto.override(rows.row(one)) for one in page], next_page_token=token
    )
