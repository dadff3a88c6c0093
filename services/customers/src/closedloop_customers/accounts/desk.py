"""What other slices may ask of accounts; the one way in which an account is made or changed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import codes, custom_fields, freshness, identifiers, profiles, records, shops
from closedloop_customers.accounts import store, wire
from closedloop_customers.accounts.rules import Account, AccountRules, in_cycle, status_by_deals
from closedloop_customers.assignment.desk import Subject
from closedloop_customers.playbooks.desk import Arrival, arrived
from closedloop_customers.playbooks.rules import Facts
from closedloop_customers.potential import soon
from closedloop_customers.profiles import Profile
from closedloop_customers.wake_ups import silence

PERSONAL = frozenset({"phones"})
# Accounts between two looks at what else there is to do.
_BREATH = 200


def checked(work: Work, profile: Profile, known: Profile | None = None) -> Profile:
    """The profile with its region derived where it lacks one. Raises InvalidArgument for codes and fields that are
    unknown, for phones and zones that are none and not `known` already, CREDIT_CODE_INVALID for a code whose check
    character does not fit."""
    identifiers.check_ways(profile, work.rules(identifiers.MatchingRules), known)
    credit_code = profile.get("credit_code", "")
    if credit_code and not identifiers.credit_code_fits(credit_code):
        raise errors.InvalidArgument(
            "CREDIT_CODE_INVALID",
            f"the check character of {credit_code} does not fit; a character was misread",
            {"profile.credit_code": "check character does not fit"},
        )
    codes.check(profile, work.rules(codes.CodeRules), work.org)
    custom_fields.check("account", profile, work.rules(custom_fields.FieldRules))
    if not profile.get("region_code") and (region := codes.region_of(profile, work.rules(codes.CodeRules))):
        return {**profile, "region_code": region}
    return profile


def keys_of(work: Work, profile: Profile) -> list[str]:
    return identifiers.account_keys(profile, work.rules(identifiers.MatchingRules))


def _found_by(work: Work, profile: Profile) -> list[str]:
    """Keys that prove and blocks that only find."""
    return [*keys_of(work, profile), *_blocks_of(work, profile)]


def _blocks_of(work: Work, profile: Profile) -> list[str]:
    return identifiers.account_blocks(profile, work.rules(identifiers.MatchingRules))


async def find_anew(work: Work, *, everybody: bool) -> None:
    """Writes the keys that the rules of today would give, where others are kept: of all accounts, or of those that have
    none of the kind "like". Two round trips where something differs, one where nothing does."""
    stale: list[store.Keyed] = []
    for number, account in enumerate(await store.with_keys(work.tx, everybody=everybody)):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        if set(account.keys) != set(_found_by(work, account.profile)):
            stale.append(account)
    if stale:
        untouched = await store.still_so(work.tx, stale)
        store.put_keys(work.tx, {one.id: _found_by(work, one.profile) for one in stale if one.id in untouched})


async def refuse_twins(work: Work, profile: Profile, keys: Collection[str], reason: str = "", own_id: str = "") -> None:
    """Raises AlreadyExists DUPLICATE_ACCOUNT where another account has one of the keys, unless a reason says it is
    not the same, or their names say that they are two shops, or a shop and its legal person.

    Holds the keys until the transaction ends. One round trip."""
    rules = work.rules(identifiers.MatchingRules)
    found = {
        match.account_id
        for match in await store.matches(work.tx, keys)
        if match.account_id != own_id and not shops.plainly_two(profile, match.profile, rules)
    }
    if found and not reason:
        raise errors.AlreadyExists(
            "DUPLICATE_ACCOUNT",
            "there is an account of that name, credit code, domain or phone; use it, or say why it is another one",
            account_ids=",".join(sorted(found)),
        )


def made(
    work: Work,
    profile: Profile,
    owner_id: str,
    unit_id: str,
    source: Mapping[str, Any],
    participants: Sequence[str] = (),
) -> Account:
    return Account(
        id=new_id(),
        profile=profile,
        status="prospect",
        owner_id=owner_id,
        unit_id=unit_id,
        participant_ids=list(participants),
        grade="",
        quality_light="none",
        high_potential=False,
        provenances=[dict(source)],
        last_interaction_at=None,
        last_verify_at=work.now,
        merged_into_id=None,
        created_at=work.now,
        updated_at=work.now,
        version=1,
    )


def create(
    work: Work,
    accounts: Sequence[Account],
    business_action: str = "",
    keys: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Queues new accounts: rows, keys, trail, silence clocks, AccountChanged. The caller assigns who owns them.

    `keys` by account, where the caller knows them already."""
    if not accounts:
        return
    sources = [(kept["source"], kept["source_id"], account.id) for account in accounts for kept in account.provenances]
    known = keys or {}
    found = {
        account.id: [*(known.get(account.id) or keys_of(work, account.profile)), *_blocks_of(work, account.profile)]
        for account in accounts
    }
    store.put(work.tx, accounts, found, sources, fresh=True)
    for account in accounts:
        work.audit(account.id, "create", {}, trail(account), business_action)
        work.tell(wire.changed(account), account.id)
    silence.watch(work, "account", [(account.id, account.owner_id, account.unit_id) for account in accounts])
    soon.reconsider(work, [account.id for account in accounts])


