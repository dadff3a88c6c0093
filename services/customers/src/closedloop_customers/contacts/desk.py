"""What other slices may ask of contacts; the one way in which a contact is made or changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import custom_fields, identifiers, profiles
from closedloop_customers.contacts import store, wire
from closedloop_customers.contacts.rules import Contact, ContactRules, JobChange, closed, employment, job_changed
from closedloop_customers.profiles import Profile
from closedloop_customers.records import Erased, Standing

PERSONAL = frozenset({"name", "job_title", "phones", "email_addresses", "wechat_id", "note", "custom_fields"})

__all__ = ["JobChange"]


def checked(work: Work, profile: Profile, known: Profile | None = None) -> Profile:
    """Raises InvalidArgument for custom fields the rulebook does not allow, and for phones, addresses and zones that are
    none and not `known` already."""
    identifiers.check_ways(profile, work.rules(identifiers.MatchingRules), known)
    custom_fields.check("contact", profile, work.rules(custom_fields.FieldRules))
    return profile


def keys_of(work: Work, profile: Profile) -> list[str]:
    return identifiers.contact_keys(profile, work.rules(identifiers.MatchingRules))


async def refuse_twins(work: Work, keys: Collection[str], reason: str = "", own_id: str = "") -> None:
    """Raises AlreadyExists DUPLICATE_CONTACT where another contact has one of the keys, unless a reason says it is
    another
    person. Holds the keys until the transaction ends. One round trip."""
    found = {match["contact_id"] for match in await store.matches(work.tx, keys)} - {own_id}
    if found and not reason:
        raise errors.AlreadyExists(
            "DUPLICATE_CONTACT",
            "there is a contact of that phone, mail address or WeChat; use it, or say why it is another person",
            contact_ids=",".join(sorted(found)),
        )


def made(work: Work, account: Standing, profile: Profile, source: Mapping[str, Any], action: str = "") -> Contact:
    """A new contact at an account that stands."""
    return Contact(
        id=new_id(),
        account_id=account.id,
        profile=profile,
        state="current",
        employments=[employment(account.id, profile.get("job_title", ""), action=action)],
        closed_channels=[],
        provenances=[dict(source)],
        last_interaction_at=None,
        last_verify_at=work.now,
        merged_into_id=None,
        created_at=work.now,
        updated_at=work.now,
        version=1,
        owner_id=account.owner_id,
        unit_id=account.unit_id,
        participant_ids=account.participant_ids,
    )


def create(work: Work, contacts: Sequence[Contact], business_action: str = "") -> None:
    """Queues new contacts: rows, keys, trail, ContactChanged."""
    if not contacts:
        return
    sources = [(kept["source"], kept["source_id"], contact.id) for contact in contacts for kept in contact.provenances]
    store.put(work.tx, contacts, {contact.id: keys_of(work, contact.profile) for contact in contacts}, sources)
    for contact in contacts:
        work.audit(contact.id, "create", {}, trail(contact), business_action)
        work.tell(wire.changed(contact), contact.id)


def change(
    work: Work, pairs: Iterable[tuple[Contact, Contact]], business_action: str = "", action: str = "update"
) -> list[Contact]:
    """Queues contacts as they are after a change of (before, after): rows, keys, trail, ContactChanged, and answers
    them."""
    after: list[Contact] = []
    keys: dict[str, list[str]] = {}
    for old, new in pairs:
        now = replace(new, version=old.version + 1, updated_at=work.now)
        if (fresh := keys_of(work, now.profile)) != keys_of(work, old.profile):
            keys[now.id] = fresh
        work.audit(now.id, action, trail(old), trail(now), business_action)
        work.tell(wire.changed(now), now.id)
        after.append(now)
    if after:
        store.put(work.tx, after, keys, [])
    return after


def change_job(work: Work, contact: Contact, to: JobChange, business_action: str) -> Contact:
    """Ends the present employment, opens the next and marks the contact (S31)."""
    (after,) = change(work, [(contact, job_changed(contact, to, business_action))], business_action, "job_change")
    return after


def corrected(work: Work, old: Contact, profile: Profile) -> Contact:
    """The contact with another profile, verified by it; a change of position confirms somebody whose job had
    changed."""
    verifying = work.rules(ContactRules).position_fields & set(profiles.changed(old.profile, profile))
    state = "current" if old.state == "job_changed" and (verifying or profile == old.profile) else old.state
    employments = old.employments
    if employments and profile.get("job_title", "") != old.profile.get("job_title", ""):
        employments = [{**employments[0], "job_title": profile.get("job_title", "")}, *employments[1:]]
    return replace(old, profile=profile, state=state, employments=employments, last_verify_at=work.now)


def trail(contact: Contact) -> dict[str, Any]:
    return {
        **profiles.trail(contact.profile, PERSONAL),
        "account_id": contact.account_id,
        "state": contact.state,
        "employments": len(contact.employments),
        "closed_channels": contact.closed_channels,
        "merged_into_id": contact.merged_into_id or "",
    }


async def locked(tx: Transaction, ids: Collection[str]) -> dict[str, Contact]:
    """Contacts by id, held until the transaction ends. One round trip."""
    return await store.lock(tx, ids)


async def found_by_keys(tx: Transaction, keys: Iterable[str], ids: Iterable[str] = ()) -> list[Contact]:
    return await store.by_keys(tx, keys, ids)


async def of_accounts(reader: Reader | Transaction, account_ids: Collection[str]) -> list[Contact]:
    """The living contacts of accounts: key contacts first, then those spoken to last."""
    return await store.of_accounts(reader, account_ids)


def close_channels(work: Work, held: Sequence[Contact], channel: str, *, allowed: bool) -> None:
    """Queues these contacts with a channel closed or open again; an empty one is every channel."""
    rules = work.rules(ContactRules)
    pairs = [(c, replace(c, closed_channels=closed(c.closed_channels, channel, allowed, rules))) for c in held]
    change(work, [(old, new) for old, new in pairs if old != new], action="consent")


async def note_addresses(
    work: Work, person: Standing, phones: Sequence[str], mails: Sequence[str], channel: str, *, allowed: bool
) -> None:
    """What holds for a person holds for the addresses, whoever else is found by them."""
    prefix = work.rules(identifiers.MatchingRules).country_prefix
    keys = {f"phone:{identifiers.phone(number, prefix)}" for number in phones}
    keys |= {f"mail:{identifiers.mail(address)}" for address in mails}
    for key in sorted(keys):
        row = {"address": key, "channel": channel, "topic": "", "allowed": allowed, "cause": "customers"}
        contact_id = person.id if person.type == "contact" else None
        await store.put_opt_out(work.tx, {**row, "contact_id": contact_id, "told_at": work.now})


async def erase(work: Work, ids: Collection[str], name: str) -> Erased:
    """Nothing of these people is left but the id; answers by what they were known. One round trip."""
    held = await store.lock(work.tx, ids) if ids else {}
    pairs = [
        (old, replace(old, profile={"name": name}, state="erased", employments=[], last_verify_at=work.now))
        for old in held.values()
        if old.state != "erased"
    ]
    change(work, pairs, action="erase")
    return Erased(
        keys={key for old, _ in pairs for key in keys_of(work, old.profile)},
        names={old.profile["name"] for old, _ in pairs},
        accounts={
            account
            for old, _ in pairs
            for account in (old.account_id, *(one.get("account_id", "") for one in old.employments))
            if account
        },
    )
