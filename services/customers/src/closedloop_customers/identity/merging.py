"""What becomes of two profiles that are one, and of one that was two (U11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from closedloop_chassis import errors

Profile = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Joined:
    """`choices`: field -> the absorbed record it came from."""

    profile: Profile
    choices: dict[str, str]


def join(survivor: Profile, absorbed: Sequence[tuple[str, Profile]], chosen: Mapping[str, str]) -> Joined:
    """Chosen fields from where they were chosen, others the survivor's, empty ones from the freshest that has them.

    `absorbed`: (id, profile), the freshest first. Raises InvalidArgument UNKNOWN_FIELD, RECORD_NOT_FOUND."""
    profile, choices = dict(survivor), {}
    by_id = dict(absorbed)
    for name, id_ in chosen.items():
        if id_ not in by_id:
            raise errors.InvalidArgument(
                "RECORD_NOT_FOUND", f"{id_} is not absorbed here", {f"field_choices.{name}": "not an absorbed record"}
            )
        if name not in by_id[id_]:
            raise errors.InvalidArgument(
                "UNKNOWN_FIELD", f"{id_} holds nothing in {name}", {f"field_choices.{name}": "empty or no field"}
            )
        profile[name], choices[name] = by_id[id_][name], id_
    for id_, other in absorbed:
        for name in other.keys() - profile.keys():
            profile[name], choices[name] = other[name], id_
    return Joined(profile, choices)


def part(now: Profile, before: Profile, after: Profile) -> Profile:
    """The survivor's profile without what a merge gave it, which made `after` of `before`: fields that still stand as it
    left them are as they were, what somebody has written since stays."""
    result = dict(now)
    for name in before.keys() | after.keys():
        if before.get(name) == after.get(name) or result.get(name) != after.get(name):
            continue
        if name in before:
            result[name] = before[name]
        else:
            result.pop(name, None)
    return result


def check(kind: str, survivor: Mapping[str, Any], absorbed: Sequence[Mapping[str, Any]], override_reason: str) -> None:
    """`survivor`, `absorbed`: id, merged_into_id, profile. Raises FailedPrecondition MERGE_CYCLE, ALREADY_MERGED,
    DIFFERENT_REGISTRATIONS."""
    ids = {record["id"] for record in absorbed}
    if survivor["id"] in ids or survivor["merged_into_id"] in ids:
        raise errors.FailedPrecondition(
            "MERGE_CYCLE", "a record cannot be absorbed by what it has absorbed", record_id=survivor["id"]
        )
    for record in (survivor, *absorbed):
        if record["merged_into_id"]:
            raise errors.FailedPrecondition(
                "ALREADY_MERGED",
                f"{record['id']} is part of {record['merged_into_id']}",
                record_id=record["id"],
                survivor_id=record["merged_into_id"],
            )
    codes = {
        (name, record["profile"][name])
        for record in (survivor, *absorbed)
        for name in ("credit_code", "foreign_registration")
        if record["profile"].get(name)
    }
    if kind == "account" and len(codes) > len({name for name, _ in codes}) and not override_reason:
        raise errors.FailedPrecondition(
            "DIFFERENT_REGISTRATIONS",
            "the register knows them as different companies; say in override_reason why they are one",
            registrations=",".join(sorted(code for _, code in codes)),
        )
