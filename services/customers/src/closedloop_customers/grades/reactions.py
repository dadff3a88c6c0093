"""Deals are graded at once, the rest every day (S29)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop_chassis import ids
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import records, rounds
from closedloop_customers.grades import desk
from closedloop_customers.grades.rules import GradeRules

reactions = Reactions()

DAILY = "customers.grading_daily"


@reactions.batch(funnel.OpportunityWon)
async def won(events: Sequence[Heard[funnel.OpportunityWon]], work: Work) -> None:
    await _regrade(work, events, "event:OpportunityWon")


@reactions.batch(funnel.OpportunityReopened)
async def reopened(events: Sequence[Heard[funnel.OpportunityReopened]], work: Work) -> None:
    await _regrade(work, events, "event:OpportunityReopened")


async def _regrade(work: Work, events: Sequence[Heard[Any]], cause: str) -> None:
    told = {event.message.account_id for event in events if ids.is_id(event.message.account_id)}
    named = sorted({*(await records.survivors(work.tx, told)).values()})
    if named:
        await desk.evaluate(work, cause, named)


@rounds.every(reactions, DAILY, lambda work: work.rules(GradeRules).grade_every)
async def daily(work: Work) -> None:
    await desk.evaluate(work, "daily")
