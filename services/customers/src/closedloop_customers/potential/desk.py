"""Evaluates accounts and tells what came out differently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_customers import explanations
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.potential import store
from closedloop_customers.potential.rules import PotentialRules, evaluate, is_change


@dataclass(slots=True)
class Outcome:
    first: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


async def reevaluate(work: Work, account_ids: Collection[str], cause: str, notice_ids: Sequence[str] = ()) -> Outcome:
    """Computes accounts anew. Every real change is told as PotentialReevaluated; a flip of "high" as AccountChanged
    too.

    Three round trips, however many accounts; unknown, merged and retired ones are left out."""
    rules = work.rules(PotentialRules)
    outcome = Outcome()
    written: list[store.Potential] = []
    verdicts: dict[str, bool] = {}
    for before, inputs in await store.measure(work.tx, account_ids, work.now, rules):
        verdict = evaluate(inputs, work.now.date(), rules)
        rule = explanations.because(work, PotentialRules, "dimensions", verdict.explanation)
        if not is_change(before.score, before.high, verdict, rules):
            outcome.unchanged.append(before.id)
            continue
        (outcome.first if before.score is None else outcome.changed).append(before.id)
        written.append(
            store.Potential(
                before.id, verdict.score, verdict.high, verdict.dimensions, rule, cause, work.now, before.score
            )
        )
        if verdict.high != before.high:
            verdicts[before.id] = verdict.high
        told = events.PotentialReevaluated(
            account_id=before.id,
            score=verdict.score,
            previous_score=before.score or 0.0,
            high=verdict.high,
            previously_high=before.high,
            cause=cause,
            rule=explanations.reference(rule),
            notice_ids=notice_ids,
            evaluate_time=protos.timestamp(work.now),
        )
        work.tell(told, before.id)
        score_before = {} if before.score is None else {"potential": round(before.score, 2)}
        work.audit(before.id, "evaluate", score_before, {"potential": round(verdict.score, 2)})
    store.put(work.tx, written)
    await accounts.set_high(work, verdicts)
    return outcome
