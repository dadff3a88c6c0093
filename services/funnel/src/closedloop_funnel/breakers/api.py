"""BreakerService: who gets no leads, why, and what still lacks (S55)."""

from __future__ import annotations

from typing import Any

from closedloop.funnel.v1 import breakers_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.breakers import rules, store, switching
from closedloop_funnel.breakers.rules import BreakerRules
from closedloop_funnel.breakers.store import Breaker, Counted
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.BreakerService")


@rpcs.method
async def list_breakers(request: pb.ListBreakersRequest, call: Call) -> pb.ListBreakersResponse:
    # "open" sorts after "closed", and stands before it.
    after_state, after = pages.after(request, "~", "")
    params: dict[str, Any] = {
        **call.scope.params,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "state": word(pb.BreakerState, request.state),
        "after_state": after_state,
        "after": after,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Breaker)
    page, token = pages.split(found, request, lambda one: [one.state, one.person_id])
    return pb.ListBreakersResponse(breakers=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def get_breaker(request: pb.GetBreakerRequest, call: Call) -> pb.Breaker:
    wanted = request.person_id or call.caller.subject
    person = call.org.person(wanted)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {wanted}")
    call.authorize(person.id, person.unit_id)
    monday, begins, ends = switching.week_of(call.now, call)
    [live] = await store.counted(call.db, call.rules(OpportunityRules).valid_needs, begins, ends, person.id)
    breaker = await call.db.one(store.GET, {"person_id": person.id}, into=Breaker)
    answer = pb.Breaker(person_id=person.id, unit_id=person.unit_id, state=pb.BREAKER_STATE_CLOSED)
    if breaker is not None:
        answer = _to_proto(breaker)
        answer.history.extend(_change(row) for row in await call.db.all(store.CHANGES, {"person_id": person.id}))
    # What is counted now, whether anything follows from it or not.
    answer.week.CopyFrom(protos.date_proto(monday))
    answer.visit_count, answer.opportunity_count = live.visits, live.opportunities
    if breaker is not None and breaker.state == "open":
        answer.remaining_conditions.append(rules.remaining(call.rules(BreakerRules), live.since_opening))
    return answer


@rpcs.method
async def close_breaker(request: pb.CloseBreakerRequest, call: Call) -> pb.Breaker:
    found = await call.tx.all(store.LOCK, {"people": [request.person_id]}, into=Breaker)
    if not found or found[0].state == "closed":
        raise errors.FailedPrecondition("BREAKER_CLOSED", f"leads flow to {request.person_id}")
    [before] = found
    call.authorize(before.person_id, before.unit_id)
    etags.check(request.etag, before.version)
    if before.person_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_BREAKER", "nobody closes his own")
    counted = Counted(before.person_id, before.visit_count, before.opportunity_count, 0)
    return _to_proto(switching.close(before, counted, request.reason, call.caller.subject, call))


def _to_proto(breaker: Breaker) -> pb.Breaker:
    return pb.Breaker(
        person_id=breaker.person_id,
        etag=etags.of(breaker.version),
        unit_id=breaker.unit_id,
        state=number(pb.BreakerState, breaker.state),
        week=protos.date_proto(breaker.week),
        visit_count=breaker.visit_count,
        opportunity_count=breaker.opportunity_count,
        rule=switching.reference(breaker),
        open_time=protos.timestamp(breaker.opened_at),
        close_time=protos.timestamp(breaker.closed_at),
        closed_by=breaker.closed_by,
        close_reason=breaker.close_reason,
    )


def _change(row: dict[str, Any]) -> pb.BreakerChange:
    return pb.BreakerChange(
        state=number(pb.BreakerState, row["state"]),
        time=protos.timestamp(row["at"]),
        visit_count=row["visit_count"],
        opportunity_count=row["opportunity_count"],
        author_id=row["author_id"],
        reason=row["reason"],
    )
