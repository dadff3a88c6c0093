"""Pilots between the contract and Python."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import json_format

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import experiments_pb2, newcomers_pb2
from closedloop.funnel.v1 import pilots_pb2 as pb
from closedloop_chassis import etags, protos
from closedloop_funnel.pilots.store import Feedback, Pilot
from closedloop_funnel.words import number


def to_proto(one: Pilot, said: Sequence[Feedback] = ()) -> pb.Pilot:
    """With the results that were kept, if it is concluded."""
    kept = one.results or {"results": [], "net_effects": []}
    return pb.Pilot(
        id=one.id,
        etag=etags.of(one.version),
        name=one.name,
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        state=number(pb.PilotState, one.state),
        bottlenecks=[json_format.ParseDict(each, pb.Bottleneck()) for each in one.bottlenecks],
        measures=one.measures,
        unit_ids=one.unit_ids,
        comparison_unit_ids=one.comparison_unit_ids,
        start_date=protos.date_proto(one.start_date),
        end_date=protos.date_proto(one.end_date),
        results=[json_format.ParseDict(each, newcomers_pb2.BeforeAfter()) for each in kept["results"]],
        net_effects=[json_format.ParseDict(each, experiments_pb2.Estimate()) for each in kept["net_effects"]],
        feedback=[
            pb.PilotFeedback(
                person_id=each.person_id, rating=each.rating, text=each.text, time=protos.timestamp(each.at)
            )
            for each in said
        ],
        decision=number(pb.PilotDecision, one.decision),
        conclusion=one.conclusion,
    )
