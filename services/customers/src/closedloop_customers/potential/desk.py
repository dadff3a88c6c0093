"""Evaluates accounts, tells what came out differently, and sees to it that each is looked at again when it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_customers import explanations
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.potential import soon, store
from closedloop_customers.potential.rules import PotentialRules, evaluate, is_change, moves_at

# The cause of what nobody asked for.
DUE = "due"
# Accounts between two looks at what else there is to do, and between two writings.
_BREATH, _STRETCH = 200, 2_000


@dataclass(slots=True)
class Outcome:
    first: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


async def follow(work: Work, account_ids: Collection[str]) -> Outcome:
    """Accounts whose time has come, held if free; those that somebody holds just now are looked at again. Six round trips,
    waits for nobody."""
    outcome = Outcome()
    await _evaluate(work, list(account_ids), DUE, (), outcome, waits=False)
    seen = {*outcome.first, *outcome.changed, *outcome.unchanged}
    if len(seen) < len(account_ids):
        left = [
            row["id"] for row in await work.tx.all(store.LIVING, {"ids": list(account_ids)}) if row["id"] not in seen
        ]
        again = work.calendars.due(work.rules(PotentialRules).held_again, work.now, "")
        work.timers.bring_forward(soon.DUE, dict.fromkeys(left, again))
    return outcome


async def look_through(work: Work) -> None:
    """Asks for all that nobody evaluated yet, or that were by another version of the rules. One round trip."""
    version = work.process.rulebooks.version(PotentialRules, work.now)
    soon.reconsider(work, [row["id"] for row in await work.tx.all(store.NOT_CONSIDERED, {"version": version})])


async def reevaluate(work: Work, account_ids: Collection[str], cause: str, notice_ids: Sequence[str] = ()) -> Outcome:
    """Computes accounts anew. Every real change is told as PotentialReevaluated; a flip of "high" as AccountChanged
    too.

    Four round trips for every `_STRETCH` accounts; unknown, merged and retired ones are left out."""
    outcome, wanted = Outcome(), list(account_ids)
    for first in range(0, len(wanted), _STRETCH):
        # Sent stretch by stretch: others are served meanwhile, and no document outgrows jsonb.
        await _evaluate(work, wanted[first : first + _STRETCH], cause, notice_ids, outcome)
        if first + _STRETCH < len(wanted):
            await work.tx.send()
    return outcome


async def _evaluate(
    work: Work,
    account_ids: Sequence[str],
    cause: str,
    notice_ids: Sequence[str],
    outcome: Outcome,
    *,
    waits: bool = True,
) -> None:
    rules, version = work.rules(PotentialRules), work.process.rulebooks.version(PotentialRules, work.now)
    soonest = work.calendars.due(rules.follow_every, work.now, "")
    written: list[store.Potential] = []
    verdicts: dict[str, bool] = {}
    moving: dict[str, datetime] = {}
    same: list[str] = []
    measured = await store.measure(work.tx, account_ids, work.now, rules, waits=waits)
    for number, (before, inputs) in enumerate(measured):
        if number % _BREATH == 0:
            await asyncio.sleep(0)  # others are served meanwhile
        if (moves := moves_at(inputs, work.now.date(), soonest, rules)) is not None:
            moving[before.id] = moves
        verdict = evaluate(inputs, work.now.date(), rules)
        rule = explanations.because(work, PotentialRules, "dimensions", verdict.explanation)
        if not is_change(before.score, before.high, verdict, rules):
            outcome.unchanged.append(before.id)
            same.append(before.id)
            continue
        (outcome.first if before.score is None else outcome.changed).append(before.id)
        written.append(
            store.Potential(
                before.id,
                verdict.score,
                verdict.high,
                verdict.dimensions,
                rule,
                cause,
                work.now,
                before.score,
                version,
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
        # Of a new account that is nothing special nobody has to hear: an import of many would tell of each.
        if before.score is not None or verdict.high or cause != DUE:
            work.tell(told, before.id)
        score_before = {} if before.score is None else {"potential": round(before.score, 2)}
        work.audit(before.id, "evaluate", score_before, {"potential": round(verdict.score, 2)})
    store.put(work.tx, written)
    store.considered(work.tx, same, version)
    work.timers.bring_forward(soon.DUE, moving)
    await accounts.set_high(work, verdicts)
