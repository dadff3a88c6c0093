"""Where records came from; the pair (source, source_id) finds them again for ever."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import Provenance
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call

Kept = dict[str, Any]


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
    observed = (
        protos.instant(given.observed_time, "provenance.observed_time") if given.HasField("observed_time") else now
    )
    return {
        "source": given.source or "manual",
        "source_id": given.source_id.strip(),
        "brought_by": brought_by,
        "observed_time": observed.isoformat(),
    }


def to_proto(kept: Kept) -> Provenance:
    return Provenance(
        source=kept["source"],
        source_id=kept["source_id"],
        brought_by=kept.get("brought_by", ""),
        observed_time=protos.timestamp(observed(kept)),
    )


def observed(kept: Kept) -> datetime:
    return datetime.fromisoformat(kept["observed_time"])
