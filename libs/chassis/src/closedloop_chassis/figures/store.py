"""The checks in SQL: a statement per kind of record and per agreement, and what was kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.figures.declared import Agreement, Record
from closedloop_chassis.figures.rules import Count
from closedloop_chassis.work import Scope

TIMELY = "timely"

# Every row stands for each of its fields that are looked at, and for its time.
OF_RECORD = """
SELECT '{record}' AS record, c.dimension, c.aspect, r.owner_id, r.unit_id, count(*)::bigint AS examined,
       count(*) FILTER (WHERE c.ok IS NOT TRUE)::bigint AS failed, 0::float8 AS apart, 0::float8 AS whole,
       coalesce((array_agg(r.label ORDER BY r.id DESC) FILTER (WHERE c.ok IS NOT TRUE))[:%(examples)s], '{{}}') AS examples
  FROM ({sql}) r CROSS JOIN LATERAL (VALUES {checks}) AS c (dimension, aspect, expected, ok)
 WHERE c.expected AND c.aspect = ANY(%(aspects)s) GROUP BY 2, 3, 4, 5
"""
FIELD = "('completeness', '{name}', {expected}, {filled})"
# A day ends where the company is.
ON_TIME = f"""('timeliness', '{TIMELY}', r.occurred_at IS NOT NULL AND r.recorded_at >= %(from)s AND r.recorded_at < %(to)s,
 r.recorded_at < ((r.occurred_at AT TIME ZONE %(zone)s)::date + 1 + %(timely_days)s)::timestamp AT TIME ZONE %(zone)s)"""

OF_AGREEMENT = """
SELECT '{record}' AS record, 'consistency' AS dimension, '{name}' AS aspect, owner_id, unit_id, count(*)::bigint AS examined,
       count(*) FILTER (WHERE apart > %(tolerance)s * whole)::bigint AS failed, sum(apart)::float8 AS apart,
       sum(whole)::float8 AS whole,
       coalesce((array_agg(label ORDER BY apart DESC, id) FILTER (WHERE apart > %(tolerance)s * whole))[:%(examples)s],
                '{{}}') AS examples
  FROM (SELECT r.*, abs(ours - theirs) AS apart, greatest(abs(ours), abs(theirs)) AS whole FROM ({sql}) r) r
 GROUP BY 4, 5
"""

BEGIN = """
INSERT INTO data_check_made (span, day, made_at) VALUES (%(span)s, %(day)s, %(now)s)
ON CONFLICT DO NOTHING RETURNING day
"""
FORGET = (
    "DELETE FROM data_check WHERE span = 'day' AND day < %(before)s",
    "DELETE FROM data_check_made WHERE span = 'day' AND day < %(before)s",
)
LATEST = "SELECT max(day) FROM data_check_made WHERE span = %(span)s"
KEPT = f"""
WITH mine AS (
    SELECT day, record, dimension, aspect, examined, failed, apart, whole, examples
      FROM data_check
     WHERE span = %(span)s AND day BETWEEN %(first)s AND %(last)s AND {Scope.SQL}
       AND (%(in_units)s::text[] IS NULL OR unit_id = ANY(%(in_units)s))
), counted AS (
    SELECT day, record, dimension, aspect, sum(examined)::bigint AS examined, sum(failed)::bigint AS failed,
           sum(apart) AS apart, sum(whole) AS whole
      FROM mine GROUP BY 1, 2, 3, 4
), shown AS (
    SELECT day, record, dimension, aspect, (array_agg(example ORDER BY failed DESC, example))[:%(examples)s] AS examples
      FROM mine, unnest(examples) AS example GROUP BY 1, 2, 3, 4
)
SELECT day, made_at, record, dimension, aspect, examined, failed, apart, whole, coalesce(examples, '{{}}') AS examples
  FROM counted JOIN data_check_made USING (day) LEFT JOIN shown USING (day, record, dimension, aspect)
 WHERE span = %(span)s ORDER BY 1, 3, 4, 5
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What one check found of one owner."""

    record: str
    dimension: str
    aspect: str
    owner_id: str
    unit_id: str
    examined: int
    failed: int
    apart: float
    whole: float
    examples: list[str]


NAMES = ", ".join(("span", "day", *rows.columns(Found)))
ADD = f"INSERT INTO data_check ({NAMES}) SELECT {NAMES} FROM jsonb_populate_recordset(NULL::data_check, %(rows)s)"


@cache
def of_record(record: Record) -> str:
    checks = [FIELD.format(name=one.name, expected=one.expected, filled=one.filled) for one in record.fields]
    return OF_RECORD.format(record=record.name, sql=record.sql, checks=", ".join([*checks, ON_TIME]))


@cache
def of_agreement(one: Agreement) -> str:
    return OF_AGREEMENT.format(record=one.record, name=one.name, sql=one.sql)


async def found(reader: Reader | Transaction, sql: str, params: Mapping[str, Any]) -> list[Found]:
    return await reader.all(sql, dict(params), into=Found)


async def begin(tx: Transaction, span: str, day: date, now: datetime) -> bool:
    """Whether nobody has made it yet."""
    return await tx.value(BEGIN, {"span": span, "day": day, "now": now}) is not None


def keep(tx: Transaction, span: str, day: date, findings: Sequence[Found]) -> None:
    if findings:
        tx.do(ADD, {"rows": rows.pack([{"span": span, "day": day, **rows.row(one)} for one in findings])})


def forget(tx: Transaction, before: date) -> None:
    """Days that lie so far back that nobody asks for them."""
    for statement in FORGET:
        tx.do(statement, {"before": before})


async def latest(reader: Reader, span: str) -> date | None:
    found: date | None = await reader.value(LATEST, {"span": span})
    return found


async def kept(
    reader: Reader, span: str, first: date, last: date, within: Mapping[str, Any]
) -> dict[date, tuple[datetime, list[Count]]]:
    """By day when it was made and what was found, within a caller's reach and the units asked for."""
    found: dict[date, tuple[datetime, list[Count]]] = {}
    params = {"span": span, "first": first, "last": last, **within}
    for row in await reader.all(KEPT, params):
        row["examples"] = tuple(row["examples"])
        day, made = row.pop("day"), row.pop("made_at")
        found.setdefault(day, (made, []))[1].append(Count(**row))
    return found
