"""PotentialService."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import BulkSummary, Evidence
from closedloop.customers.v1 import potential_pb2 as pb
from closedloop_chassis import bulk, errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import explanations, records
from closedloop_customers.potential import desk, history, store

rpcs = Rpcs("closedloop.customers.v1.PotentialService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def get_potential(request: pb.GetPotentialRequest, call: Call) -> pb.Potential:
    key = ("account", request.account_id)
    standing = (await records.find(call.db, [key])).get(key)
    if standing is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {request.account_id}")
    call.authorize(standing.owner_id, standing.unit_id, standing.participant_ids)
    found = await call.db.one(store.GET, {"account_id": standing.id}, into=store.Standing)
    if found is None:
        raise errors.FailedPrecondition(
            "NOT_EVALUATED", "this account was made a moment ago; it is evaluated by itself, or by EvaluatePotentials"
        )
    potential = _to_proto(found, (await store.matches(call.db, [standing.id])).get(standing.id, []))
    for row in await call.db.all(store.LABELS, {"account_id": standing.id}):
        potential.labels.add(
            account_id=row["account_id"],
            high=row["high"],
            labelled_by=row["labelled_by"],
            label_time=protos.timestamp(row["labelled_at"]),
            reason=row["reason"],
        )
    return potential


@rpcs.method
async def label_potentials(request: pb.LabelPotentialsRequest, call: Call) -> BulkSummary:
    return await history.label(request, call)


@rpcs.method
async def bulk_record_outcomes(request: pb.BulkRecordOutcomesRequest, call: Call) -> BulkSummary:
    return await history.outcomes(request, call)


@rpcs.method
async def get_potential_accuracy(request: pb.GetPotentialAccuracyRequest, call: Call) -> pb.PotentialAccuracy:
    return await history.accuracy(request, call)


@rpcs.method
async def list_potentials(request: pb.ListPotentialsRequest, call: Call) -> pb.ListPotentialsResponse:
    after_score, after_id = pages.after(request, -1e9, FIRST_ID)
    params = {
        **records.filters(request, call),
        "account_ids": list(request.account_ids) or None,
        "high": request.high if request.HasField("high") else None,
        "disagreeing": request.disagreeing,
        "tender_since": protos.instant(request.tender_since_time) if request.HasField("tender_since_time") else None,
        "after_score": after_score,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=store.Standing)
    page, token = pages.split(found, request, lambda row: (-row.score, row.account_id))
    matches = await store.matches(call.db, [row.account_id for row in page])
    potentials = [_to_proto(row, matches.get(row.account_id, [])[:1]) for row in page]
    return pb.ListPotentialsResponse(potentials=potentials, next_page_token=token)


@rpcs.method
async def evaluate_potentials(request: pb.EvaluatePotentialsRequest, call: Call) -> BulkSummary:
    if not request.account_ids:
        ids = [row["id"] for row in await call.tx.all(store.IN_REACH, call.scope.params)]
        outcome = await desk.reevaluate(call, ids, "request")
        return bulk.summary(read=len(ids), created=len(outcome.first), updated=len(outcome.changed), refused=[])
    wanted, refused = await records.sifted(call, request.account_ids)
    outcome = await desk.reevaluate(call, wanted, "request")
    return bulk.summary(
        read=len(request.account_ids), created=len(outcome.first), updated=len(outcome.changed), refused=refused
    )


def _to_proto(row: store.Standing, matches: list[store.Match]) -> pb.Potential:
    potential = pb.Potential(
        account_id=row.account_id,
        ownership=records.ownership(row.owner_id, row.unit_id),
        score=row.score,
        high=row.high,
        dimensions=[pb.ScoreDimension(**{**part, "input": Evidence(**part["input"])}) for part in row.dimensions],
        rule=explanations.reference(row.rule),
        tender_matches=[_match(match) for match in matches],
        cause=row.cause,
        evaluate_time=protos.timestamp(row.evaluated_at),
    )
    if row.previous_score is not None:
        potential.previous_score = row.previous_score
    return potential


def _match(match: store.Match) -> pb.TenderMatch:
    return pb.TenderMatch(
        notice_id=match.notice_id,
        title=match.title,
        buyer_name=match.buyer_name,
        keywords=match.keywords,
        amount=None if match.amount_minor is None else protos.money(match.amount_minor, match.currency),
        publish_date=protos.date_proto(match.published_on),
        url=match.url,
        match_ratio=match.confidence,
    )
