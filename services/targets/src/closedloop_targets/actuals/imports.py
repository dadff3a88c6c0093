"""ImportActuals: facts of another system, restated by their provenance."""

from __future__ import annotations

from datetime import date

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.targets.v1 import actuals_pb2 as pb
from closedloop_chassis import bulk, errors
from closedloop_chassis.work import Call
from closedloop_targets.actuals import inputs, rules, store
from closedloop_targets.actuals.inputs import Claim
from closedloop_targets.actuals.rpcs import rpcs
from closedloop_targets.actuals.rules import Fact
from closedloop_targets.book.rates import Rates


@rpcs.method
async def import_actuals(request: pb.ImportActualsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.actuals)
    today = call.home.today()
    await _see_newcomers(call, [given for _, given in good])
    rates = await inputs.rates_of(call, [given for _, given in good])
    claims: list[tuple[int, Claim]] = []
    seen: set[tuple[str, str]] = set()
    for position, given in good:
        try:
            claims.append((position, _read(call, given, seen, today, rates)))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    for source in sorted({source for source, _ in seen}):
        call.tx.do(store.LOCK, {"source": source})
    known = await store.known(
        call.tx,
        sources=sorted(seen),
        holders=sorted({(claim.person_id, claim.day) for _, claim in claims if claim.person_id}),
        products=sorted({claim.given.scope.product_id for _, claim in claims}),
    )
    facts: list[Fact] = []
    for position, claim in claims:
        try:
            facts.append(inputs.fact(call, claim, known, claim.given.provenance.source_id))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    kept = {(fact.source, fact.source_id) for fact in facts}
    live = [row for row in known.live if (row.fact.source, row.fact.source_id) in kept]
    taken_back, new = rules.restate(live, facts)
    if not request.validate_only and new:
        store.write(call, [(row, "imported anew with other content") for row in taken_back], new)
        call.audit(
            "actuals", "import", after={"recorded": len(new), "reversed": len(taken_back), "rejected": len(refused)}
        )
    created, updated = len(new) - len(taken_back), len(taken_back)
    return bulk.summary(read=len(request.actuals), created=created, updated=updated, refused=refused)


def _read(call: Call, given: pb.ActualInput, seen: set[tuple[str, str]], today: date, rates: Rates) -> Claim:
    key = (given.provenance.source, given.provenance.source_id)
    if not key[1]:
        raise errors.InvalidArgument(
            "SOURCE_ID_MISSING", "an imported row names itself in its source", {"provenance.source_id": "is needed"}
        )
    if key in seen:
        raise errors.InvalidArgument("ROW_REPEATED", f"{key[1]} of {key[0]} stands in the batch twice")
    claim = inputs.read(call, given, "import", today, rates)
    seen.add(key)
    return claim


async def _see_newcomers(call: Call, given: list[pb.ActualInput]) -> None:
    """People and units imported a moment ago may not be in memory yet: one look for all of them."""
    org = call.org
    if any(
        (one.holder.person_id and one.holder.person_id not in org.people)
        or (one.holder.unit_id and one.holder.unit_id not in org.units)
        for one in given
    ):
        await call.process.look()
