"""Tickets by webhook; and customers that become known later than their tickets (S72)."""

from __future__ import annotations

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import tickets_pb2 as pb
from closedloop_chassis import ids
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import posted, quarantine
from closedloop_integrations.feeds import FeedRules
from closedloop_integrations.tickets import intake, store

reactions = Reactions()

FEED = "tickets"


@reactions.on(events.FeedFetched)
async def read_tickets(event: Heard[events.FeedFetched], work: Work) -> None:
    if event.message.feed != FEED:
        return
    source, texts = work.rules(FeedRules).ticket_source, list(event.message.items)
    posted.close(work, texts, await take(work, texts, source), source=source, kind="ticket", key=FEED)


@reactions.on(customers.AccountChanged)
async def customer_known(event: Heard[customers.AccountChanged], work: Work) -> None:
    known = event.message.provenances
    if known and not event.message.merged_into_id:
        sources, codes = [each.source for each in known], [each.source_id for each in known]
        await intake.link(work, await store.waiting(work.tx, sources=sources, codes=codes))


@reactions.on(customers.ContactChanged)
async def contact_known(event: Heard[customers.ContactChanged], work: Work) -> None:
    addresses = [address.strip().casefold() for address in event.message.email_addresses]
    if addresses:
        await intake.link(work, await store.waiting(work.tx, addresses=addresses))


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    gone = [record.id for record in event.message.records if ids.is_id(record.id)]
    intake.erase(work, await store.of_contacts(work.tx, gone))


@quarantine.reader("ticket")
async def read_again(work: Work, item: quarantine.Item) -> str:
    return (await take(work, [item.raw], item.source)).broken.get(0, "")


async def take(work: Work, texts: list[str], source: str) -> posted.Taken:
    """Takes in what can be read. An item is a Ticket in the JSON of the contract; who posts without saying so is
    `source`, and a ticket without an id of its own goes by its number."""

    def complete(ticket: pb.Ticket) -> None:
        ticket.provenance.source = ticket.provenance.source or source
        ticket.provenance.source_id = ticket.provenance.source_id or ticket.number

    read, broken = posted.read(texts, pb.Ticket, complete)
    outcome = await intake.take_in(work, read)
    broken |= {fault.row: f"{fault.reason}: {fault.message}" for fault in outcome.refused}
    return posted.Taken(outcome.created, outcome.updated, broken)
