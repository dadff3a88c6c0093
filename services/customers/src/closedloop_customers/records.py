"""Where a record stands: who owns it, in which unit, and who works on it; for slices that hang on records of others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.common.v1.common_pb2 import Ownership, RowError
from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop_chassis import bulk, enums, errors, ids, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call, Work

# A merged record stands for its survivor; a contact stands where its account stands.
STANDING = """
SELECT 'account' AS type, a.id AS asked_id, coalesce(s.id, a.id) AS id, coalesce(s.id, a.id) AS account_id,
       coalesce(s.name, a.name) AS name,
       coalesce(s.owner_id, a.owner_id) AS owner_id, coalesce(s.unit_id, a.unit_id) AS unit_id,
       coalesce(s.participant_ids, a.participant_ids) AS participant_ids,
       coalesce(s.status, a.status) NOT IN ('retired', 'merged') AS open,
       coalesce(s.last_interaction_at, a.last_interaction_at) AS last_interaction_at
  FROM account a LEFT JOIN account s ON s.id = a.merged_into_id
 WHERE a.id = ANY(%(account_ids)s::uuid[])
UNION ALL
SELECT 'contact', c.id, coalesce(s.id, c.id), coalesce(s.account_id, c.account_id), coalesce(s.name, c.name), a.owner_id,
       a.unit_id, a.participant_ids, coalesce(s.state, c.state) NOT IN ('merged', 'erased'),
       coalesce(s.last_interaction_at, c.last_interaction_at)
  FROM contact c LEFT JOIN contact s ON s.id = c.merged_into_id
  JOIN account a ON a.id = coalesce(s.account_id, c.account_id)
 WHERE c.id = ANY(%(contact_ids)s::uuid[])
UNION ALL
SELECT 'lead', l.id, coalesce(s.id, l.id), coalesce(s.account_id, l.account_id), l.profile->>'company_name',
       coalesce(s.owner_id, l.owner_id), coalesce(s.unit_id, l.unit_id), '{}',
       coalesce(s.stage, l.stage) <> 'closed', coalesce(s.last_interaction_at, l.last_interaction_at)
  FROM lead l LEFT JOIN lead s ON s.id = l.merged_into_id
 WHERE l.id = ANY(%(lead_ids)s::uuid[])
