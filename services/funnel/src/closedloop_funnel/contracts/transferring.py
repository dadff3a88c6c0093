"""TransferContracts: contracts go to a new owner; all of them or none (S82)."""

from __future__ import annotations

from dataclasses import replace

from closedloop.funnel.v1 import contracts_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.data.rows import row
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.colleagues import successor
from closedloop_funnel.contracts import proto, store
from closedloop_funnel.opportunities import papers
from closedloop_funnel.watch.feed import tell_watchers

rpcs = Rpcs("closedloop.funnel.v1.ContractService")


@rpcs.method
async def transfer_contracts(request: pb.TransferContractsRequest, call: Call) -> pb.TransferContractsResponse:
    """Also signed ones, which somebody looks after; one that is submitted is asked anew, up the new owner's line."""
    person = successor(request.new_owner_id, call)
    wanted = list(dict.fromkeys(request.contract_ids))
    found = {one.id: one for one in await store.lock_many(call.tx, wanted)}
    for one in wanted:
        if one not in found:
            raise errors.NotFound("CONTRACT_UNKNOWN", f"no contract {one}")
        call.authorize(found[one].owner_id, found[one].unit_id)
    after = {
        one: replace(
            found[one],
            owner_id=person.id,
            unit_id=person.unit_id,
            revision=found[one].revision + 1,
            updated_at=call.now,
        )
        for one in wanted
        if (found[one].owner_id, found[one].unit_id) != (person.id, person.unit_id)
    }
    store.save_many(call.tx, list(after.values()))
    for one, contract in after.items():
        beside = ("deal", "quote", "offered", "asked_for_id", "updated_at")
        before, now = (row(seen, *beside) for seen in (found[one], contract))
        if contract.state == "submitted":
            papers.reassign(
                call, "contract", one, contract.submitted_revision, person.id, person.unit_id, request.reason
            )
        call.audit(one, "transfer", before, {**now, "reason": request.reason})
    tell_watchers(call)
    answer = {**found, **after}
    return pb.TransferContractsResponse(contracts=[proto.write(answer[one]) for one in request.contract_ids])
