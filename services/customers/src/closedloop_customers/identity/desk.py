"""Merges records and takes merges apart (U11). Each type is changed through its own desk; references follow in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call, Work
from closedloop_customers import records
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.accounts.rules import Account
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.contacts.rules import Contact
from closedloop_customers.identity import merging, store
from closedloop_customers.leads import desk as leads
from closedloop_customers.leads.rules import Lead, closed
from closedloop_customers.wake_ups import desk as wake_ups
from closedloop_customers.wake_ups import silence

Held = Account | Contact | Lead
LOCKED: dict[str, Any] = {"account": accounts.locked, "contact": contacts.locked, "lead": leads.locked}
# What is kept of a record, to bring it back: besides its profile.
KEPT: dict[str, tuple[str, ...]] = {
    "account": ("status", "owner_id", "unit_id", "participant_ids"),
    "contact": ("state", "account_id"),
    "lead": ("stage", "closed_from", "outcome", "close_reason", "owner_id", "unit_id", "account_id", "contact_id"),
}


async def locked(call: Call, kind: str, ids: Sequence[str]) -> dict[str, Held]:
    """Held until the transaction ends. Raises NotFound RECORD_NOT_FOUND, PermissionDenied."""
    found: dict[str, Any] = await LOCKED[kind](call.tx, ids)
    for id_ in ids:
        if id_ not in found:
            raise errors.NotFound("RECORD_NOT_FOUND", f"no {kind} {id_}", record_id=id_)
        call.authorize(found[id_].owner_id, found[id_].unit_id)
    return found


def snapshot(kind: str, record: Held) -> dict[str, Any]:
    provenances = [] if isinstance(record, Lead) else record.provenances
    kept = {name: getattr(record, name) for name in KEPT[kind]}
    return {"profile": record.profile, "provenances": provenances, **kept}


def view(record: Held) -> dict[str, Any]:
    """As merging.check looks at it."""
    return {"id": record.id, "merged_into_id": record.merged_into_id, "profile": record.profile}


async def absorb(
    work: Work, kind: str, survivor: Held, absorbed: Sequence[Held], joined: merging.Joined, owner: tuple[str, str]
) -> None:
    """Queues survivor and absorbed records as they are after the merge; `owner` (id, unit) of the result."""
    ids = [record.id for record in absorbed]
    if kind == "account":
        await _absorb_accounts(work, survivor, absorbed, joined, owner)  # type: ignore[arg-type]
    elif kind == "contact":
        _absorb_contacts(work, survivor, absorbed, joined)  # type: ignore[arg-type]
    else:
        _absorb_leads(work, survivor, absorbed, joined, owner)  # type: ignore[arg-type]
    if kind == "contact":
        return
    assignment.end(work, kind, ids)
    silence.forget(work, *ids)
    if survivor.owner_id != owner[0]:
        why = "the merge named the owner of the result"
        assignment.hold(work, kind, [(survivor.id, *owner)], "manual", why, previous={survivor.id: survivor.owner_id})
        work.clocks.hand_over(survivor.id, *owner)


async def release(work: Work, merge: store.Merge, survivor: Held, absorbed: Sequence[Held]) -> None:
    """Queues the records as they were, save for what was written since."""
    before = merge.before
    lost = {id_: before[id_]["profile"] for id_ in merge.absorbed_ids}
    profile = merging.part(survivor.profile, before[survivor.id]["profile"], lost, merge.choices)
    if isinstance(survivor, Lead):
        _release_leads(work, merge, survivor, absorbed, profile)  # type: ignore[arg-type]
        return
    sources = [kept for id_ in merge.absorbed_ids for kept in before[id_]["provenances"]]
    own = [kept for kept in survivor.provenances if kept not in sources]
    parted = replace(survivor, profile=profile, provenances=own)
    if isinstance(parted, Contact):
        back = [
            (
                one,
                replace(
                    one, state=before[one.id]["state"], account_id=before[one.id]["account_id"], merged_into_id=None
                ),
            )
            for one in absorbed
            if isinstance(one, Contact)
        ]
        contacts.change(work, [(survivor, parted), *back], action="unmerge")  # type: ignore[list-item]
        return
    _release_accounts(work, merge, survivor, parted, absorbed)  # type: ignore[arg-type]


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


async def _absorb_accounts(
    work: Work, survivor: Account, absorbed: Sequence[Account], joined: merging.Joined, owner: tuple[str, str]
) -> None:
    ids = [record.id for record in absorbed]
    profile = dict(joined.profile)
    if profile.get("parent_account_id") in {survivor.id, *ids}:
        profile.pop("parent_account_id")
    people = [person for record in (survivor, *absorbed) for person in record.participant_ids]
    after = replace(
        survivor,
        profile=profile,
        owner_id=owner[0],
        unit_id=owner[1],
        participant_ids=list(dict.fromkeys(people)),
        provenances=[kept for record in (survivor, *absorbed) for kept in record.provenances],
    )
    gone = [(record, replace(record, status="merged", merged_into_id=survivor.id)) for record in absorbed]
    accounts.change(work, [(survivor, after), *gone], action="merge")
    await _rehang(work, dict.fromkeys(ids, survivor.id), {survivor.id})
    await wake_ups.ended(work, ids, "stopped", "the record is part of another now")


def _absorb_contacts(work: Work, survivor: Contact, absorbed: Sequence[Contact], joined: merging.Joined) -> None:
    """A contact belongs to its account, and to that account's owner."""
    after = replace(
        survivor,
        profile=joined.profile,
        provenances=[kept for record in (survivor, *absorbed) for kept in record.provenances],
        # Who wants no mail at one address wants none at all.
        closed_channels=sorted({channel for record in (survivor, *absorbed) for channel in record.closed_channels}),
    )
    gone = [(record, replace(record, state="merged", merged_into_id=survivor.id)) for record in absorbed]
    contacts.change(work, [(survivor, after), *gone], action="merge")