"""

SURVIVORS = "SELECT id, coalesce(merged_into_id, id) AS survivor_id FROM account WHERE id = ANY(%(ids)s::uuid[])"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """`open`: neither closed, retired, merged nor erased. `account_id` is None for a lead of nobody we know."""

    type: str
    asked_id: str
    id: str
    account_id: str | None
    name: str | None
    owner_id: str
    unit_id: str
    participant_ids: list[str]
    open: bool
    last_interaction_at: datetime | None


@dataclass(frozen=True, slots=True)
class Erased:
    """By what erased people were known: keys of addresses, names, accounts they belonged to."""

    keys: set[str]
    names: set[str]
    accounts: set[str]


def key(reference: pb.RecordReference) -> Key:
    return enums.word(pb.RecordType, reference.type), reference.id


def reference(type: str, id: str) -> pb.RecordReference:
    return pb.RecordReference(type=enums.number(pb.RecordType, type), id=id)


async def find(reader: Reader | Transaction, keys: Iterable[Key]) -> dict[Key, Standing]:
    """By the key that was asked for; unknown ones are missing. One round trip."""
    wanted: dict[str, list[str]] = {"account": [], "contact": [], "lead": []}
    for type_, id_ in keys:
        if ids.is_id(id_):
            wanted[type_].append(id_)
    rows = await reader.all(STANDING, {f"{type_}_ids": found for type_, found in wanted.items()}, into=Standing)
    return {(row.type, row.asked_id): row for row in rows}


async def survivors(reader: Reader | Transaction, account_ids: Collection[str]) -> dict[str, str]:
    """What accounts that others name are part of now: themselves, or who absorbed them. Unknown ones are missing. One
    round trip."""
    if not account_ids:
        return {}
    return {row["id"]: row["survivor_id"] for row in await reader.all(SURVIVORS, {"ids": sorted(account_ids)})}


async def reach(reader: Reader | Transaction, call: Call, record: pb.RecordReference) -> Standing:
    """The record, if it exists and the caller may see it. Raises NotFound RECORD_NOT_FOUND, PermissionDenied."""
    found = (await find(reader, [key(record)])).get(key(record))
    if found is None:
        raise errors.NotFound("RECORD_NOT_FOUND", f"no {key(record)[0]} {record.id}")
    call.authorize(found.owner_id, found.unit_id, found.participant_ids)
    return found


def check_of(contact: Standing, account_id: str | None) -> None:
    """Raises InvalidArgument CONTACT_OF_ANOTHER_ACCOUNT."""
    if contact.account_id != account_id:
        raise errors.InvalidArgument(
            "CONTACT_OF_ANOTHER_ACCOUNT",
            f"{contact.asked_id} is a person of account {contact.account_id}; name one of this account, or make one",
            {"contact_id": "of another account"},
        )


def may_change(call: Call, owner_id: str, unit_id: str, participant_ids: Iterable[str] = ()) -> None:
    """Only the owner and their line change a record (S82). Raises PermissionDenied NOT_OWNER to those who may only
    look."""
    if call.scope.covers(owner_id, unit_id):
        return
    if call.caller.subject in participant_ids:
        raise errors.PermissionDenied(
            "NOT_OWNER", f"only {owner_id} and their line may change this record", owner_id=owner_id
        )
    call.authorize(owner_id, unit_id)


def ownership(owner_id: str, unit_id: str) -> Ownership:
    return Ownership(owner_id=owner_id, unit_id=unit_id)


def person_unit(call: Work, person_id: str, field: str = "owner_id") -> str:
    """The unit of a person of the company. Raises InvalidArgument UNKNOWN_PERSON."""
    person = call.org.person(person_id)
    if person is None or not person.active:
        raise errors.InvalidArgument(
            "UNKNOWN_PERSON", f"{person_id} is nobody of the company", {field: "unknown person"}
        )
    return person.unit_id


def filters(request: Any, call: Call) -> dict[str, Any]:
    """The filters by owner and unit that lists share, units with all below them, None where not given."""
    units = {below for unit in request.unit_ids for below in call.org.subtree(unit)}
    return {
        "owner_ids": list(request.owner_ids) or None,
        "unit_ids": sorted(units) if request.unit_ids else None,
        **call.scope.params,
    }


# Goes with `filters` into a WHERE beside Scope.SQL.
FILTERS = """(%(owner_ids)s::text[] IS NULL OR owner_id = ANY(%(owner_ids)s))
   AND (%(unit_ids)s::text[] IS NULL OR unit_id = ANY(%(unit_ids)s))"""


async def account(reader: Reader | Transaction, call: Call, id: str) -> Standing:
    """An account, or the survivor it is part of, within the caller's sight. Raises NotFound ACCOUNT_NOT_FOUND,
    PermissionDenied."""
    found = (await find(reader, [("account", id)])).get(("account", id))
    if found is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {id}")
    call.authorize(found.owner_id, found.unit_id, found.participant_ids)
    return found


async def sifted(call: Call, account_ids: Sequence[str]) -> tuple[set[str], list[RowError]]:
    """The living accounts within reach among those asked for, and an error for each of the others. One round trip."""
    standing = await find(call.tx, {("account", id_) for id_ in account_ids}) if account_ids else {}
    wanted, refused = set(), []
    for position, id_ in enumerate(account_ids):
        found = standing.get(("account", id_))
        if found is None or not found.open:
            unknown = errors.NotFound("ACCOUNT_NOT_FOUND", f"no living account {id_}")
            refused.append(bulk.refused(position, unknown, "account_ids"))
        elif not call.scope.covers(found.owner_id, found.unit_id):
            denied = errors.PermissionDenied("OUT_OF_SCOPE", "beyond the caller's reach")
            refused.append(bulk.refused(position, denied, "account_ids"))
        else:
            wanted.add(found.id)
    return wanted, refused


def span(interval: Interval, now: datetime) -> dict[str, datetime]:
    """`start` and `end` as parameters; the end is now where it is open. Raises InvalidArgument INTERVAL_INVALID."""
    start = protos.instant(interval.start_time, "interval.start_time") if interval.HasField("start_time") else None
    end = protos.instant(interval.end_time, "interval.end_time") if interval.HasField("end_time") else now
    if start is None or start >= end:
        raise errors.InvalidArgument(
            "INTERVAL_INVALID", "say from when until when", {"interval": "starts before it ends"}
        )
    return {"start": start, "end": end}
