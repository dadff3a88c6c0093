"""Keeps the copies by what their owners tell."""

from __future__ import annotations

from closedloop.customers.v1 import contacts_pb2, interactions_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import ids
from closedloop_chassis.enums import word, words
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations.copies import store
from closedloop_integrations.procurement.matching import normalise

reactions = Reactions()


@reactions.on(customers.AccountChanged)
async def copy_account(event: Heard[customers.AccountChanged], work: Work) -> None:
    account = event.message
    gone = bool(account.merged_into_id)
    # One that was absorbed is found no longer: its names went to the survivor.
    written = [] if gone else [account.name, account.legal_name, *account.aliases]
    names = {key: name for name in reversed(written) if (key := normalise(name))}
    store.put_account(
        work.tx,
        {
            "id": account.account_id,
            "name": account.name,
            "domains": sorted({domain.strip().casefold() for domain in account.domains} - {""}),
            "owner_id": account.ownership.owner_id,
            "unit_id": account.ownership.unit_id,
            "participant_ids": list(account.participant_ids),
            "merged_into_id": account.merged_into_id or None,
            "keys": list(names),
            "names": list(names.values()),
            "sources": [] if gone else [provenance.source for provenance in account.provenances],
            "codes": [] if gone else [provenance.source_id for provenance in account.provenances],
            "version": account.version,
        },
    )


@reactions.on(customers.ContactChanged)
async def copy_contact(event: Heard[customers.ContactChanged], work: Work) -> None:
    contact = event.message
    store.put_contact(
        work.tx,
        {
            "id": contact.contact_id,
            "account_id": contact.account_id or None,
            "name": contact.name,
            "addresses": sorted({address.strip().casefold() for address in contact.email_addresses} - {""}),
            "phones": list(contact.phones),
            "wechat_id": contact.wechat_id,
            "language": contact.language_code,
            "time_zone": contact.time_zone,
            "closed_channels": words(interactions_pb2.Channel, contact.closed_channels),
            "state": word(contacts_pb2.ContactState, contact.state) or "current",
            "version": contact.version,
        },
    )


@reactions.on(customers.PersonErased)
async def erase_contacts(event: Heard[customers.PersonErased], work: Work) -> None:
    store.erase_contacts(work.tx, [record.id for record in event.message.records if ids.is_id(record.id)])


@reactions.on(targets.ProductChanged)
async def copy_product(event: Heard[targets.ProductChanged], work: Work) -> None:
    product = event.message
    keys = {normalise(name) for name in (product.product_id, product.name, *product.aliases)}
    store.put_product(
        work.tx,
        {"id": product.product_id, "name": product.name, "keys": sorted(keys - {""}), "version": product.version},
    )
