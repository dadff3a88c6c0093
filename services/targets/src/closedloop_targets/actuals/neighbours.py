"""What neighbouring departments do, as their systems tell it: leads that turn into opportunities, deliveries on their
day, hours to the resolution of a ticket (S18)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.events.newest import newest
from closedloop_chassis.work import Heard, Work
from closedloop_targets.actuals import store
from closedloop_targets.actuals.reactions import CRM, ERP, Said, reactions, restate
from closedloop_targets.actuals.rules import ActualRules, Fact, measurement
from closedloop_targets.alignment.rules import AlignmentRules
from closedloop_targets.amounts import MILLIONTHS

TICKETS = "tickets"
RESOLVED = (tickets_pb2.TICKET_STATE_RESOLVED, tickets_pb2.TICKET_STATE_CLOSED)
SECONDS = Decimal(3600)
# More than there are states of a ticket.
STATES = 16

# The earliest day and the happier end, in whatever order they are told.
FATES = """
INSERT INTO lead_fate (lead_id, received_on, converted)
SELECT lead_id, min(received_on), bool_or(converted) FROM jsonb_populate_recordset(NULL::lead_fate, %(rows)s) GROUP BY lead_id
ON CONFLICT (lead_id) DO UPDATE
   SET received_on = least(lead_fate.received_on, excluded.received_on),
       converted = lead_fate.converted OR excluded.converted
RETURNING lead_id, received_on, converted
"""


@reactions.batch(integrations.TicketReceived)
async def tickets_received(events: Sequence[Heard[integrations.TicketReceived]], work: Work) -> None:
    """Plain hours from opening to resolution, on the day of the resolution; a ticket opened again is not resolved."""
    latest: dict[str, tickets_pb2.Ticket] = {}
    for ticket in (event.message.ticket for event in events):
        if ticket.id not in latest or _revision(latest[ticket.id]) <= _revision(ticket):
            latest[ticket.id] = ticket
    known = await store.known(work.tx, source=TICKETS, subjects=list(latest))
    metric, unit = work.rules(ActualRules).resolution, _department(work, work.rules(ActualRules).resolution)
    said = []
    for id, ticket in latest.items():
        facts = []
        if ticket.state in RESOLVED and ticket.HasField("resolve_time"):
            end = protos.instant(ticket.resolve_time)
            hours = Decimal((end - protos.instant(ticket.open_time)).total_seconds()) / SECONDS
            facts = [
                _fact(work, metric, unit, TICKETS, id, work.home.day(end), max(hours, Decimal(0)), _revision(ticket))
            ]
        if known.news(id, _revision(ticket)):
            said.append(Said(id, _revision(ticket), facts, "the ticket was changed"))
    restate(work, known, TICKETS, said)


@reactions.batch(integrations.OrderRecorded)
async def orders_recorded(events: Sequence[Heard[integrations.OrderRecorded]], work: Work) -> None:
    """Of what was delivered, whether it was on its day or before."""
    orders = {f"order:{number}": event.message for number, event in newest(events, lambda one: one.number).items()}
    known = await store.known(work.tx, source=ERP, subjects=list(orders))
    metric, unit = work.rules(ActualRules).delivery, _department(work, work.rules(ActualRules).delivery)
    said = []
    for subject, order in orders.items():
        facts = []
        if order.HasField("delivered_date") and order.HasField("promised_date") and not order.cancelled:
            day, promised = protos.day(order.delivered_date), protos.day(order.promised_date)
            facts = [_fact(work, metric, unit, ERP, subject, day, Decimal(day <= promised), order.version)]
        if known.news(subject, order.version):
            said.append(Said(subject, order.version, facts, "the order was booked anew"))
    restate(work, known, ERP, said)


@reactions.batch(customers.LeadReceived)
async def leads_received(events: Sequence[Heard[customers.LeadReceived]], work: Work) -> None:
    days = {
        event.message.lead_id: work.home.day(protos.instant(event.message.receive_time))
        if event.message.HasField("receive_time")
        else work.home.day(event.time)
        for event in events
    }
    await _fated(work, [{"lead_id": id, "received_on": day, "converted": False} for id, day in days.items()])


@reactions.batch(customers.LeadConverted)
async def leads_converted(events: Sequence[Heard[customers.LeadConverted]], work: Work) -> None:
    """Marketing is measured by opportunities: a lead that became an account alone has not turned into one."""
    turned = sorted({event.message.lead_id for event in events if event.message.open_opportunity})
    await _fated(work, [{"lead_id": id, "received_on": None, "converted": True} for id in turned])


async def _fated(work: Work, told: Sequence[dict[str, object]]) -> None:
    """A lead counts on the day it came, as nothing or as one."""
    if not told:
        return
    fates = await work.tx.all(FATES, {"rows": rows.pack(told)})
    known = await store.known(work.tx, source=CRM, subjects=[f"lead:{fate['lead_id']}" for fate in fates])
    metric, unit = work.rules(ActualRules).conversion, _department(work, work.rules(ActualRules).conversion)
    said = []
    for fate in fates:
        subject, revision = f"lead:{fate['lead_id']}", 2 if fate["converted"] else 1
        if fate["received_on"] is not None and known.news(subject, revision):
            value = Decimal(fate["converted"])
            fact = _fact(work, metric, unit, CRM, subject, fate["received_on"], value, revision)
            said.append(Said(subject, revision, [fact], "the lead became an opportunity"))
    restate(work, known, CRM, said)


def _department(work: Work, metric: str) -> str:
    """The unit the rulebook names beside the metric, else the company's."""
    named = (one.department_id for one in work.rules(AlignmentRules).neighbours if one.metric == metric)
    root = work.home.root
    return next(filter(None, named), root.id if root else "")


def _fact(
    work: Work, metric: str, unit_id: str, source: str, subject: str, day: date, value: Decimal, revision: int
) -> Fact:
    return measurement(
        metric,
        round(value * MILLIONTHS),
        subject=subject,
        day=day,
        source=source,
        revision=revision,
        brought_by=work.actor,
        observed_at=work.now,
        unit_id=unit_id,
    )


def _revision(ticket: tickets_pb2.Ticket) -> int:
    """What support said last stands; of one instant (some systems tell whole seconds) the state that is further on."""
    return ticket.update_time.ToMicroseconds() * STATES + ticket.state
