"""Grades in SQL: all accounts, or some, in one statement made from the standard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from closedloop_chassis.work import Scope
from closedloop_customers.grades.rules import Condition, GradeRules

MEASURED = """
SELECT a.id, a.grade AS before, coalesce(a.profile->>'customer_type', '') AS customer_type,
       coalesce(d.revenue, 0) / 100.0 AS revenue, coalesce(d.deals, 0)::float8 AS deals,
       coalesce((a.profile->>'employee_count')::float8, 0) AS employees,
       CASE WHEN a.profile->'annual_revenue'->>'currency' = %(currency)s
            THEN (a.profile->'annual_revenue'->>'minor')::float8 / 100 ELSE 0 END AS annual_revenue,
       coalesce(p.score, 0) AS potential, coalesce(i.touches, 0)::float8 AS interactions
  FROM account a
  LEFT JOIN potential p ON p.account_id = a.id
  LEFT JOIN (SELECT account_id, count(*) FILTER (WHERE closed_on >= %(deals_since)s) AS deals,
                    sum(amount_minor) FILTER (WHERE closed_on >= %(revenue_since)s AND currency = %(currency)s)::float8
                        AS revenue
               FROM account_deal WHERE {only} AND state = 'won' GROUP BY account_id) d ON d.account_id = a.id
  LEFT JOIN (SELECT account_id, count(*) AS touches FROM interaction
              WHERE {only} AND effective AND occurred_at >= %(touched_since)s GROUP BY account_id) i ON i.account_id = a.id
 WHERE {these} AND a.status NOT IN ('merged', 'retired')
"""
EVALUATE = """
WITH measured AS MATERIALIZED ({measured}),
verdict AS (SELECT id, before, CASE {cases} ELSE %(last)s END AS verdict FROM measured),
judged AS (SELECT id, before, split_part(verdict, ' ', 1) AS grade, split_part(verdict, ' ', 2)::int AS condition
             FROM verdict)
SELECT id, before, grade, condition FROM judged WHERE before <> grade
"""
COUNT = "SELECT count(*) FROM account a WHERE {these} AND a.status NOT IN ('merged', 'retired')"
ADD_CHANGES = """
INSERT INTO grade_change (id, account_id, changed_at, from_grade, to_grade, rule, cause)
SELECT id, account_id, changed_at, from_grade, to_grade, rule, cause
  FROM jsonb_populate_recordset(NULL::grade_change, %(rows)s)
"""
HISTORY = """
SELECT changed_at, from_grade, to_grade, rule, cause FROM grade_change WHERE account_id = %(account_id)s
 ORDER BY id DESC LIMIT 100
"""
# Grades that stood at the start, against what became of the account until the end.
FORETOLD = f"""
SELECT g.to_grade AS grade, count(*) AS accounts, count(*) FILTER (WHERE
       %(won)s AND EXISTS (SELECT FROM account_deal d WHERE d.account_id = a.id AND d.state = 'won'
                              AND d.closed_on >= %(start)s::date AND d.closed_on < %(end)s::date)
       OR EXISTS (SELECT FROM account_outcome o WHERE o.account_id = a.id AND o.kind = ANY(%(good)s)
                     AND o.happened_at >= %(start)s AND o.happened_at < %(end)s)) AS good
  FROM account a
  JOIN LATERAL (SELECT to_grade FROM grade_change c WHERE c.account_id = a.id AND c.changed_at <= %(start)s
                 ORDER BY id DESC LIMIT 1) AS g ON true
 WHERE a.status <> 'merged' AND {Scope.SQL} AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
 GROUP BY g.to_grade
"""
BY_GRADE = "SELECT grade, count(*) AS accounts FROM account WHERE status NOT IN ('merged', 'retired') GROUP BY grade"


@dataclass(frozen=True, slots=True)
class Judged:
    """`condition` of the grade that held, -1 for none."""

    id: str
    before: str
    grade: str
    condition: int


@dataclass(frozen=True, slots=True)
class Change:
    changed_at: datetime
    from_grade: str
    to_grade: str
    rule: dict[str, Any]
    cause: str


def statement(rules: GradeRules, ids: Collection[str] | None) -> str:
    """Accounts whose grade is another one now."""
    return EVALUATE.format(measured=measured(ids), cases=" ".join(_cases(rules)))


def measured(ids: Collection[str] | None) -> str:
    return MEASURED.format(only=_only(ids), these=these(ids))


def these(ids: Collection[str] | None) -> str:
    return "true" if ids is None else "a.id = ANY(%(ids)s::uuid[])"


def parameters(rules: GradeRules, now: datetime, ids: Collection[str] | None) -> dict[str, Any]:
    named = {
        f"{_name(place, number)}_{measure}": least
        for place, number, condition in _conditions(rules)
        for measure, least in condition.at_least.items()
    }
    types = {
        f"{_name(place, number)}_types": [pattern for one in condition.customer_types for pattern in (one, one + ".%")]
        for place, number, condition in _conditions(rules)
    }
    return {
        **named,
        **types,
        **{f"grade_{place}": name for place, name in enumerate(rules.grades)},
        "ids": None if ids is None else list(ids),
        "last": f"{next(reversed(rules.grades))} -1",
        "currency": rules.currency,
        "revenue_since": (now - timedelta(days=rules.revenue_days)).date(),
        "deals_since": (now - timedelta(days=rules.deal_days)).date(),
        "touched_since": now - timedelta(days=rules.interaction_days),
    }


def _cases(rules: GradeRules) -> list[str]:
    """The names of measures are the rulebook's own closed list; every value is a parameter."""
    cases = []
    for place, number, condition in _conditions(rules):
        name = _name(place, number)
        asked = [f"{measure} >= %({name}_{measure})s" for measure in condition.at_least]
        if condition.customer_types:
            asked.append(f"customer_type LIKE ANY(%({name}_types)s::text[])")
        cases.append(f"WHEN {' AND '.join(asked)} THEN %(grade_{place})s || ' {number}'")
    return cases


def _conditions(rules: GradeRules) -> list[tuple[int, int, Condition]]:
    return [
        (place, number, condition)
        for place, grade in enumerate(rules.grades.values())
        for number, condition in enumerate(grade.conditions)
    ]


def _name(place: int, number: int) -> str:
    return f"c_{place}_{number}"


def _only(ids: Collection[str] | None) -> str:
    return "account_id IS NOT NULL" if ids is None else "account_id = ANY(%(ids)s::uuid[])"
