"""Cards between the contract and Python."""

from __future__ import annotations

from google.protobuf import json_format

from closedloop.funnel.v1 import practices_pb2 as pb
from closedloop_chassis import etags, protos
from closedloop_funnel.practices.store import Card, Case
from closedloop_funnel.words import number


def card(one: Card) -> pb.PracticeCard:
    return pb.PracticeCard(
        id=one.id,
        etag=etags.of(one.version),
        state=number(pb.PracticeCardState, one.state),
        title=one.title,
        method=one.method,
        features=[json_format.ParseDict(feature, pb.PracticeFeature()) for feature in one.features],
        customer_types=one.customer_types,
        industries=one.industries,
        stage_keys=one.stage_keys,
        action_unit_keys=one.action_unit_keys,
        case_ids=one.case_ids,
        author_id=one.author_id,
        create_time=protos.timestamp(one.created_at),
        update_time=protos.timestamp(one.updated_at),
    )


def case(one: Case, *, benchmark: bool) -> pb.PracticeCase:
    return pb.PracticeCase(
        id=one.id,
        author_id=one.author_id,
        opportunity_id=one.opportunity_id,
        title=one.title,
        decision_point=one.decision_point,
        turn=one.turn,
        trick=one.trick,
        customer_type=one.customer_type,
        industry=one.industry,
        benchmark=benchmark,
        create_time=protos.timestamp(one.created_at),
    )
