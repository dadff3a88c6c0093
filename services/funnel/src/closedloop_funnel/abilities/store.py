"""What each ability's score is made of, out of talk, drills, deals, judgement and lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.abilities.rules import AbilityRule


@dataclass(frozen=True, slots=True)
class Measured:
    """One part of one ability of a person, a unit or (empty key) everybody; in one month, or over the whole period."""

    group_key: str
    month: date | None
    ability: str
    part: str
    value: float
    cases: int
    # Of a mean.
    grades: list[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One row of `ability_assessment`."""

    id: str
    person_id: str
    unit_id: str
    ability_key: str
    score: int
    comment: str
    author_id: str
    at: datetime


ASSESS = rows.insert("ability_assessment", Assessment)
WITHIN = "{at} >= %(from)s AND {at} < %(to)s"
WHOSE = """(%(people)s::text[] IS NULL OR {person} = ANY(%(people)s))
   AND (%(units)s::text[] IS NULL OR {unit} = ANY(%(units)s))"""

# Of the conversations of a person, how many had none of the risk phrases that speak against the ability.
TALK = """
SELECT {group} AS group_key, {month} AS month, a.ability, 'talk' AS part,
       100 * (1 - avg(x.risky::int))::float8 AS value, count(*) AS cases, NULL::float8[] AS grades
  FROM transcript t
       CROSS JOIN (SELECT DISTINCT ability FROM unnest(%(risk_abilities)s::text[]) AS ability) a
       CROSS JOIN LATERAL (
           SELECT EXISTS (
               SELECT FROM hearing h JOIN unnest(%(risk_abilities)s::text[], %(risks)s::text[]) AS r (ability, key)
                             ON r.key = h.key AND r.ability = a.ability
                WHERE h.transcript_id = t.id AND h.kind = 'risk' AND h.review <> 'wrong') AS risky) x
 WHERE {within} AND {whose} GROUP BY 1, 2, 3
"""
DRILL = """
SELECT {group}, {month}, s.ability, 'drill', avg(t.grade), count(*), array_agg(t.grade)
  FROM drill_attempt t JOIN unnest(%(scenarios)s::text[], %(scenario_abilities)s::text[]) AS s (key, ability)
         ON s.key = t.scenario_key
 WHERE t.grade IS NOT NULL AND {within} AND {whose} GROUP BY 1, 2, 3
"""
# Deals that ended, in whose talks an objection was heard that the ability answers: how many were won all the same.
WIN_RATE = """
SELECT {group}, {month}, a.ability, 'win_rate', 100 * avg((t.state = 'won')::int)::float8, count(*), NULL
  FROM opportunity t
       CROSS JOIN (SELECT DISTINCT ability FROM unnest(%(objection_abilities)s::text[]) AS ability) a
 WHERE t.state <> 'open' AND {within} AND {whose}
   AND EXISTS (SELECT FROM transcript c JOIN hearing h ON h.transcript_id = c.id AND h.kind = 'objection'
                 JOIN unnest(%(objection_abilities)s::text[], %(objections)s::text[]) AS r (ability, key)
                   ON r.key = h.key AND r.ability = a.ability
                WHERE c.opportunity_id = t.id AND h.review <> 'wrong')
 GROUP BY 1, 2, 3
"""
ASSESSMENT = """
SELECT {group}, {month}, t.ability_key, 'assessment', avg(t.score)::float8, count(*), array_agg(t.score::float8)
  FROM ability_assessment t WHERE {within} AND {whose} GROUP BY 1, 2, 3
"""
LESSON = """
SELECT {group}, {month}, k, 'lesson', 100 * avg((t.state = 'applied')::int)::float8, count(*), NULL
  FROM lesson_offer t JOIN article a ON a.id = t.article_id CROSS JOIN unnest(a.ability_keys) AS k
 WHERE {within} AND {whose} GROUP BY 1, 2, 3
"""
# Statement, time, person.
PARTS = (
    (TALK, "t.started_at", "t.owner_id"),
    (DRILL, "t.submitted_at", "t.person_id"),
    (WIN_RATE, "t.closed_at", "t.owner_id"),
    (ASSESSMENT, "t.at", "t.person_id"),
    (LESSON, "t.offered_at", "t.person_id"),
)
LESSONS = """
SELECT k AS ability, count(*) AS offered, count(*) FILTER (WHERE t.state = 'applied') AS applied
  FROM lesson_offer t JOIN article a ON a.id = t.article_id CROSS JOIN unnest(a.ability_keys) AS k
 WHERE t.person_id = %(person)s AND t.offered_at >= %(from)s AND t.offered_at < %(to)s GROUP BY k
"""


async def measured(
    db: Reader | Transaction,
    abilities: Mapping[str, AbilityRule],
    scenarios: Mapping[str, str],
    *,
    begins: datetime,
    ends: datetime,
    zone: str,
    group: str,
    monthly: bool,
    people: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
) -> list[Measured]:
    """`group`: "person", "unit" or "all"; `scenarios`: the ability each of them trains. One round trip."""
    sql = []
    for template, at, person in PARTS:
        key = {"person": person, "unit": "t.unit_id", "all": "''"}[group]
        month = f"date_trunc('month', {at} AT TIME ZONE %(zone)s)::date" if monthly else "NULL::date"
        whose = WHOSE.format(person=person, unit="t.unit_id")
        sql.append(template.format(group=key, month=month, within=WITHIN.format(at=at), whose=whose))
    risks = [(name, key) for name, rule in abilities.items() for key in rule.risks]
    objections = [(name, key) for name, rule in abilities.items() for key in rule.objections]
    params: dict[str, Any] = {
        "from": begins,
        "to": ends,
        "zone": zone,
        "people": list(people) if people is not None else None,
        "units": list(units) if units is not None else None,
        "risk_abilities": [name for name, _ in risks],
        "risks": [key for _, key in risks],
        "objection_abilities": [name for name, _ in objections],
        "objections": [key for _, key in objections],
        "scenarios": list(scenarios),
        "scenario_abilities": list(scenarios.values()),
    }
    return await db.all("\nUNION ALL\n".join(sql) + "\nORDER BY 1, 2, 3, 4", params, into=Measured)
