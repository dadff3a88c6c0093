"""Where a record came from, as it is kept in a jsonb column."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import Provenance
from closedloop_chassis import protos


def to_json(provenance: Provenance, brought_by: str) -> dict[str, Any]:
    """Empty for an absent one; `brought_by` is who calls, whatever the row says."""
    if not provenance.source:
        return {}
    kept: dict[str, Any] = {"source": provenance.source, "source_id": provenance.source_id, "brought_by": brought_by}
    if provenance.HasField("observed_time"):
        kept["observed_time"] = protos.instant(provenance.observed_time, "provenance.observed_time").isoformat()
    return kept


def from_json(kept: dict[str, Any]) -> Provenance | None:
    if not kept:
        return None
    observed = kept.get("observed_time")
    return Provenance(
        source=kept["source"],
        source_id=kept.get("source_id", ""),
        brought_by=kept.get("brought_by", ""),
        observed_time=protos.timestamp(datetime.fromisoformat(observed)) if observed else None,
    )


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """The same source and identifier; who brought it in again, and when, does not make a record another one."""
    return (one.get("source"), one.get("source_id")) == (other.get("source"), other.get("source_id"))
