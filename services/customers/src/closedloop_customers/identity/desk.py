"""Merges records and takes merges apart (U11). Each type is changed through its own desk; references follow in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call, Work
from closedloop_customers import business_actions, records
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.contacts.rules import Contact
from closedloop_customers.identity import companies, inquiries, keeping, merging, store
from closedloop_customers.identity.holding import Owner
from closedloop_customers.identity.keeping import Held
from closedloop_customers.leads import desk as leads

LOCKED: dict[str, Any] = {"account": accounts.locked, "contact": contacts.locked, "lead": leads.locked_with_keys}


async def locked(call: Call, kind: str, ids: Sequence[str]) -> dict[str, Held]:
    """Held until the transaction ends, with what belongs to what. Raises NotFound RECORD_NOT_FOUND, PermissionDenied."""
    if kind == "account":
        accounts.hold_tree(call)
    found: dict[str, Any] = await LOCKED[kind](call.tx, ids)
    for id_ in ids:
        if id_ not in found:
            raise errors.NotFound("RECORD_NOT_FOUND", f"no {kind} {id_}", record_id=id_)
        call.authorize(found[id_].owner_id, found[id_].unit_id)
    return found


def view(record: Held) -> dict[str, Any]:
    """As merging.check looks at it."""
    return {"id": record.id, "merged_into_id": record.merged_into_id, "profile": record.profile}


async def absorb(
    work: Work, merge: store.Merge, survivor: Held, absorbed: Sequence[Held], joined: merging.Joined, owner: Owner
) -> store.Merge:
    """Queues survivor and absorbed records as they are after the merge, and answers it with what it made; `owner` of the
    result."""
    cited = business_actions.text(business_actions.MERGE, merge.id, merge.reason)
    if merge.record_type == "account":
        after: Held = await companies.absorb(work, survivor, absorbed, joined, owner, cited)  # type: ignore[arg-type]
    elif merge.record_type == "contact":
        after = _absorb_contacts(work, survivor, absorbed, joined, cited)  # type: ignore[arg-type]
    else:
        after = await inquiries.absorb(work, survivor, absorbed, joined, owner, cited)  # type: ignore[arg-type]
    taken = {
        name: id_
        for name, id_ in merge.choices.items()
        if after.profile.get(name) == merge.before[id_]["profile"].get(name)
    }
    return replace(merge, choices=taken, after=keeping.snapshot(merge.record_type, after))


async def release(work: Work, merge: store.Merge, survivor: Held, absorbed: Sequence[Held], reason: str) -> None:
    """Queues the records as they were, save for what was written since."""
    cited = business_actions.text(business_actions.MERGE, merge.id, reason)
    if merge.record_type == "account":
        await companies.release(work, merge, survivor, absorbed, cited)  # type: ignore[arg-type]
    elif merge.record_type == "contact":
        _release_contacts(work, merge, survivor, absorbed, cited)  # type: ignore[arg-type]
    else:
        await inquiries.release(work, merge, survivor, absorbed, cited)  # type: ignore[arg-type]


def tell(work: Work, merge: store.Merge, *, undone: bool) -> None:
    survivor = records.reference(merge.record_type, merge.survivor_id)
    if undone:
        work.tell(
            events.RecordsUnmerged(
                merge_id=merge.id,
                survivor=survivor,
                absorbed_ids=merge.absorbed_ids,
                unmerged_by=work.actor,
                unmerge_time=protos.timestamp(work.now),
            ),
            merge.survivor_id,
        )
        return
    work.tell(
        events.RecordsMerged(
            merge_id=merge.id,
            survivor=survivor,
            absorbed_ids=merge.absorbed_ids,
            merged_by=work.actor,
            merge_time=protos.timestamp(work.now),
        ),
        merge.survivor_id,
    )


def _absorb_contacts(
    work: Work, survivor: Contact, absorbed: Sequence[Contact], joined: merging.Joined, cited: str
) -> Contact:
    """A contact belongs to its account, and to that account's owner."""
    after = replace(
        survivor,
        profile=joined.profile,
        provenances=[kept for record in (survivor, *absorbed) for kept in record.provenances],
        # Who wants no mail at one address wants none at all.
        closed_channels=sorted({channel for record in (survivor, *absorbed) for channel in record.closed_channels}),
    )
    gone = [(record, replace(record, state="merged", merged_into_id=survivor.id)) for record in absorbed]
    contacts.change(work, [(survivor, after), *gone], cited, "merge")
    return after


def _release_contacts(
    work: Work, merge: store.Merge, survivor: Contact, absorbed: Sequence[Contact], cited: str
) -> None:
    parted = keeping.parted("contact", survivor, merge.before[survivor.id], merge.after)
    back = [(one, keeping.returned("contact", one, merge.before[one.id])) for one in absorbed]
    contacts.change(work, [(survivor, parted), *back], cited, "unmerge")
