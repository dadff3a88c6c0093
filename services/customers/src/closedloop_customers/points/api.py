"""OpportunityPointService."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import opportunity_points_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, explanations, provenance, records
from closedloop_customers.points import desk, store
from closedloop_customers.points.rules import PointRules
from closedloop_customers.points.store import Point

rpcs = Rpcs("closedloop.customers.v1.OpportunityPointService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def get_opportunity_point(request: pb.GetOpportunityPointRequest, call: Call) -> pb.OpportunityPoint:
    return await accesses.shown(call, to_proto(_seen(call, await store.get(call.db, request.id), request.id)))


@rpcs.method
async def list_opportunity_points(
    request: pb.ListOpportunityPointsRequest, call: Call
) -> pb.ListOpportunityPointsResponse:
    after, after_id = pages.after(request, "-infinity", FIRST_ID)
    begins, ends = protos.bounds(request.created)
    params = {
        **records.filters(request, call),
        "account_id": request.account_id or None,
        "states": enums.words(pb.OpportunityPointState, request.states) or ["open"],
        "start": begins,
        "end": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Point)
    page, token = pages.split(found, request, lambda row: (row.created_at.isoformat(), row.id))
    listed = pb.ListOpportunityPointsResponse(points=[to_proto(row) for row in page], next_page_token=token)
    return await accesses.shown(call, listed)


@rpcs.method
async def create_opportunity_point(request: pb.CreateOpportunityPointRequest, call: Call) -> pb.OpportunityPoint:
    keys = [("account", request.account_id), ("contact", request.contact_id)]
    standing = await records.find(call.tx, [key for key in keys if key[1]])
    account, contact = (standing.get(key) for key in keys)
    if account is None or not account.open:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no living account {request.account_id}")
    if request.contact_id and (contact is None or contact.account_id != account.id):
        raise errors.NotFound("CONTACT_NOT_FOUND", f"{request.contact_id} is nobody of this account")
    if not request.need.strip():
        raise errors.InvalidArgument("NEED_MISSING", "say what they need", {"need": "value is required"})
    owner = (request.owner_id, records.person_unit(call, request.owner_id)) if request.owner_id else None
    given = request.provenance if request.HasField("provenance") else Provenance(source_id=new_id())
    kept = provenance.by_hand(call, given)
    why = f"noted by {call.caller.subject}"
    point = await desk.find(
        call,
        account,
        need=request.need.strip(),
        quote=request.quote.strip(),
        rule=explanations.because(call, PointRules, "by_hand", why),
        kept=kept,
        contact_id=contact.id if contact is not None else None,
        product_lines=request.product_lines,
        owner=owner,
    )
    if point is None:
        point = await call.tx.one(store.BY_SOURCE, {"key": f"{kept['source']} {kept['source_id']}"}, into=Point)
        assert point is not None
        call.authorize(point.owner_id, point.unit_id)
    return to_proto(point)


@rpcs.method
async def decide_opportunity_point(request: pb.DecideOpportunityPointRequest, call: Call) -> pb.OpportunityPoint:
    point = await call.tx.one(store.LOCK, {"id": request.id}, into=Point)
    point = _seen(call, point, request.id)
    etags.check(request.etag, point.version)
    if point.state != "open":
        raise errors.FailedPrecondition("ALREADY_DECIDED", f"{point.state} by {point.decided_by}", state=point.state)
    state = enums.word(pb.OpportunityPointState, request.decision)
    if state == "dismissed" and not request.reason.strip():
        raise errors.InvalidArgument("REASON_MISSING", "say why it is none", {"reason": "required to dismiss"})
    # Whoever takes up what nobody owned owns it.
    owner = (point.owner_id, point.unit_id)
    if not point.owner_id and state == "accepted":
        owner = (call.caller.subject, records.person_unit(call, call.caller.subject))
    after = desk.decide(call, point, state, request.reason.strip(), call.caller.subject, owner)
    if state == "accepted":
        found = events.OpportunityPointFound(
            opportunity_point_id=after.id,
            account_id=after.account_id,
            contact_id=after.contact_id or "",
            ownership=records.ownership(after.owner_id, after.unit_id),
            need=after.need,
            product_lines=after.product_lines,
            provenance=provenance.to_proto(after.provenance),
            decide_time=protos.timestamp(call.now),
        )
        call.tell(found, after.id)
    return to_proto(after)


def _seen(call: Call, point: Point | None, id_: str) -> Point:
    if point is None:
        raise errors.NotFound("POINT_NOT_FOUND", f"no opportunity point {id_}")
    call.authorize(point.owner_id, point.unit_id)
    return point


def to_proto(point: Point) -> pb.OpportunityPoint:
    return pb.OpportunityPoint(
        id=point.id,
        account_id=point.account_id,
        contact_id=point.contact_id or "",
        ownership=records.ownership(point.owner_id, point.unit_id),
        need=point.need,
        quote=point.quote,
        rule=explanations.reference(point.rule),
        product_lines=point.product_lines,
        provenance=provenance.to_proto(point.provenance),
        state=enums.number(pb.OpportunityPointState, point.state),
        create_time=protos.timestamp(point.created_at),
        due_time=protos.timestamp(point.due_at),
        decided_by=point.decided_by,
        decide_time=protos.timestamp(point.decided_at),
        decision_reason=point.decision_reason,
        opportunity_id=point.opportunity_id or "",
        etag=etags.of(point.version),
    )
