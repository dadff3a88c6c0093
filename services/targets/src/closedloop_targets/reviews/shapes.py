"""Packs as the contract shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.targets.v1 import alarms_pb2
from closedloop.targets.v1 import reviews_pb2 as pb
from closedloop_chassis import enums, etags, pages, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.reviews import store
from closedloop_targets.reviews.store import FollowUp, Note, Pack


async def whole(
    reader: Reader | Transaction, pack: Pack, asked: pb.GetReviewPackRequest | None = None
) -> pb.ReviewPack:
    """With a page of its deviations (the first where nobody asked for another), everything else, and what became of what
    the pack before asked for. Four round trips."""
    asked = asked or pb.GetReviewPackRequest(pack_id=pack.id)
    (after,) = pages.after(asked, -1)
    before = await reader.one(store.BEFORE, {"unit_id": pack.unit_id, "start": pack.start_date}, into=Pack)
    shape = await without_deviations(reader, [pack], before.id if before else "")
    rows = await store.deviations(reader, pack.id, after, pages.size(asked) + 1)
    page, shape[0].next_page_token = pages.split(rows, asked, lambda row: (row["position"],))
    shape[0].deviations.extend(_deviation(row) for row in page)
    return shape[0]


async def without_deviations(
    reader: Reader | Transaction, packs: Sequence[Pack], before: str = ""
) -> list[pb.ReviewPack]:
    """Two round trips for a page of them. `before` is the pack whose follow-ups stand beside the first one's."""
    notes = await store.notes(reader, *(pack.id for pack in packs))
    follow_ups = await store.follow_ups(reader, *(pack.id for pack in packs), *([before] if before else []))
    found = []
    for pack in packs:
        shape = pb.ReviewPack.FromString(pack.data)
        shape.id, shape.minutes, shape.etag = pack.id, pack.minutes, etags.of(pack.version)
        shape.ownership.CopyFrom(Ownership(owner_id=pack.owner_id, unit_id=pack.unit_id))
        shape.period.CopyFrom(period_shapes.stored(pack.period, "fortnight", pack.start_date, pack.end_date))
        shape.state = enums.number(pb.ReviewPackState, pack.state)
        shape.proposals.extend(_proposal(one) for one in notes if one.pack_id == pack.id and one.kind != "decision")
        shape.decisions.extend(_decision(one) for one in notes if one.pack_id == pack.id and one.kind == "decision")
        shape.follow_ups.extend(_follow_up(one) for one in follow_ups if one.pack_id == pack.id)
        shape.previous_follow_ups.extend(_follow_up(one) for one in follow_ups if one.pack_id == before)
        shape.prepare_time.FromDatetime(pack.prepared_at)
        if pack.closed_at is not None:
            shape.close_time.FromDatetime(pack.closed_at)
        found.append(shape)
    return found


def _deviation(row: dict[str, Any]) -> pb.ReviewDeviation:
    shape = pb.ReviewDeviation.FromString(row["data"])
    shape.confirmed_cause = enums.number(alarms_pb2.Cause, row["confirmed_cause"])
    shape.comment = row["comment"]
    return shape


def _proposal(one: Note) -> pb.ReviewProposal:
    return pb.ReviewProposal(
        kind=enums.number(pb.ProposalKind, one.kind),
        text=one.text,
        expected_effect=one.expected_effect,
        author_id=one.author_id,
    )


def _decision(one: Note) -> pb.ReviewDecision:
    return pb.ReviewDecision(text=one.text, author_id=one.author_id, time=protos.timestamp(one.written_at))


def _follow_up(one: FollowUp) -> pb.FollowUp:
    return pb.FollowUp(
        title=one.title,
        details=one.details,
        assignee_id=one.assignee_id,
        due_date=protos.date_proto(one.due_date),
        task_id=one.task_id,
        task_state=one.task_state,
    )
