"""One conversation out of everything that was told of it.

Records come late, twice and in any order: first that a call was, then how long, at last its words. What stands is the
greatest of each, so that the order does not matter and repeating changes nothing; what was known is never lost.
"""

from __future__ import annotations

from closedloop.integrations.v1 import conversations_pb2 as pb

SINGLE = ("subject", "recording_uri", "language", "account_id", "opportunity_id")


def grown(one: pb.Conversation, other: pb.Conversation) -> pb.Conversation:
    """What both tell together; the provenance is that of `one`."""
    joined = pb.Conversation()
    joined.MergeFrom(max(_body(one), _body(other), key=_fullness))
    joined.provenance.CopyFrom(one.provenance)
    for name in SINGLE:
        setattr(joined, name, max(getattr(one, name), getattr(other, name), key=lambda said: (len(said), said)))
    joined.answered = one.answered or other.answered
    joined.recording_consent = one.recording_consent or other.recording_consent
    longest = max((one, other), key=lambda each: (each.HasField("duration"), each.duration.ToNanoseconds()))
    if longest.HasField("duration"):
        joined.duration.CopyFrom(longest.duration)
    owner = max(one.ownership.owner_id, other.ownership.owner_id, key=lambda said: (len(said), said))
    if owner:
        joined.ownership.owner_id = owner
    return joined


def _body(whole: pb.Conversation) -> pb.Conversation:
    """Turns point at participants and count from the start: these belong together, and the fullest of them stand."""
    return pb.Conversation(
        kind=whole.kind,
        start_time=whole.start_time,
        participants=whole.participants,
        initiator=whole.initiator,
        turns=whole.turns,
    )


def _fullness(body: pb.Conversation) -> tuple[int, int, int, bytes]:
    words = sum(len(turn.text) for turn in body.turns)
    return words, len(body.turns), len(body.participants), body.SerializeToString(deterministic=True)
