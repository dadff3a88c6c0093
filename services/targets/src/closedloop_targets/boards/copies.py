"""Key customers as others tell of them (S12)."""

from __future__ import annotations

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop_chassis import protos
from closedloop_chassis.work import Heard, Work
from closedloop_targets.boards import customers_store as store
from closedloop_targets.boards.reactions import reactions


@reactions.on(customers.AccountChanged)
async def account_changed(event: Heard[customers.AccountChanged], work: Work) -> None:
    told = event.message
    work.tx.do(
        store.PUT_ACCOUNT,
        {
            "id": told.account_id,
            "name": told.name,
            "grade": told.grade,
            "owner_id": told.ownership.owner_id,
            "unit_id": told.ownership.unit_id,
            "merged_into": told.merged_into_id,
            "now": work.now,
            "version": told.version,
        },
    )


@reactions.on(funnel.OpportunityChanged)
async def deal_moved(event: Heard[funnel.OpportunityChanged], work: Work) -> None:
    told = event.message
    amount = told.reporting_amount if told.HasField("reporting_amount") else told.amount
    money = amount.currency_code == work.home.currency
    work.tx.do(
        store.PUT_DEAL,
        {
            "id": told.opportunity_id,
            "account_id": told.account_id,
            "pipeline": told.pipeline_id,
            "stage": told.stage_key,
            "stage_at": protos.instant(told.stage_enter_time) if told.HasField("stage_enter_time") else None,
            "probability": told.probability_ratio,
            "minor": protos.minor_units(amount) if money else 0,
            "currency": work.home.currency,
            "open": told.state == opportunities_pb2.OPPORTUNITY_STATE_OPEN,
            "version": told.version,
        },
    )


@reactions.on(funnel.OpportunityWon)
async def deal_won(event: Heard[funnel.OpportunityWon], work: Work) -> None:
    _close(work, event.message)


@reactions.on(funnel.OpportunityLost)
async def deal_lost(event: Heard[funnel.OpportunityLost], work: Work) -> None:
    _close(work, event.message)


@reactions.on(funnel.ActivityLogged)
async def customer_met(event: Heard[funnel.ActivityLogged], work: Work) -> None:
    """What is not effective, or found false later, moves nothing."""
    told = event.message
    work.tx.do(
        store.MET,
        {
            "id": told.activity_id,
            "account_id": told.account_id,
            "at": protos.instant(told.start_time) if told.HasField("start_time") else event.time,
            "effective": told.effective and told.account_id != "",
            "version": told.version,
        },
    )


def _close(work: Work, told: funnel.OpportunityWon | funnel.OpportunityLost) -> None:
    params = {"id": told.opportunity_id, "version": told.version, "currency": work.home.currency}
    work.tx.do(store.CLOSE_DEAL, params)
