"""A person is forgotten here as well when customers has forgotten them (PIPL)."""

from __future__ import annotations

from closedloop.customers.v1 import events_pb2 as customers
from closedloop_chassis import ids
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.personal import store

reactions = Reactions()


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    named = [record.id for record in event.message.records if ids.is_id(record.id)]
    if named and (found := await store.erase(work.tx, named, work.now)):
        work.audit(event.message.personal_data_request_id or named[0], "erase", after={"records": found})
