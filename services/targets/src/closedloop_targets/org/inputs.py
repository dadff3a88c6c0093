"""What a caller says of units and people, as fields of their states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import org_pb2 as pb
from closedloop_chassis import masks, structs
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.org import rules

UNIT_TEXTS = ("name", "kind", "parent_id", "manager_id", "calendar", "time_zone", "currency_code")
PERSON_TEXTS = ("unit_id", "name", "title", "function", "email", "mobile", "time_zone", "language")
UNIT_FIELDS = (*UNIT_TEXTS, "territory", "custom_fields")
PERSON_FIELDS = (*PERSON_TEXTS, "roles", "handles", "territory", "custom_fields")
# Kept beside the states, not in them.
UNIT_PATHS = frozenset({*UNIT_FIELDS, "provenance"})
PERSON_PATHS = frozenset({*PERSON_FIELDS, "hire_date", "provenance"})


def unit_fields(unit: pb.UnitInput) -> dict[str, Any]:
    rules.check_zone(unit.time_zone)
    return {
        **{name: getattr(unit, name) for name in UNIT_TEXTS},
        "territory": territory(unit.territory),
        "custom_fields": structs.plain(unit.custom_fields),
    }


def person_fields(person: pb.PersonInput) -> dict[str, Any]:
    rules.check_zone(person.time_zone)
    return {
        **{name: getattr(person, name) for name in PERSON_TEXTS},
        "roles": [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in person.roles],
        "handles": dict(person.handles),
        "territory": territory(person.territory),
        "custom_fields": structs.plain(person.custom_fields),
    }


def check_own(record: str, fields: Mapping[str, Any], own: TargetFieldRules) -> None:
    """The company's own fields where they are said. Raises InvalidArgument CUSTOM_FIELD_INVALID."""
    if "custom_fields" in fields:
        own.check(record, fields["custom_fields"], f"{record}.custom_fields")


def masked(mask: FieldMask, paths: Iterable[str]) -> set[str]:
    """The paths a caller wants changed; all of them without a mask. Raises InvalidArgument FIELD_UNKNOWN."""
    known = set(paths)
    return masks.paths(mask, known) or known


def territory(message: pb.Territory) -> rules.Territory:
    lists = {name: list(getattr(message, name)) for name in ("regions", "industries", "product_lines")}
    return {name: values for name, values in lists.items() if values}
