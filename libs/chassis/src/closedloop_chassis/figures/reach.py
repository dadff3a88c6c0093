"""Whose data a call is about: the caller's reach, and the unit that was asked for."""

from __future__ import annotations

from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.figures.store import Found
from closedloop_chassis.work import Call


def within(call: Call, unit_id: str, most_examples: int = 0) -> dict[str, Any]:
    """Parameters of what was kept. Raises NotFound UNIT_UNKNOWN, and PermissionDenied for a unit beyond the caller's."""
    return {**call.scope.params, "in_units": _units(call, unit_id), "examples": most_examples}


def sees(call: Call, unit_id: str, one: Found) -> bool:
    units = _units(call, unit_id)
    return call.scope.covers(one.owner_id, one.unit_id) and (units is None or one.unit_id in units)


def _units(call: Call, unit_id: str) -> list[str] | None:
    if not unit_id:
        return None
    if call.org.unit(unit_id) is None:
        raise errors.NotFound("UNIT_UNKNOWN", f"no unit {unit_id}")
    if not call.scope.company and unit_id not in call.scope.unit_ids:
        raise errors.PermissionDenied("OUT_OF_SCOPE", f"{unit_id} is not among {call.caller.subject}'s units")
    return list(call.org.subtree(unit_id))
