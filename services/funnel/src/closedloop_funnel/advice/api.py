"""AdviceService: what to say better, what to write in (S87)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import advice_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.advice import making, store
from closedloop_funnel.advice.store import Advice
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.AdviceService")


@rpcs.method
async def get_advice(request: pb.GetAdviceRequest, call: Call) -> pb.Advice:
    """The one that was made when it was logged; where none was, one made now, which nobody keeps and nobody rates."""
    if bool(request.activity_id) == bool(request.proposal_id):
        raise errors.InvalidArgument(
            "ONE_OF_TWO",
            "name an activity or a proposal",
            {"activity_id": "one of the two", "proposal_id": "one of the two"},
        )
    params = {"activity": request.activity_id or None, "proposal": request.proposal_id or None}
    found = await call.db.one(store.OF, params, into=Advice)
    if found is not None:
        call.authorize(found.person_id, found.unit_id)
        return _to_proto(found)
    if request.activity_id:
        made = await making.on_talks(call.db, call, [request.activity_id])
    else:
        made = await making.on_proposals(call.db, call, [request.proposal_id])
    if not made:
        raise errors.NotFound("NOTHING_TO_ADVISE_ON", "no talk or proposal of that id")
    [advice] = made
    call.authorize(advice.person_id, advice.unit_id)
    if not advice.items:
        if request.activity_id:
            raise errors.FailedPrecondition("NOTHING_TO_ADVISE_ON", "nothing was heard in it that could be better")
        raise errors.FailedPrecondition(
            "TOO_LITTLE_DATA", "too few customers of this type and industry have said what they care about"
        )
    return _to_proto(replace(advice, id=""))


@rpcs.method
async def list_advice(request: pb.ListAdviceRequest, call: Call) -> pb.ListAdviceResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    mine = "" if request.opportunity_id else call.caller.subject
    params: dict[str, Any] = {
        **call.scope.params,
        "person": request.person_id or mine,
        "deal": request.opportunity_id or None,
        "kind": word(pb.AdviceKind, request.kind),
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Advice)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListAdviceResponse(advice=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def rate_advice(request: pb.RateAdviceRequest, call: Call) -> pb.Advice:
    before = await call.tx.one(store.LOCK, {"id": request.advice_id}, into=Advice)
    if before is None:
        raise errors.NotFound("ADVICE_UNKNOWN", f"no advice {request.advice_id}")
    call.authorize(before.person_id, before.unit_id)
    after = replace(before, helpful=request.helpful, comment=request.comment)
    call.tx.do(store.RATE, {"id": after.id, "helpful": after.helpful, "comment": after.comment})
    call.audit(after.id, "rate", {"helpful": before.helpful}, {"helpful": after.helpful, "comment": after.comment})
    return _to_proto(after)


def _to_proto(one: Advice) -> pb.Advice:
    return pb.Advice(
        id=one.id,
        kind=number(pb.AdviceKind, one.kind),
        person_id=one.person_id,
        activity_id=one.activity_id or "",
        proposal_id=one.proposal_id or "",
        opportunity_id=one.opportunity_id or "",
        items=[
            pb.AdviceItem(
                key=item["key"],
                title=item["title"],
                text=item["text"],
                sentence=item.get("sentence", ""),
                raised_count=item.get("raised", 0),
                similar_count=item.get("similar", 0),
                reasons=[common_pb2.Evidence(**reason) for reason in item["reasons"]],
                article_ids=item.get("article_ids", []),
                raised_share=estimates.share(item["raised"], item["similar"]) if item.get("similar") else None,
            )
            for item in one.items
        ],
        helpful=one.helpful,
        create_time=protos.timestamp(one.created_at),
    )
