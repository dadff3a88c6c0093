"""Deals make customers; people who move take their accounts with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import ids, protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers.accounts import desk, store, wire
from closedloop_customers.accounts.rules import AccountRules, status_by_deals

reactions = Reactions()


@reactions.on(funnel.OpportunityWon)
async def won(event: Heard[funnel.OpportunityWon], work: Work) -> None:
    told = event.message
    products = sorted({line.product_id for line in told.lines if line.product_id})
    await _note_deal(
        work,
        told.opportunity_id,
        told.account_id,
        "won",
        told.amount,
        _day(told.close_date, event.time.date()),
        products,
        told.version,
    )


@reactions.on(funnel.OpportunityLost)
async def lost(event: Heard[funnel.OpportunityLost], work: Work) -> None:
    told = event.message
    await _note_deal(
        work,
        told.opportunity_id,
        told.account_id,
        "lost",
        told.amount,
        _day(told.close_date, event.time.date()),
        [],
        told.version,
    )


@reactions.on(funnel.OpportunityReopened)
async def reopened(event: Heard[funnel.OpportunityReopened], work: Work) -> None:
    told = event.message
    day = _day(told.close_date, event.time.date())
    await _note_deal(work, told.opportunity_id, told.account_id, "reopened", told.amount, day, [], told.version)


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


async def _note_deal(
    work: Work,
    opportunity_id: str,
    account_id: str,
    state: str,
    amount: Money,
    day: date,
    products: list[str],
    version: int,
) -> None:
    known = account_id if ids.is_id(account_id) else None
    minor, currency = (protos.minor_units(amount), amount.currency_code) if amount.currency_code else (0, "")
    work.tx.do(
        store.PUT_DEAL,
        {
            "opportunity_id": opportunity_id,
            "account_id": known,
            "state": state,
            "amount_minor": minor,
            "currency": currency,
            "closed_on": day,
            "product_ids": products,
            "version": version,
        },
    )
    if known is None:
        return
    account = (await store.lock(work.tx, [known])).get(known)
    if account is None or account.status in ("retired", "merged"):
        return
    status = status_by_deals(await store.last_won(work.tx, known), work.now.date(), work.rules(AccountRules))
    if status != account.status:
        desk.change(work, [(account, replace(account, status=status))], action="deal")


def _day(told: Date, otherwise: date) -> date:
    return protos.day(told) if told.year else otherwise