def change(
    work: Work,
    pairs: Iterable[tuple[Account, Account]],
    business_action: str = "",
    new_sources: Sequence[tuple[str, str, str]] = (),
    action: str = "update",
) -> list[Account]:
    """Queues accounts as they are after a change of (before, after): rows, keys, trail, AccountChanged, and answers
    them."""
    verifying, lights = work.rules(AccountRules).key_fields, work.rules(freshness.QualityRules)
    after: list[Account] = []
    sized: list[str] = []
    keys: dict[str, Collection[str]] = {}
    arrivals: list[Arrival] = []
    for old, new in pairs:
        fields = profiles.changed(old.profile, new.profile)
        verified = (
            work.now if verifying & set(fields) and new.last_verify_at == old.last_verify_at else new.last_verify_at
        )
        touched = new.last_interaction_at or new.created_at
        light = freshness.light(touched, verified, work.now, lights) if new.status != "merged" else new.quality_light
        now = replace(new, version=old.version + 1, updated_at=work.now, last_verify_at=verified, quality_light=light)
        if fields and (found := _found_by(work, now.profile)) != _found_by(work, old.profile):
            keys[now.id] = found
        work.audit(now.id, action, trail(old), trail(now), business_action)
        work.tell(wire.changed(now), now.id)
        after.append(now)
        if "employee_count" in fields or "retired" == old.status != now.status:
            sized.append(now.id)
        if now.status != old.status:
            arrivals.append(Arrival(now.id, _facts(now), now.unit_id))
    if after:
        store.put(work.tx, after, keys, new_sources)
    soon.reconsider(work, sized)
    arrived(work, arrivals)
    return after


def _facts(account: Account) -> Facts:
    """The account as its playbook sees it."""
    profile = account.profile
    return Facts(
        type="account",
        stage=account.status,
        source=account.provenances[0]["source"],
        industry=profile.get("industry", ""),
        product_lines=tuple(profile.get("product_lines", ())),
    )


def trail(account: Account) -> dict[str, Any]:
    return {
        **profiles.trail(account.profile, PERSONAL),
        "status": account.status,
        "ownership.owner_id": account.owner_id,
        "ownership.unit_id": account.unit_id,
        "participant_ids": account.participant_ids,
        "grade": account.grade,
        "high_potential": account.high_potential,
        "provenances": [f"{kept['source']}:{kept['source_id']}" for kept in account.provenances],
        "merged_into_id": account.merged_into_id or "",
    }


async def locked(tx: Transaction, ids: Collection[str]) -> dict[str, Account]:
    """Accounts by id, held until the transaction ends. One round trip."""
    return await store.lock(tx, ids)


async def hand_over(work: Work, account_id: str, owner_id: str, unit_id: str) -> None:
    """Gives an account to another owner, or to the pool of the unit where nobody is named. One round trip."""
    old = (await store.lock(work.tx, [account_id]))[account_id]
    change(work, [(old, replace(old, owner_id=owner_id, unit_id=unit_id))], action="assign")
    work.clocks.hand_over(account_id, owner_id, unit_id)


