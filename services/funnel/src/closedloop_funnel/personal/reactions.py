"""A person is forgotten here as well when customers has forgotten them (PIPL)."""

from __future__ import annotations

from closedloop.customers.v1 import events_pb2 as customers
from closedloop_chassis import ids
from closedloop_chassis.events import forgetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.traces import Traces
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.opportunities import renaming
from closedloop_funnel.personal import mentions, store
from closedloop_funnel.personal.rules import FunnelPersonalRules

reactions = Reactions()


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    """What is theirs by id is emptied; where they are only named, the name goes; what waits to be applied and speaks of
    them is forgotten."""
    told = event.message
    named = [record.id for record in told.records if ids.is_id(record.id)]
    traces = Traces(
        ids=frozenset(named),
        addresses=frozenset(told.address_digests),
        names={name.sha256: name.length for name in told.name_digests},
    )
    found = await store.erase(work.tx, named, work.now) if named else 0
    accounts = [account for account in told.account_ids if ids.is_id(account)]
    instead = work.rules(FunnelPersonalRules).erased_name
    mentioned, renamed = await mentions.replace(work.tx, traces, accounts, work.now, instead)
    await renaming.tell_again(work, renamed)
    # By name alone they could be of somebody who is called the same.
    stuck = await forgetting.forget(work, Traces(ids=traces.ids, addresses=traces.addresses))
    if told.personal_data_request_id:
        forgetting.forget_answers(work, named)
    if found or mentioned or stuck:
        after = {"records": found, "mentions": mentioned, "events": stuck}
        work.audit(told.personal_data_request_id or next(iter(named), ""), "erase", after=after)
