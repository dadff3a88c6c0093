"""What moves health: tickets here, touches and deals through their desks, the passing of days every day (S33)."""

from __future__ import annotations

from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop_chassis import enums, ids, protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import records, rounds
from closedloop_customers.health import desk, store
from closedloop_customers.health.rules import HealthRules

reactions = Reactions()

DAILY = "customers.health_daily"


@reactions.on(integrations.TicketReceived)
async def ticket(event: Heard[integrations.TicketReceived], work: Work) -> None:
    told = event.message.ticket
    if not ids.is_id(told.account_id):
        return
    key = ("account", told.account_id)
    standing = (await records.find(work.tx, [key])).get(key)
    if standing is None:
        return
    updated = protos.instant(told.update_time) if told.HasField("update_time") else event.time
    row = {
        "id": told.id or told.number,
        "account_id": standing.id,
        "contact_id": told.contact_id or None,
        "kind": enums.word(tickets_pb2.TicketKind, told.kind),
        "state": enums.word(tickets_pb2.TicketState, told.state),
        "title": told.title,
        "opened_at": protos.instant(told.open_time) if told.HasField("open_time") else event.time,
        "resolved_at": protos.instant(told.resolve_time) if told.HasField("resolve_time") else None,
        "version": int(updated.timestamp() * 1_000_000),
    }
    account_id = await store.put_ticket(work.tx, row)
    if account_id is not None:
        desk.touched(work, [account_id], "event:TicketReceived")


@rounds.every(reactions, DAILY, lambda work: work.rules(HealthRules).evaluate_every)
async def daily(work: Work) -> None:
    await desk.evaluate(work, "daily")
