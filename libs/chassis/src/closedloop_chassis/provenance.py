"""Where records came from, as jsonb keeps it; the pair (source, source_id) finds them again for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import Provenance
from closedloop_chassis import protos

Kept = dict[str, Any]


def keep(given: Provenance, brought_by: str) -> Kept:
    """Empty for an absent one; `brought_by` is who calls, whatever the record says (S67)."""
    if not given.source:
        return {}
    kept: Kept = {"source": given.source, "source_id": given.source_id.strip(), "brought_by": brought_by}
    if given.HasField("observed_time"):
        kept["observed_time"] = protos.instant(given.observed_time, "provenance.observed_time").isoformat()
    return kept


def to_proto(kept: Mapping[str, Any]) -> Provenance | None:
    if not kept:
        return None
    return Provenance(
        source=kept["source"],
        source_id=kept.get("source_id", ""),
        brought_by=kept.get("brought_by", ""),
        observed_time=protos.timestamp(observed(kept)),
    )


def observed(kept: Mapping[str, Any]) -> datetime | None:
    """When the source saw it, if it said."""
    time = kept.get("observed_time")
    return datetime.fromisoformat(time) if time else None


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same source and identifier; who brought it in again, and when, does not make a record another one."""
    return (one.get("source"), one.get("source_id")) == (other.get("source"), other.get("source_id"))