def _absorb_leads(
    work: Work, survivor: Lead, absorbed: Sequence[Lead], joined: merging.Joined, owner: tuple[str, str]
) -> None:
    answered = [record.responded_at for record in absorbed if record.responded_at is not None]
    after = replace(
        survivor,
        profile=joined.profile,
        owner_id=owner[0],
        unit_id=owner[1],
        account_id=survivor.account_id or next((one.account_id for one in absorbed if one.account_id), None),
        contact_id=survivor.contact_id or next((one.contact_id for one in absorbed if one.contact_id), None),
        responded_at=survivor.responded_at or min(answered, default=None),
        stage="contact" if survivor.stage == "lead" and answered else survivor.stage,
    )
    if after.responded_at is not None and survivor.responded_at is None:
        work.clocks.meet(leads.FIRST_RESPONSE, survivor.id)
        work.clocks.meet(leads.UNANSWERED, survivor.id)
    gone = []
    for record in absorbed:
        ended = record if record.stage == "closed" else closed(record, "duplicate", "duplicate", work.now)
        gone.append((record, replace(ended, merged_into_id=survivor.id)))
    leads.save(work, [(survivor, after), *gone], "merge", "one customer")
    for _, record in gone:
        leads.ended(work, record)


def _release_accounts(
    work: Work, merge: store.Merge, survivor: Account, parted: Account, absorbed: Sequence[Account]
) -> None:
    was = merge.before[survivor.id]
    if (survivor.owner_id, survivor.unit_id) == (merge.owner_id, merge.unit_id) and was["owner_id"] != merge.owner_id:
        parted = replace(parted, owner_id=was["owner_id"], unit_id=was["unit_id"])
        why = "a merge was taken apart"
        held = [(survivor.id, parted.owner_id, parted.unit_id)]
        assignment.hold(work, "account", held, "manual", why, previous={survivor.id: survivor.owner_id})
        work.clocks.hand_over(survivor.id, parted.owner_id, parted.unit_id)
    back = []
    for record in absorbed:
        owner_id, unit_id = _holder(work, merge.before[record.id])
        status = merge.before[record.id]["status"]
        back.append((record, replace(record, status=status, owner_id=owner_id, unit_id=unit_id, merged_into_id=None)))
    accounts.change(work, [(survivor, parted), *back], action="unmerge")
    _hold_again(work, "account", [after for _, after in back])


def _release_leads(
    work: Work, merge: store.Merge, survivor: Lead, absorbed: Sequence[Lead], profile: Mapping[str, Any]
) -> None:
    back = []
    for record in absorbed:
        was = merge.before[record.id]
        owner_id, unit_id = _holder(work, was)
        kept = {name: was[name] for name in KEPT["lead"]} | {"owner_id": owner_id, "unit_id": unit_id}
        closed_at = record.closed_at if was["stage"] == "closed" else None
        back.append((record, replace(record, **kept, closed_at=closed_at, merged_into_id=None)))
    after = leads.save(work, [(survivor, replace(survivor, profile=dict(profile))), *back], "unmerge", "two customers")
    living = [lead for lead in after[1:] if lead.stage != "closed"]
    _hold_again(work, "lead", living)
    leads.start_response_clocks(work, [lead for lead in living if lead.owner_id])
    leads.start_alarm(work, living)


def _holder(work: Work, was: Mapping[str, Any]) -> tuple[str, str]:
    """Who had it before, or the pool of the unit where that person has left."""
    person = work.org.person(was["owner_id"]) if was["owner_id"] else None
    return (person.id, person.unit_id) if person is not None and person.active else ("", was["unit_id"])


def _hold_again(work: Work, kind: str, held: Sequence[Account | Lead]) -> None:
    why = "a merge was taken apart; as it was before"
    owned = [(record.id, record.owner_id, record.unit_id) for record in held if record.owner_id]
    pooled = [(record.id, "", record.unit_id) for record in held if not record.owner_id]
    if owned or pooled:
        assignment.hold(work, kind, [*owned, *pooled], "manual", why, previous={})
    silence.watch(work, kind, owned)


async def _rehang(work: Work, moved: Mapping[str, str], besides: set[str]) -> None:
    """Accounts below an absorbed one hang below its survivor."""
    below = await accounts.children(work.tx, list(moved))
    pairs = []
    for child in below:
        parent = moved[child.profile["parent_account_id"]]
        if child.id not in besides and child.id not in moved:
            pairs.append((child, replace(child, profile={**child.profile, "parent_account_id": parent})))
    accounts.change(work, pairs, action="merge")