def hand_over_many(work: Work, before: Mapping[str, Account], owners: Mapping[str, tuple[str, str]]) -> None:
    """Queues accounts, held already, with other owners and units."""
    pairs = [(old, replace(old, owner_id=owners[id_][0], unit_id=owners[id_][1])) for id_, old in before.items()]
    for after in change(work, pairs, action="assign"):
        work.clocks.hand_over(after.id, after.owner_id, after.unit_id)


async def set_high(work: Work, verdicts: dict[str, bool]) -> None:
    """Notes which accounts are of high potential and tells of those for which that is new. One round trip."""
    if not verdicts:
        return
    for account in await store.set_high(work.tx, verdicts, work.now):
        before = {"high_potential": not account.high_potential}
        work.audit(account.id, "evaluate", before, {"high_potential": account.high_potential})
        work.tell(wire.changed(account), account.id)


async def set_grades(work: Work, grades: Mapping[str, str]) -> None:
    """Notes grades and tells of accounts for which theirs is new; why is kept by who graded. One round trip."""
    packed = rows.pack({"id": id_, "grade": grade} for id_, grade in grades.items())
    await _tell_all(work, await work.tx.all(store.SET_GRADES, {"rows": packed, "now": work.now}, into=Account))


async def set_lights(work: Work, lights: Mapping[str, str]) -> None:
    """Notes quality lights and tells of accounts for which theirs is new. One round trip."""
    if not lights:
        return
    packed = rows.pack({"id": id_, "quality_light": light} for id_, light in lights.items())
    await _tell_all(work, await work.tx.all(store.SET_LIGHTS, {"rows": packed, "now": work.now}, into=Account))


async def _tell_all(work: Work, changed: Sequence[Account]) -> None:
    """Others are served meanwhile."""
    for number, account in enumerate(changed):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        work.tell(wire.changed(account), account.id)


async def read(reader: Reader | Transaction, account_id: str) -> Account:
    """An account that stands. One round trip."""
    account = await reader.one(store.GET, {"id": account_id}, into=Account)
    assert account is not None
    return account


async def subject(reader: Reader | Transaction, account_id: str) -> Subject:
    """An account as the rules of assignment see it. One round trip."""
    return seen(await read(reader, account_id))


def seen(account: Account) -> Subject:
    """The same, of one in hand."""
    return Subject(
        id=account.id,
        region_code=account.profile.get("region_code", ""),
        industry=account.profile.get("industry", ""),
        product_lines=tuple(account.profile.get("product_lines", ())),
    )


def hold_tree(work: Work) -> None:
    """Queues that nobody else changes what belongs to what until the transaction ends; before any account is held."""
    work.tx.do(store.HOLD_TREE)


async def hung(work: Work, account: Account) -> Account:
    """The account below the parent it names, or below what that one is part of; of one that others may belong to, with the
    tree held. Raises InvalidArgument ACCOUNT_NOT_FOUND, PARENT_CYCLE. Two round trips where it names one."""
    named = account.profile.get("parent_account_id", "")
    if not named:
        return account
    field = {"profile.parent_account_id": named}
    parent = (await records.survivors(work.tx, [named])).get(named)
    if parent is None:
        raise errors.InvalidArgument("ACCOUNT_NOT_FOUND", f"no account {named} to be the parent", field)
    if in_cycle(account.id, parent, await above(work.tx, [parent])):
        raise errors.InvalidArgument("PARENT_CYCLE", "an account cannot belong to one that belongs to it", field)
    return replace(account, profile={**account.profile, "parent_account_id": parent})


async def above(tx: Transaction, ids: Collection[str]) -> dict[str, str]:
    """Child to parent ("" at the top), for these accounts and all above them; one that is part of another hangs below
    that one. One round trip."""
    return await store.ancestry(tx, ids)


async def by_deals(work: Work, ids: Collection[str]) -> dict[str, str]:
    """The status that follows from the deals of each account. One round trip."""
    today, rules = work.now.date(), work.rules(AccountRules)
    return {id_: status_by_deals(won, today, rules) for id_, _, won in await store.standings(work.tx, ids)}


async def children(tx: Transaction, ids: Collection[str]) -> list[Account]:
    """The living accounts right below these, held until the transaction ends. One round trip."""
    return await tx.all(store.LOCK_CHILDREN, {"ids": list(ids)}, into=Account)
