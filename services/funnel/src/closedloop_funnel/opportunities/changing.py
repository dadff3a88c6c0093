"""Fields of an open deal changed by a mask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, masks, protos
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call, Work
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.opportunities import opening, proto, store
from closedloop_funnel.opportunities.record import Line, Seen
from closedloop_funnel.opportunities.rules import check_dates
from closedloop_funnel.pipelines import removed
from closedloop_funnel.words import word

PATHS = {
    *("name", "need", "account_id", "lines", "amount", "engage_date", "expected_close_date", "forecast_category"),
    *("competitors", "participants", "customer_type", "custom_fields"),
}


async def change(before: Seen, request: pb.UpdateOpportunityRequest, work: Call) -> Seen:
    """The deal with the fields of the mask as the request has them; one round trip if it names accounts or products."""
    mask = masks.some(request.update_mask, PATHS)
    after = replace(before, **_plain(request, mask, work))
    if "forecast_category" in mask:
        after = _categorised(after, request, work)
    if mask & {"account_id", "lines"}:
        after = await _referring(after, request, mask, work)
    elif "amount" in mask:
        priced = request.HasField("amount")
        amount = protos.minor_units(request.amount) if priced else None
        after = await opening.valued(after, after.lines, amount, request.amount.currency_code, work)
    elif "expected_close_date" in mask:
        after = await opening.restated(after, work)
    check_dates(after.engage_date, after.expected_close_date)
    return after


def _plain(request: pb.UpdateOpportunityRequest, mask: set[str], work: Work) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "name" in mask:
        if not request.name:
            raise errors.InvalidArgument("NAME_REQUIRED", "an opportunity has a name", {"name": "is empty"})
        values["name"] = request.name
    for path in ("need", "customer_type"):
        if path in mask:
            values[path] = getattr(request, path)
    dates: tuple[Literal["engage_date", "expected_close_date"], ...] = ("engage_date", "expected_close_date")
    for day in dates:
        if day in mask:
            values[day] = protos.day(getattr(request, day), day) if request.HasField(day) else None
    if "competitors" in mask:
        values["competitors"] = list(request.competitors)
    if "participants" in mask:
        values["participants"] = {p.person_id: word(pb.ParticipantRole, p.role) for p in request.participants}
        values["participant_ids"] = list(values["participants"])
    if "custom_fields" in mask:
        values["custom_fields"] = plain(request.custom_fields)
        work.rules(FunnelFieldRules).check("opportunity", values["custom_fields"])
    return values


def _categorised(deal: Seen, request: pb.UpdateOpportunityRequest, work: Work) -> Seen:
    category = word(pipelines_pb2.ForecastCategory, request.forecast_category)
    if category == "closed":
        raise errors.InvalidArgument(
            "CATEGORY_NOT_SETTABLE", "closing the deal makes it closed", {"forecast_category": "not the seller's"}
        )
    if category:
        return replace(deal, category=category, category_set=True)
    stage = removed.stage_of(deal.pipeline_id, deal.stage_key, work)
    return replace(deal, category=stage.category, category_set=False)


async def _referring(deal: Seen, request: pb.UpdateOpportunityRequest, mask: set[str], work: Call) -> Seen:
    account_id = request.account_id if "account_id" in mask else deal.account_id or ""
    lines: list[Line] = deal.lines
    if "lines" in mask:
        lines = [proto.line_from_proto(line, f"lines.{i}") for i, line in enumerate(request.lines)]
    found = await store.references(work.tx, account_id, [line["product_id"] for line in lines])
    if "account_id" in mask:
        account_id = opening.reachable(account_id, found, work)
        account = found.account or {}
        bought = found.bought_before or account.get("status") in ("customer", "former")
        deal = replace(deal, account_id=account_id or None, account_name=account.get("name", ""), repurchase=bought)
    if "lines" in mask:
        lines = opening.priced(lines, found)
    amount = deal.amount_minor if "lines" not in mask and "amount" not in mask else None
    currency = deal.currency if amount is not None else ""
    if request.HasField("amount") and "amount" in mask:
        amount, currency = protos.minor_units(request.amount), request.amount.currency_code
    return await opening.valued(deal, lines, amount, currency, work)
