"""Finds a person in contacts and leads by whatever identifier was given."""

from __future__ import annotations

from collections.abc import Collection

from closedloop_chassis.work import Work
from closedloop_customers import identifiers
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.leads import desk as leads
from closedloop_customers.personal import store


async def find(
    work: Work, contact_ids: Collection[str], lead_ids: Collection[str], keys: Collection[str]
) -> list[list[str]]:
    """[type, id] of all that are this person: by id, by way to reach them, by what was merged or converted into one.

    A phone or address of a record that was named finds the others that have it. Four round trips."""
    wanted = set(keys)
    first = [
        found for found in await store.leads(work.tx, lead_ids, (), wanted) if _is_meant(work, found, lead_ids, wanted)
    ]
    for found in first:
        wanted.update(leads.keys_of(work, found.profile))
    linked = {*contact_ids, *(found.contact_id for found in first if found.contact_id)}
    people = {one.id: one for one in await store.contacts(work.tx, linked, wanted)}
    own = {key for one in people.values() for key in contacts.keys_of(work, one.profile)}
    if not own <= wanted:
        wanted |= own
        people |= {one.id: one for one in await store.contacts(work.tx, linked, wanted)}
    also = await store.leads(work.tx, [found.id for found in first], list(people), wanted)
    named = {*lead_ids, *(found.id for found in first)}
    meant = {found.id for found in also if found.contact_id in people or _is_meant(work, found, named, wanted)}
    return [["contact", id_] for id_ in sorted(people)] + [["lead", id_] for id_ in sorted(meant)]


def keys(work: Work, phones: Collection[str], mails: Collection[str]) -> set[str]:
    prefix = work.rules(identifiers.MatchingRules).country_prefix
    return {f"phone:{number}" for text in phones if (number := identifiers.phone(text, prefix))} | {
        f"mail:{address}" for text in mails if (address := identifiers.mail(text))
    }


def _is_meant(work: Work, found: store.Found, ids: Collection[str], wanted: Collection[str]) -> bool:
    """Closed leads are found by the end of a number, which others share."""
    return found.id in ids or not set(wanted).isdisjoint(leads.keys_of(work, found.profile))
