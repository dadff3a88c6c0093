"""BulkUpsertAccounts: ten thousand rows in a handful of statements, each row judged by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.work import Call
from closedloop_customers import business_actions, profiles, provenance, records, shops
from closedloop_customers.accounts import desk, rules, store
from closedloop_customers.accounts.rules import Account
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.grades import desk as grades
from closedloop_customers.identifiers import MatchingRules

Source = tuple[str, str]


@dataclass(slots=True)
class _Row:
    position: int
    source: Source
    kept: dict[str, Any]
    profile: dict[str, Any]
    keys: list[str]
    owner_id: str
    parent_source: Source | None
    updated_at: datetime | None


@dataclass(slots=True)
class _Outcome:
    created: dict[str, Account] = field(default_factory=dict)
    updated: dict[str, tuple[Account, Account]] = field(default_factory=dict)
    new_sources: list[tuple[str, str, str]] = field(default_factory=list)
    by_source: dict[Source, str] = field(default_factory=dict)
    refused: list[RowError] = field(default_factory=list)
    unowned: set[str] = field(default_factory=set)
    # Rows that were found to be an account of an earlier row.
    attached: int = 0
    # Keys of the accounts this call makes, by which a later row is found to be the same; shops of one legal person share some.
    made_by_key: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)


async def upsert(request: pb.BulkUpsertAccountsRequest, call: Call) -> BulkSummary:
    cited = (
        business_actions.cited(call, request.business_action, "import")
        if request.HasField("business_action")
        else business_actions.text("import", request.request_id)
    )
    good, refused = bulk.sift(request.rows)
    rows = list(_judged(call, good, refused))
    outcome = _Outcome(refused=refused)
    parents = {row.parent_source for row in rows if row.parent_source is not None}
    if parents or any("parent_account_id" in row.profile for row in rows):
        desk.hold_tree(call)
    known = await store.lock_by_source(call.tx, list({row.source for row in rows} | parents))
    outcome.by_source = {source: account.merged_into_id or account.id for source, account in known.items()}
    twins = await _twins(call, [row for row in rows if row.source not in known])
    # An id of an account decides for all its rows: several sources may bring one account.
    held = {account.id: account for account in known.values()}
    if request.attach_duplicates and (missing := {id_ for ids in twins.values() for id_ in ids} - held.keys()):
        held |= await desk.locked(call.tx, missing)
    for row in rows:
        if row.source in known:
            _update(outcome, known[row.source].id, held, row.profile, row)
        elif found := twins.get(row.source):
            _attach(outcome, found, held, row, allowed=request.attach_duplicates)
        else:
            _create(call, outcome, row, attach=request.attach_duplicates)
    await _hang_below_parents(call, outcome, rows, held)
    changed = {id_: pair for id_, pair in outcome.updated.items() if pair[0] != pair[1]}
    updated = len(changed) + outcome.attached
    summary = bulk.summary(
        read=len(request.rows), created=len(outcome.created), updated=updated, refused=outcome.refused
    )
    if request.validate_only:
        await call.tx.rollback()
        return summary
    await _write(call, outcome, list(changed.values()), cited)
    return summary


def _judged(call: Call, good: list[tuple[int, pb.AccountRow]], refused: list[RowError]) -> Iterable[_Row]:
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
                again = errors.InvalidArgument(
                    "ROW_REPEATED", "another row of this call has the same source and source_id"
                )
                refused.append(bulk.refused(position, again, "provenance.source_id"))
            continue
        seen[judged.source] = whole
        yield judged


def _read(call: Call, position: int, row: pb.AccountRow) -> _Row:
    kept = provenance.keep(row.provenance, call.actor, call.now)
    if not kept["source_id"]:
        raise errors.InvalidArgument("SOURCE_ID_MISSING", "a row is found again by it", {"provenance.source_id": ""})
    if row.owner_id:
        records.person_unit(call, row.owner_id)
    updated = (
        protos.instant(row.source_update_time, "source_update_time") if row.HasField("source_update_time") else None
    )
    profile = desk.checked(call, profiles.read(row.profile))
    return _Row(
        position,
        (kept["source"], kept["source_id"]),
        kept,
        profile,
        desk.keys_of(call, profile),
        row.owner_id,
        (kept["source"], row.parent_source_id) if row.parent_source_id else None,
        min(updated, call.now) if updated else None,
    )


async def _twins(call: Call, rows: list[_Row]) -> dict[Source, list[str]]:
    """Ids of accounts, of the database or of an earlier row, that have a key of the row."""
    rules, found = call.rules(MatchingRules), dict[str, list[store.Match]]()
    for match in await store.matches(call.tx, {key for row in rows for key in row.keys}, lock="all"):
        found.setdefault(match.key, []).append(match)
    twins = {}
    for row in rows:
        same = {match.account_id: match.profile for key in row.keys for match in found.get(key, ())[: rules.most_shops]}
        if ids := sorted(id_ for id_, known in same.items() if not shops.profiles_apart(row.profile, known, rules)):
            twins[row.source] = ids
    return twins


def _create(call: Call, outcome: _Outcome, row: _Row, *, attach: bool) -> None:
    rules = call.rules(MatchingRules)
    met = {id_ for key in row.keys for id_ in outcome.made_by_key.get(key, ())[: rules.most_shops]}
    earlier = sorted(id_ for id_ in met if not shops.profiles_apart(row.profile, outcome.created[id_].profile, rules))
    if earlier and not (attach and len(earlier) == 1):
        _refuse_twin(outcome, row, earlier)
        return
    if earlier:
        same = outcome.created[earlier[0]]
        profile, sources = profiles.completed(same.profile, row.profile), [*same.provenances, row.kept]
        account = replace(same, profile=profile, provenances=sources)
        outcome.attached += 1
    else:
        unit_id = records.person_unit(call, row.owner_id) if row.owner_id else ""
        account = desk.made(call, row.profile, row.owner_id, unit_id, row.kept)
        if row.updated_at is not None:
            account = replace(account, last_verify_at=row.updated_at)
        if not row.owner_id:
            outcome.unowned.add(account.id)
    for key in row.keys:
        if account.id not in (made := outcome.made_by_key.setdefault(key, [])):
            made.append(account.id)
    outcome.keys.setdefault(account.id, []).extend(row.keys)
    outcome.created[account.id] = account
    outcome.by_source[row.source] = account.id


def _update(outcome: _Outcome, id_: str, held: dict[str, Account], profile: dict[str, Any], row: _Row) -> None:
    before, latest = outcome.updated.get(id_, (held[id_], held[id_]))
    if before.merged_into_id:
        outcome.refused.append(_refusal(row, "ACCOUNT_MERGED", f"it is part of {before.merged_into_id} now"))
        return
    after = replace(latest, profile=profiles.merged(latest.profile, profile))
    if after.profile != latest.profile and row.updated_at is not None:
        after = replace(after, last_verify_at=max(row.updated_at, latest.last_verify_at))
    outcome.updated[id_] = (before, after)


def _attach(outcome: _Outcome, found: list[str], held: dict[str, Account], row: _Row, *, allowed: bool) -> None:
    if not allowed or len(found) > 1:
        _refuse_twin(outcome, row, found)
        return
    (id_,) = found
    before, latest = outcome.updated.get(id_, (held[id_], held[id_]))
    after = replace(
        latest,
        profile=profiles.completed(latest.profile, row.profile),
        provenances=[*latest.provenances, row.kept],
    )
    outcome.updated[id_] = (before, after)
    outcome.new_sources.append((*row.source, id_))
    outcome.by_source[row.source] = id_


async def _hang_below_parents(call: Call, outcome: _Outcome, rows: list[_Row], held: dict[str, Account]) -> None:
    told = {row.profile["parent_account_id"] for row in rows if row.profile.get("parent_account_id")}
    standing = await records.survivors(call.tx, told)
    wanted: dict[str, tuple[_Row, str]] = {}
    for row in rows:
        child = outcome.by_source.get(row.source)
        if child is None or (row.parent_source is None and "parent_account_id" not in row.profile):
            continue
        named = row.profile.get("parent_account_id", "")
        parent = outcome.by_source.get(row.parent_source, "") if row.parent_source else standing.get(named, named)
        wanted[child] = (row, parent)
    if not wanted:
        return
    parents = await store.ancestry(
        call.tx, {parent for _, parent in wanted.values() if parent not in outcome.created and parent}
    )
    parents |= {id_: account.profile.get("parent_account_id", "") for id_, account in outcome.created.items()}
    for child, (row, parent) in wanted.items():
        problem = ("PARENT_UNKNOWN", "no such parent") if parent not in parents else None
        if problem is None and rules.in_cycle(child, parent, parents):
            problem = ("PARENT_CYCLE", "an account cannot belong to one that belongs to it")
        if problem is not None:
            outcome.refused.append(_refusal(row, *problem))
            outcome.created.pop(child, None)
            outcome.updated.pop(child, None)
            outcome.new_sources = [
                known for known in outcome.new_sources if known[2] != child or known[:2] != row.source
            ]
            outcome.by_source.pop(row.source, None)
            continue
        parents[child] = parent
        if child in outcome.created:
            account = outcome.created[child]
            outcome.created[child] = replace(account, profile={**account.profile, "parent_account_id": parent})
        elif child in outcome.updated:
            before, after = outcome.updated[child]
            outcome.updated[child] = (before, replace(after, profile={**after.profile, "parent_account_id": parent}))


async def _write(call: Call, outcome: _Outcome, changed: list[tuple[Account, Account]], cited: str) -> None:
    created = outcome.created
    unowned = [account for account in created.values() if account.id in outcome.unowned]
    if unowned:
        for id_, choice in (await assignment.by_rules(call, "account", [_subject(a) for a in unowned])).items():
            created[id_] = replace(created[id_], owner_id=choice.owner_id, unit_id=choice.unit_id)
    by_name = [(a.id, a.owner_id, a.unit_id) for a in created.values() if a.id not in outcome.unowned]
    if by_name:
        assignment.hold(call, "account", by_name, "brought", "its source named the owner")
    desk.create(call, list(created.values()), cited, outcome.keys)
    desk.change(call, changed, cited, outcome.new_sources)
    await grades.followed(call, changed)


def _subject(account: Account) -> assignment.Subject:
    profile = account.profile
    return assignment.Subject(
        id=account.id,
        region_code=profile.get("region_code", ""),
        industry=profile.get("industry", ""),
        product_lines=tuple(profile.get("product_lines", ())),
    )


def _refuse_twin(outcome: _Outcome, row: _Row, found: list[str]) -> None:
    outcome.refused.append(_refusal(row, "DUPLICATE_ACCOUNT", f"it has a key of {', '.join(found)}"))


def _refusal(row: _Row, reason: str, message: str) -> RowError:
    return bulk.refused(row.position, errors.InvalidArgument(reason, message))
