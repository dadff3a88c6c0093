"""BulkUpsertContacts: rows found again by provenance, each judged by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.customers.v1 import contacts_pb2 as pb
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.work import Call
from closedloop_customers import business_actions, profiles, provenance, records
from closedloop_customers.contacts import desk, store
from closedloop_customers.contacts.rules import Contact

Source = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Row:
    position: int
    source: Source
    kept: dict[str, Any]
    profile: dict[str, Any]
    account_id: str
    account_source: Source | None
    updated_at: datetime | None


async def upsert(request: pb.BulkUpsertContactsRequest, call: Call) -> BulkSummary:
    action = (
        business_actions.cited(call, request.business_action, "import")
        if request.HasField("business_action")
        else business_actions.text("import", request.request_id)
    )
    good, refused = bulk.sift(request.rows)
    rows = list(_judged(call, good, refused))
    known = await store.lock_by_source(call.tx, [row.source for row in rows])
    sources = {row.account_source for row in rows if row.account_source is not None}
    by_source = await store.accounts_by_source(call.tx, sources) if sources else {}
    homes = {
        row.source: row.account_id or (by_source.get(row.account_source, "") if row.account_source else "")
        for row in rows
    }
    accounts = await records.find(call.tx, {("account", id_) for id_ in homes.values() if id_})
    keys = {row.source: desk.keys_of(call, row.profile) for row in rows if row.source not in known}
    taken = {
        m["key"]: m["contact_id"]
        for m in await store.matches(call.tx, {k for many in keys.values() for k in many}, lock="all")
    }
    created: list[Contact] = []
    updated: dict[str, tuple[Contact, Contact]] = {}
    for row in rows:
        home = accounts.get(("account", homes[row.source]))
        if home is None and (row.source not in known or homes[row.source] or row.account_source):
            refused.append(_refusal(row, "ACCOUNT_NOT_FOUND", "no such account", "account_source_id"))
        elif row.source in known:
            before, latest = updated.get(known[row.source].id, (known[row.source], known[row.source]))
            if before.state in ("merged", "erased"):
                refused.append(_refusal(row, f"CONTACT_{before.state.upper()}", f"this contact is {before.state}"))
                continue
            after = _laid_over(latest, row, home.id if home else latest.account_id)
            updated[before.id] = (before, after)
        elif twins := {taken[key] for key in keys[row.source] if key in taken}:
            refused.append(_refusal(row, "DUPLICATE_CONTACT", f"it has a key of {', '.join(sorted(twins))}"))
        else:
            assert home is not None
            contact = desk.made(call, home, row.profile, row.kept, action)
            created.append(replace(contact, last_verify_at=row.updated_at) if row.updated_at else contact)
            taken |= dict.fromkeys(keys[row.source], contact.id)
    changed = [pair for pair in updated.values() if pair[0] != pair[1]]
    summary = bulk.summary(read=len(request.rows), created=len(created), updated=len(changed), refused=refused)
    if request.validate_only:
        await call.tx.rollback()
        return summary
    desk.create(call, created, action)
    desk.change(call, changed, action)
    return summary


def _judged(call: Call, good: list[tuple[int, pb.ContactRow]], refused: list[RowError]) -> Iterable[_Row]:
    seen: dict[Source, bytes] = {}
    for position, row in good:
        try:
            judged = _read(call, position, row)
        except errors.InvalidArgument as error:
            refused.append(bulk.refused(position, error, next(iter(error.violations), "")))
            continue
        whole = row.SerializeToString(deterministic=True)
        if judged.source in seen:
            if seen[judged.source] != whole:
                refused.append(
                    _refusal(judged, "ROW_REPEATED", "another row of this call has the same source and source_id")
                )
            continue
        seen[judged.source] = whole
        yield judged


def _read(call: Call, position: int, row: pb.ContactRow) -> _Row:
    kept = provenance.keep(row.provenance, call.actor, call.now)
    if not kept["source_id"]:
        raise errors.InvalidArgument("SOURCE_ID_MISSING", "a row is found again by it", {"provenance.source_id": ""})
    updated = (
        protos.instant(row.source_update_time, "source_update_time") if row.HasField("source_update_time") else None
    )
    return _Row(
        position,
        (kept["source"], kept["source_id"]),
        kept,
        desk.checked(call, profiles.read(row.profile)),
        row.account_id,
        (kept["source"], row.account_source_id) if row.account_source_id else None,
        min(updated, call.now) if updated else None,
    )


def _laid_over(latest: Contact, row: _Row, account_id: str) -> Contact:
    profile = profiles.merged(latest.profile, row.profile)
    after = replace(latest, profile=profile, account_id=account_id)
    if after != latest and row.updated_at is not None:
        after = replace(after, last_verify_at=max(row.updated_at, latest.last_verify_at))
    return after


def _refusal(row: _Row, reason: str, message: str, field: str = "") -> RowError:
    return bulk.refused(row.position, errors.InvalidArgument(reason, message), field)
