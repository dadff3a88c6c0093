"""What other slices may ask of assignment: an owner for a record, and the trail of who held it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import explanations
from closedloop_customers.assignment import market, rules, store
from closedloop_customers.assignment.market import Question, everybody
from closedloop_customers.assignment.rules import AssignmentRules, Candidate, Seller, Subject
from closedloop_customers.explanations import Explanation
from closedloop_customers.reminders import desk as reminders

__all__ = ["Choice", "Question", "Seller", "Subject", "everybody"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets a record; an empty `owner_id` is the pool of `unit_id`."""

    owner_id: str
    unit_id: str
    rule: Explanation
    candidates: list[Candidate] = field(default_factory=list)
    # As many records as its owner may have with it, where the rules chose.
    most: int | None = None


def propose(work: Work, subject: Subject, sellers: Sequence[Seller]) -> Choice:
    """Who would get it, and why not the others; nothing is written."""
    settings = work.rules(AssignmentRules)
    shown = rules.choose(subject, sellers, settings, settings.shown_candidates)
    return _won(work, subject, shown[0], shown) if shown and shown[0].eligible else _pooled(work, subject, shown)


async def by_rules(
    work: Work,
    record_type: str,
    subjects: Sequence[Subject],
    *,
    method: str = "rules",
    reason: str = "",
    previous: Mapping[str, str] | None = None,
    pool_reason: str = "unassigned",
    sellers: Sequence[Seller] | None = None,
) -> dict[str, Choice]:
    """An owner for each, or the pool; writes the assignments. `previous`: owners before, for records that had one.

    One round trip, none with `sellers` known. Of two who take the last free place at once the second is overtaken, and
    begins again with the sellers held."""
    single = len(subjects) == 1
    if sellers is None:
        sellers = await market.everybody(work, work.tx, record_type, alone=work.overtaken)
    chosen = {subjects[0].id: propose(work, subjects[0], sellers)} if single else share(work, subjects, sellers)
    give(work, record_type, chosen, method, reason, previous, pool_reason)
    return chosen


def give(
    work: Work,
    record_type: str,
    chosen: Mapping[str, Choice],
    method: str,
    reason: str = "",
    previous: Mapping[str, str] | None = None,
    pool_reason: str = "unassigned",
) -> list[store.AssignmentRow]:
    """Queues the assignments; what nobody takes lies in the pool. `previous` None: the records are new."""
    settings = work.rules(AssignmentRules)
    given = [
        store.AssignmentRow(
            id=new_id(),
            record_type=record_type,
            record_id=id_,
            owner_id=choice.owner_id,
            unit_id=choice.unit_id,
            previous_owner_id=(previous or {}).get(id_, ""),
            method=method,
            rule=choice.rule,
            reason=reason,
            candidates=[c.kept for c in choice.candidates],
            assigned_by=work.actor,
            assigned_at=work.now,
            ended_at=None,
            protected_until=work.now + timedelta(days=settings.protection_days) if choice.owner_id else None,
        )
        for id_, choice in chosen.items()
    ]
    if given:
        if previous is not None:
            reminders.owned_anew(work, [row.record_id for row in given if row.owner_id != row.previous_owner_id])
        most = {choice.owner_id: choice.most for choice in chosen.values() if choice.most is not None}
        store.replace_running(work.tx, record_type, given, most, work.now, first=previous is None)
        taken = market.of(work)
        for row in given:
            if row.owner_id:
                taken.choose(work.tx, record_type, row.owner_id)
    pooled = [row for row in given if not row.owner_id]
    if pooled:
        store.enter_pool(work.tx, [_pool_entry(row, pool_reason) for row in pooled])
    return given


def hold(
    work: Work,
    record_type: str,
    held: Iterable[tuple[str, str, str]],
    method: str,
    explanation: str,
    reason: str = "",
    previous: Mapping[str, str] | None = None,
) -> list[store.AssignmentRow]:
    """Queues assignments to people who were named: (record id, owner, unit)."""
    rule = explanations.because(work, AssignmentRules, method, explanation)
    chosen = {id_: Choice(owner_id, unit_id, rule) for id_, owner_id, unit_id in held}
    return give(work, record_type, chosen, method, reason, previous)


def home(work: Work, subject: Subject) -> str:
    """The unit in whose pool it lies; empty where none covers it."""
    return rules.home_unit(subject, work.org)


def end(work: Work, record_type: str, ids: Iterable[str]) -> None:
    """These records no longer need anybody: closed or merged."""
    store.end(work.tx, record_type, ids, work.now)


async def missed_by(tx: Transaction, ids: Collection[str]) -> dict[str, frozenset[str]]:
    """By record: who had it before. One round trip."""
    return await store.held_before(tx, ids)


async def check_account_limit(work: Work, person_id: str) -> None:
    """Raises FailedPrecondition ACCOUNT_LIMIT_REACHED for a person who owns as many accounts as they may. One round
    trip."""
    row = (await store.sellers(work.tx, [person_id]))[person_id]
    capacity = row.profile.get("account_capacity", work.rules(AssignmentRules).account_capacity)
    if row.owned_accounts >= capacity:
        raise errors.FailedPrecondition(
            "ACCOUNT_LIMIT_REACHED",
            f"{person_id} owns {row.owned_accounts} accounts of {int(capacity)}",
            capacity=int(capacity),
        )


def share(work: Work, subjects: Sequence[Subject], sellers: Sequence[Seller]) -> dict[str, Choice]:
    """Who would get each of many, none beyond their room; nothing is written."""
    winners = rules.distribute(subjects, sellers, work.rules(AssignmentRules))
    pools: dict[tuple[object, ...], Choice] = {}
    chosen: dict[str, Choice] = {}
    for subject in subjects:
        winner, kind = winners[subject.id], (subject.region_code, subject.industry, subject.product_lines)
        if winner is not None:
            chosen[subject.id] = _won(work, subject, winner, [winner])
            continue
        if kind not in pools:
            pools[kind] = _pooled(work, subject, [])
        chosen[subject.id] = pools[kind]
    return chosen


def _won(work: Work, subject: Subject, winner: Candidate, shown: list[Candidate]) -> Choice:
    person = work.org.person(winner.person_id)
    assert person is not None
    rule, why = "weights", winner.explanation
    if winner.person_id == subject.stand_in_for:
        rule, why = "stand_in", f"stands in; {why}"
    elif winner.person_id == subject.keeper_id and work.rules(AssignmentRules).account_owner_first:
        rule, why = "account_owner_first", f"owns the customer; {why}"
    because = explanations.because(work, AssignmentRules, rule, why)
    return Choice(winner.person_id, person.unit_id, because, shown, winner.capacity)


def _pooled(work: Work, subject: Subject, shown: list[Candidate]) -> Choice:
    unit_id = rules.home_unit(subject, work.org)
    region, industry = subject.region_code or "unknown", subject.industry or "unknown"
    why = f"no seller fits region {region}, industry {industry} and has room"
    return Choice("", unit_id, explanations.because(work, AssignmentRules, "pool", why), shown)


def _pool_entry(row: store.AssignmentRow, reason: str) -> dict[str, Any]:
    return {
        "record_type": row.record_type,
        "record_id": row.record_id,
        "unit_id": row.unit_id,
        "reason": reason,
        "note": row.reason,
        "last_owner_id": row.previous_owner_id,
        "entered_at": row.assigned_at,
    }
