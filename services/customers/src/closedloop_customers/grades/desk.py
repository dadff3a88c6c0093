"""Grades accounts anew and tells of those whose grade is another one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import explanations
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.accounts.rules import Account
from closedloop_customers.grades import store
from closedloop_customers.grades.rules import GradeRules, sentence

# Fields of a profile that a condition may look at.
OF_PROFILE = ("customer_type", "employee_count")
# Accounts between two writings: others are served meanwhile.
_STRETCH = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    read: int
    first: int
    changed: int


async def evaluate(work: Work, cause: str, account_ids: Collection[str] | None = None) -> Outcome:
    """Of these accounts, or of all. Two round trips, and two for every `_STRETCH` of those that change."""
    rules = work.rules(GradeRules)
    params = store.parameters(rules, work.now, account_ids)
    read = await work.tx.value(store.COUNT.format(these=store.these(account_ids)), params)
    judged = await work.tx.all(store.statement(rules, account_ids), params, into=store.Judged)
    # Thousands share a reason.
    reasons = {held: _because(work, rules, *held) for held in {(one.grade, one.condition) for one in judged}}
    for first in range(0, len(judged), _STRETCH):
        stretch = judged[first : first + _STRETCH]
        await accounts.set_grades(work, {one.id: one.grade for one in stretch})
        changes = [
            {
                "id": new_id(),
                "account_id": one.id,
                "changed_at": work.now,
                "from_grade": one.before,
                "to_grade": one.grade,
                "rule": reasons[one.grade, one.condition],
                "cause": cause,
            }
            for one in stretch
        ]
        work.tx.do(store.ADD_CHANGES, {"rows": rows.pack(changes)})
        if first + _STRETCH < len(judged):
            await work.tx.send()
    fresh = sum(not one.before for one in judged)
    return Outcome(read, fresh, len(judged) - fresh)


async def followed(work: Work, changed: Iterable[tuple[Account, Account]]) -> bool:
    """Grades those of (before, after) whose profile now says otherwise what a grade is made of; whether there are any.
    Who has no grade yet gets one in the daily round."""
    named = [
        new.id
        for old, new in changed
        if old.grade and any(old.profile.get(name) != new.profile.get(name) for name in OF_PROFILE)
    ]
    if named:
        await evaluate(work, "event:AccountChanged", named)
    return bool(named)


def _because(work: Work, rules: GradeRules, name: str, condition: int) -> explanations.Explanation:
    grade = rules.grades[name]
    said = sentence(grade.conditions[condition], rules) if condition >= 0 else "不满足更高等级的任何条件"
    rule = f"grades.{name}" + (f".conditions.{condition}" if condition >= 0 else "")
    return explanations.because(work, GradeRules, rule, f"{name} 级（{grade.title}）：{said}")
