"""ListOpportunities: deals in full, or as the lines of a pipeline, which are kept ready."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.answers import Topics
from closedloop_chassis.data import patterns
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.opportunities import proto, store
from closedloop_funnel.opportunities.record import DealLine, Seen
from closedloop_funnel.pipelines import scope
from closedloop_funnel.words import word

LIGHTS = ("none", "blue", "yellow", "red")


async def listed(request: pb.ListOpportunitiesRequest, call: Call) -> pb.ListOpportunitiesResponse | bytes:
    if request.view == pb.OPPORTUNITY_VIEW_BASIC:
        return await call.process.answers.answer(call, lambda: _topics(call), lambda: _lines(request, call))
    order_by, params = _question(request, call)
    page, token = pages.split(await store.page(call.db, order_by, params), request, lambda deal: _key(order_by, deal))
    writer = proto.Writer(call)
    return pb.ListOpportunitiesResponse(opportunities=[writer.write(deal) for deal in page], next_page_token=token)


async def _topics(call: Call) -> Topics:
    """All deals within the caller's reach; time alone changes no line."""
    until = call.home.moment(call.home.today() + timedelta(days=1))
    if call.scope.company:
        return Topics(("accounts", "deals"), until)
    units = (f"deals:{unit}" for unit in sorted(call.scope.unit_ids))
    return Topics(("accounts", f"deals@{call.scope.owner_id}", *units), until)


async def _lines(request: pb.ListOpportunitiesRequest, call: Call) -> pb.ListOpportunitiesResponse:
    order_by, params = _question(request, call)
    page, token = pages.split(await store.lines(call.db, order_by, params), request, lambda deal: _key(order_by, deal))
    return pb.ListOpportunitiesResponse(opportunities=[proto.line(deal) for deal in page], next_page_token=token)


def _question(request: pb.ListOpportunitiesRequest, call: Call) -> tuple[str, dict[str, Any]]:
    """Its order and what it asks for. Raises InvalidArgument ORDER_UNKNOWN."""
    order_by = request.order_by or "update_time desc"
    if order_by not in store.ORDERS:
        raise errors.InvalidArgument(
            "ORDER_UNKNOWN", f"order_by is one of: {', '.join(store.ORDERS)}", {"order_by": "unknown"}
        )
    after, after_id = pages.after(request, store.ORDERS[order_by][3], "00000000-0000-0000-0000-000000000000")
    least = LIGHTS.index(word(common_pb2.Light, request.least_dwell_light) or "none")
    return order_by, {
        **scope.params(request.scope, call),
        "states": [word(pb.OpportunityState, state) for state in request.states] or None,
        "stage_keys": list(request.stage_keys) or None,
        "categories": [word(pipelines_pb2.ForecastCategory, c) for c in request.forecast_categories] or None,
        "close_from": protos.day_of(request, "close_date_from"),
        "close_to": protos.day_of(request, "close_date_to"),
        "created_from": protos.instant_of(request, "create_time_from"),
        "created_to": protos.instant_of(request, "create_time_to"),
        "lights": list(LIGHTS[least:]) if least else None,
        "least_pushes": request.least_push_count,
        "query": patterns.containing(request.query),
        "without_account": request.without_account,
        "under_review": request.under_review,
        "reason_code": request.reason_code,
        "source": request.source,
        "source_id": request.source_id,
        "custom_fields": call.rules(FunnelFieldRules).path(
            "opportunity", plain(request.custom_fields), request.custom_field_ranges
        ),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }


def _key(order_by: str, deal: Seen | DealLine) -> list[Any]:
    if order_by == "amount desc":
        return [-1 if deal.amount_minor is None else deal.amount_minor, deal.id]
    if order_by == "expected_close_date":
        return [str(deal.expected_close_date or "infinity"), deal.id]
    return [(deal.updated_at if order_by == "update_time desc" else deal.stage_entered_at).isoformat(), deal.id]
