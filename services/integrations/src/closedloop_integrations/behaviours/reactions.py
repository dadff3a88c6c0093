"""Actions by webhook; people who are erased (S72)."""

from __future__ import annotations

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import behaviours_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import ids
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import posted, quarantine
from closedloop_integrations.behaviours import intake, store
from closedloop_integrations.feeds import FeedRules

reactions = Reactions()

FEED = "behaviours"


@reactions.on(events.FeedFetched)
async def read_behaviours(event: Heard[events.FeedFetched], work: Work) -> None:
    if event.message.feed != FEED:
        return
    source, texts = work.rules(FeedRules).behaviour_source, list(event.message.items)
    posted.close(work, texts, await take(work, texts, source), source=source, kind="behaviour", key=FEED)


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    gone = [record.id for record in event.message.records if ids.is_id(record.id)]
    if gone:
        store.erase(work.tx, gone, [intake.bare(entry) for entry in await store.of_contacts(work.tx, gone)])


@quarantine.reader("behaviour")
async def read_again(work: Work, item: quarantine.Item) -> str:
    return (await take(work, [item.raw], item.source)).broken.get(0, "")


async def take(work: Work, texts: list[str], source: str) -> posted.Taken:
    """Takes in what can be read. An item is a Behaviour in the JSON of the contract with `provenance.source_id`, by which
    a second delivery is known; who does not say so is `source`."""

    def complete(behaviour: pb.Behaviour) -> None:
        behaviour.provenance.source = behaviour.provenance.source or source

    read, broken = posted.read(texts, pb.Behaviour, complete)
    outcome = await intake.take_in(work, read)
    broken |= {fault.row: f"{fault.reason}: {fault.message}" for fault in outcome.refused}
    return posted.Taken(outcome.created, 0, broken)
