"""Conversations as the contract shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import transcripts_pb2 as pb
from closedloop_chassis import protos
from closedloop_funnel.talk.reading import Heard
from closedloop_funnel.talk.rules import TalkRules
from closedloop_funnel.talk.store import Hearing, Read
from closedloop_funnel.words import number


def transcript(kept: Read, hearings: Iterable[Hearing], utterances: Sequence[dict[str, Any]] = ()) -> pb.Transcript:
    late = f"patterns cut short: {', '.join(kept.late)}"[:2000] if kept.late else ""
    return pb.Transcript(
        id=kept.id,
        ownership=common_pb2.Ownership(owner_id=kept.owner_id, unit_id=kept.unit_id),
        provenance=common_pb2.Provenance(
            source=kept.source,
            source_id=kept.source_id,
            brought_by=kept.brought_by,
            observed_time=protos.timestamp(kept.created_at),
        ),
        channel=number(pb.Channel, kept.channel),
        account_id=kept.account_id or "",
        opportunity_id=kept.opportunity_id or "",
        activity_id=kept.activity_id or "",
        contact_ids=kept.contact_ids,
        start_time=protos.timestamp(kept.started_at),
        length=_span(kept.length_ms),
        language_code=kept.language,
        utterances=[
            pb.Utterance(
                side=number(pb.SpeakerSide, one["side"]),
                speaker=one["speaker"],
                start_offset=_span(one["start_ms"]),
                end_offset=_span(one["end_ms"]),
                text=one["text"],
            )
            for one in utterances
        ],
        hearings=[_hearing(one) for one in hearings],
        intent=kept.intent,
        intent_change=kept.intent_change,
        churn_ratio=kept.churn,
        churn_light=number(common_pb2.Light, kept.churn_light),
        seller_talk_ratio=kept.seller_share,
        rule=common_pb2.RuleReference(
            rulebook=TalkRules.rulebook, version=kept.rule_version, rule="catalogue", explanation=late
        ),
        create_time=protos.timestamp(kept.created_at),
    )


def _hearing(one: Hearing) -> pb.Hearing:
    return pb.Hearing(
        id=one.id,
        kind=number(pb.HearingKind, one.kind),
        key=one.key,
        name=one.name,
        sentence=one.sentence,
        utterance_index=one.utterance_index,
        offset=_span(one.offset_ms),
        confidence_ratio=one.confidence,
        suggested_reply=one.suggested_reply,
        review=number(pb.HearingReview, one.review),
        reviewer_id=one.reviewer_id,
    )


def heard(one: Heard) -> pb.Hearing:
    """What is heard while the talk is on, and kept nowhere."""
    return pb.Hearing(
        kind=number(pb.HearingKind, one.kind),
        key=one.key,
        name=one.name,
        sentence=one.hit.sentence,
        confidence_ratio=one.confidence,
        suggested_reply=one.reply,
        review=pb.HEARING_REVIEW_OPEN,
    )


def _span(milliseconds: int) -> Duration | None:
    return protos.duration(timedelta(milliseconds=milliseconds))
