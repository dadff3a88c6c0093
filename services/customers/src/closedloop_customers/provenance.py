"""Here every record says where it came from."""

from __future__ import annotations

from datetime import datetime

from closedloop.common.v1.common_pb2 import Provenance
from closedloop_chassis import errors, protos, provenance
from closedloop_chassis.ids import new_id
from closedloop_chassis.provenance import Kept as Kept
from closedloop_chassis.work import Call


def by_hand(call: Call, given: Provenance, field: str = "provenance") -> Kept:
    """What a call says of the origin; by hand of the caller where it says nothing.

    Programs must name the id in their source; for people the server makes one. Raises InvalidArgument
    SOURCE_ID_MISSING."""
    kept = keep(given, call.actor, call.now)
    if not kept["source_id"]:
        if call.caller.roles <= {"integration", "service"}:
            raise errors.InvalidArgument(
                "SOURCE_ID_MISSING", "a program names the id in its source", {f"{field}.source_id": "value is required"}
            )
        kept["source_id"] = new_id()
    return kept


def keep(given: Provenance, brought_by: str, now: datetime) -> Kept:
    """Never empty: what says nothing of its origin was observed now, by hand."""
    observed = given.observed_time if given.HasField("observed_time") else protos.timestamp(now)
    said = Provenance(source=given.source or "manual", source_id=given.source_id, observed_time=observed)
    return provenance.keep(said, brought_by)


def to_proto(kept: Kept) -> Provenance:
    return provenance.to_proto(kept) or Provenance()


def observed(kept: Kept) -> datetime:
    return datetime.fromisoformat(kept["observed_time"])
