"""Accounts that become one and two again: who owns them, below whom they hang, what their deals make of them (U11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from closedloop_chassis.work import Work
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.accounts.rules import Account, hung
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.identity import holding, keeping, merging, references, store
from closedloop_customers.identity.holding import Owner
from closedloop_customers.wake_ups import desk as wake_ups
from closedloop_customers.wake_ups import silence

PARENT = "parent_account_id"


async def absorb(
    work: Work,
    survivor: Account,
    absorbed: Sequence[Account],
    joined: merging.Joined,
    owner: Owner,
    cited: str,
) -> Account:
    """Queues the accounts as one, and answers it. Whoever hung below one of them hangs below the result. Three round
    trips."""
    ids = [record.id for record in absorbed]
    below = [child for child in await accounts.children(work.tx, ids) if child.id not in {survivor.id, *ids}]
    wishes = [record.profile.get(PARENT, "") for record in (replace(survivor, profile=joined.profile), *absorbed)]
    tree = await accounts.above(work.tx, {survivor.id, *ids, *filter(None, wishes)})
    tree |= dict.fromkeys((*ids, *(child.id for child in below)), survivor.id) | {survivor.id: ""}
    people = [person for record in (survivor, *absorbed) for person in record.participant_ids]
    status = (
        survivor.status if survivor.status == "retired" else (await accounts.by_deals(work, [survivor.id]))[survivor.id]
    )
    after = replace(
        survivor,
        profile=_below(joined.profile, hung(survivor.id, wishes, tree)),
        status=status,
        owner_id=owner[0],
        unit_id=owner[1],
        participant_ids=list(dict.fromkeys(people)),
        provenances=[kept for record in (survivor, *absorbed) for kept in record.provenances],
    )
    gone = [(record, replace(record, status="merged", merged_into_id=survivor.id)) for record in absorbed]
    moved = [(child, replace(child, profile=_below(child.profile, survivor.id))) for child in below]
    accounts.change(work, [(survivor, after), *gone, *moved], cited, action="merge")
    await wake_ups.ended(work, ids, "stopped", "the record is part of another now")
    assignment.end(work, "account", ids)
    silence.forget(work, *ids)
    holding.handed_over(work, "account", survivor, owner, "the merge named the owner of the result")
    return after


async def release(work: Work, merge: store.Merge, survivor: Account, absorbed: Sequence[Account], cited: str) -> None:
    """Queues the accounts as they were; what would hang in a circle by now stays where it hangs, or at the top. Four
    round trips."""
    before, after = merge.before[survivor.id], merge.after
    parted = holding.living(work, keeping.parted("account", survivor, before, after))
    left = await references.noted(work.tx, merge.id, "subsidiaries")
    below = {
        id_: child for id_, child in (await accounts.locked(work.tx, left)).items() if _parent(child) == survivor.id
    }
    wishes = {
        **{record.id: [_parent(record)] for record in absorbed},
        survivor.id: [_parent(parted), _parent(survivor)] if _parent(parted) else [],
        **{id_: [left[id_], survivor.id] for id_ in below},
    }
    tree = await accounts.above(work.tx, {*wishes, *(id_ for many in wishes.values() for id_ in many if id_)})
    tree |= dict.fromkeys((record.id for record in absorbed), "")
    for id_, wanted in wishes.items():
        tree[id_] = hung(id_, wanted, tree)
    deals = await accounts.by_deals(work, [survivor.id, *merge.absorbed_ids])
    pairs = []
    for old, new in [
        (survivor, parted),
        *((one, holding.kept(work, keeping.returned("account", one, merge.before[one.id]))) for one in absorbed),
        *((child, child) for child in below.values()),
    ]:
        status = deals[new.id] if new.id in deals and new.status != "retired" else new.status
        pairs.append((old, replace(new, status=status, profile=_below(new.profile, tree[new.id]))))
    accounts.change(work, [(old, new) for old, new in pairs if old != new], cited, action="unmerge")
    holding.handed_over(work, "account", survivor, (parted.owner_id, parted.unit_id), holding.TAKEN_APART)
    back = [new for _, new in pairs if new.id in merge.absorbed_ids]
    holding.held_again(work, "account", back)
    silence.watch(work, "account", [(one.id, one.owner_id, one.unit_id) for one in back if one.owner_id])


def _parent(account: Account) -> str:
    return str(account.profile.get(PARENT, ""))


def _below(profile: merging.Profile, parent: str) -> merging.Profile:
    without = {name: value for name, value in profile.items() if name != PARENT}
    return {**without, PARENT: parent} if parent else without
