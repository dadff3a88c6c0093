"""TransferOpportunities: deals go to a new owner with their open contracts; all of them or none (S82)."""

from __future__ import annotations

from dataclasses import replace

from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.colleagues import successor
from closedloop_funnel.opportunities import papers, proto, store, telling
from closedloop_funnel.opportunities.opening import plain_opportunity

rpcs = Rpcs("closedloop.funnel.v1.OpportunityService")


@rpcs.method
async def transfer_opportunities(
    request: pb.TransferOpportunitiesRequest, call: Call
) -> pb.TransferOpportunitiesResponse:
    """Their clocks, and with them whom a task goes to, follow; a closed deal keeps its owner: he won or lost it."""
    person = successor(request.new_owner_id, call)
    wanted = list(dict.fromkeys(request.opportunity_ids))
    found = {deal.id: deal for deal in await store.lock_many(call.tx, wanted)}
    for one in wanted:
        if one not in found:
            raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {one}")
        call.authorize(found[one].owner_id, found[one].unit_id)
        if found[one].state != "open":
            raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"{one} was {found[one].state}; reopen it first")
    after = {
        one: replace(
            found[one],
            owner_id=person.id,
            unit_id=person.unit_id,
            version=found[one].version + 1,
            updated_at=call.now,
        )
        for one in wanted
        if (found[one].owner_id, found[one].unit_id) != (person.id, person.unit_id)
    }
    store.save(call.tx, list(after.values()))
    store.transfer_contracts(call.tx, list(after), person.id, person.unit_id, call.now)
    await papers.other_owner(call, list(after), person.id, person.unit_id, request.reason)
    writer = proto.Writer(call)
    for one, deal in after.items():
        call.clocks.hand_over(one, person.id, person.unit_id)
        call.audit(
            one, "transfer", plain_opportunity(found[one]), {**plain_opportunity(deal), "reason": request.reason}
        )
        telling.tell(call, deal, writer.stage(deal), deal.account_name)
    answer = {**found, **after}
    return pb.TransferOpportunitiesResponse(
        opportunities=[writer.write(answer[one]) for one in request.opportunity_ids]
    )
