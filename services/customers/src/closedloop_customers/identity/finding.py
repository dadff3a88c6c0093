"""Finds who a record may be, one against all and all against each other (U11)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import identifiers
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.identifiers import MatchingRules
from closedloop_customers.identity import store
from closedloop_customers.identity.portraits import portrait
from closedloop_customers.identity.rules import Comparison, IdentityRules, Portrait, RecordType, compare, towns_of

KEYS = {
    "account": identifiers.account_keys,
    "contact": identifiers.contact_keys,
    "lead": identifiers.lead_keys,
}
# Comparisons between two looks at what else there is to do.
_BREATH = 200
# Comparisons between two writings.
_STRETCH = 20_000


async def like(
    work: Work, reader: Reader | Transaction, kind: RecordType, wanted: Portrait, profile: Mapping[str, Any]
) -> list[tuple[store.Record, Comparison]]:
    """Records that may be the one described, the likeliest first. Two round trips."""
    rules, matching = work.rules(IdentityRules), work.rules(MatchingRules)
    ids = await store.like_one(reader, kind, _blocks(kind, wanted, profile, matching, rules))
    found = await store.records(reader, kind, set(ids) - {wanted.id})
    known = {id_: portrait(kind, id_, row.profile, matching, row.account_id) for id_, row in found.items()}
    towns = towns_of([wanted, *known.values()])
    compared = [(found[id_], compare(wanted, one, kind, rules, towns)) for id_, one in known.items()]
    return sorted(compared, key=lambda pair: (-pair[1].probability, pair[0].id))


async def scan(work: Work, kind: RecordType, since: datetime | None = None) -> dict[str, int]:
    """Compares all records of a type within their blocks and keeps the pairs that look alike.

    Answers records, comparisons, new_pairs and open_pairs. Raises FailedPrecondition SCAN_RUNNING."""
    work.tx.do(store.LONG_READ)
    work.tx.do(store.BY_HASH)
    if not await work.tx.value(store.TAKE_SCAN, {"record_type": kind}):
        raise errors.FailedPrecondition("SCAN_RUNNING", f"somebody is comparing every {kind} at this moment")
    rules, matching = work.rules(IdentityRules), work.rules(MatchingRules)
    if kind == "account":
        await accounts.find_anew(work, everybody=since is None)
    count, candidates = await store.scan(work.tx, kind, rules.largest_block, since)
    found = await store.records(work.tx, kind, {id_ for pair in candidates for id_ in pair})
    known = {}
    for number, (id_, row) in enumerate(found.items()):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        known[id_] = portrait(kind, id_, row.profile, matching, row.account_id)
    towns = towns_of(known.values())
    lefts: list[str] = []
    rights: list[str] = []
    fresh, told = 0, dict[str, str]()
    for first in range(0, len(candidates), _STRETCH):
        pairs = []
        for number, (left, right) in enumerate(candidates[first : first + _STRETCH]):
            if number % _BREATH == 0:
                await asyncio.sleep(0)  # others are served meanwhile
            comparison = compare(known[left], known[right], kind, rules, towns)
            if comparison.probability >= rules.shown:
                pairs.append(_pair(work, kind, known[left], known[right], comparison, told))
        # In stretches: one document of all pairs would outgrow jsonb.
        fresh += await store.put_pairs(work.tx, pairs)
        lefts += [pair.left_id for pair in pairs]
        rights += [pair.right_id for pair in pairs]
    if since is None:
        sides = {"lefts": lefts, "rights": rights}
        work.tx.do(store.DROP_PAIRS, {"record_type": kind, "now": work.now, **sides})
    opened = await work.tx.value(store.OPEN_PAIRS, {"record_type": kind})
    return {"records": count, "comparisons": len(candidates), "new_pairs": fresh, "open_pairs": opened}


def _pair(
    work: Work, kind: RecordType, left: Portrait, right: Portrait, comparison: Comparison, told: dict[str, str]
) -> store.Pair:
    """`told` keeps what a record says of itself: it stands in several pairs."""
    for one in (left, right):
        if one.id not in told:
            told[one.id] = _told(one)
    digest = hashlib.sha256(f"[{told[left.id]}, {told[right.id]}]".encode()).hexdigest()[:32]
    return store.Pair(
        id=new_id(),
        record_type=kind,
        left_id=left.id,
        right_id=right.id,
        probability=comparison.probability,
        reasons=[rows.row(reason) for reason in comparison.reasons],
        state="open",
        digest=digest,
        decided_by="",
        decided_at=None,
        decision_reason="",
        found_at=work.now,
    )


def _told(one: Portrait) -> str:
    """Changes when the record changes its names or numbers."""
    names = sorted(name.canonical for name in one.names)
    return repr((names, sorted((feature, sorted(values)) for feature, values in one.values.items() if values)))


def _blocks(
    kind: RecordType,
    wanted: Portrait,
    profile: Mapping[str, Any],
    matching: MatchingRules,
    rules: IdentityRules,
) -> dict[str, Any]:
    return {
        "keys": KEYS[kind](profile, matching),
        "likes": identifiers.account_blocks(profile, matching) if kind == "account" else [],
        "registration": profile.get("foreign_registration", ""),
        "account_id": next(iter(wanted.values.get("account", ())), None),
        "name": profile.get("name") or profile.get("company_name", ""),
        "most": rules.largest_block,
    }
