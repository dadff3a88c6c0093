"""Deals make customers; people who move take their accounts with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from google.type.date_pb2 import Date

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import ids, protos
from closedloop_chassis.data import rows
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import records
from closedloop_customers.accounts import desk, store, wire
from closedloop_customers.accounts.rules import AccountRules, status_by_deals
from closedloop_customers.health import desk as health
from closedloop_customers.potential import soon

reactions = Reactions()

# No deal changes the status of such an account.
SETTLED = frozenset({"retired", "merged"})


@reactions.batch(funnel.OpportunityWon)
async def won(events: Sequence[Heard[funnel.OpportunityWon]], work: Work) -> None:
    await _note_deals(events, "won", work)


@reactions.batch(funnel.OpportunityLost)
async def lost(events: Sequence[Heard[funnel.OpportunityLost]], work: Work) -> None:
    await _note_deals(events, "lost", work)


@reactions.batch(funnel.OpportunityReopened)
async def reopened(events: Sequence[Heard[funnel.OpportunityReopened]], work: Work) -> None:
    await _note_deals(events, "reopened", work)


@reactions.on(targets.PersonChanged)
async def owner_moved(event: Heard[targets.PersonChanged], work: Work) -> None:
    """What a person owns belongs to the unit the person belongs to."""
    told = event.message
    person = work.org.person(told.person_id)
    # A telling that is older than our copy of the tree moves nobody.
    if not told.active or (person is not None and person.version > told.version):
        return
    for account in await store.follow_owner(work.tx, told.person_id, told.unit_id, work.now):
        work.audit(account.id, "follow_owner", {}, {"ownership.unit_id": told.unit_id})
        work.tell(wire.changed(account), account.id)


async def _note_deals(events: Sequence[Heard[Any]], state: str, work: Work) -> None:
    """Keeps the deals, and the accounts' status where it follows from them."""
    deals = newest(events, lambda told: told.opportunity_id).values()
    told = {event.message.account_id for event in deals if ids.is_id(event.message.account_id)}
    # The funnel names the account a deal began with.
    part_of = await records.survivors(work.tx, told)
    work.tx.do(store.PUT_DEALS, {"rows": rows.pack(_deal(event, state, part_of) for event in deals)})
    named = {part_of.get(id_, id_) for id_ in told}
    if not named:
        return
    today, rules = work.now.date(), work.rules(AccountRules)
    # Only those whose status follows are locked: most deals are of customers that are customers already.
    due = {
        id: becomes
        for id, status, last_won in await store.standings(work.tx, named)
        if (becomes := status_by_deals(last_won, today, rules)) != status and status not in SETTLED
    }
    if due:
        locked = (await store.lock(work.tx, sorted(due))).values()
        pairs = [(old, replace(old, status=due[old.id])) for old in locked if old.status not in SETTLED]
        desk.change(work, [(old, new) for old, new in pairs if old != new], action="deal")
    soon.reconsider(work, named)
    health.touched(work, sorted(named), "deal")


def _deal(event: Heard[Any], state: str, part_of: Mapping[str, str]) -> dict[str, Any]:
    told = event.message
    amount, named = told.amount, ids.is_id(told.account_id)
    lines = told.lines if state == "won" else ()
    return {
        "opportunity_id": told.opportunity_id,
        "account_id": part_of.get(told.account_id, told.account_id) if named else None,
        "state": state,
        "amount_minor": protos.minor_units(amount) if amount.currency_code else 0,
        "currency": amount.currency_code,
        "closed_on": _day(told.close_date, event.time.date()),
        "product_ids": sorted({line.product_id for line in lines if line.product_id}),
        "version": told.version,
    }


def _day(told: Date, otherwise: date) -> date:
    return protos.day(told) if told.year else otherwise
