"""Deviations and alarms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope

# A week that was measured before is told anew only where something differs.
PUT_DEVIATIONS = """
INSERT INTO deviation AS known
SELECT (jsonb_populate_record(NULL::deviation, given)).* FROM jsonb_array_elements(%(rows)s) AS given
ON CONFLICT (holder_kind, holder_id, metric, start_date) DO UPDATE
   SET unit_id = excluded.unit_id, owner_id = excluded.owner_id, target_id = excluded.target_id, target = excluded.target,
       forecast = excluded.forecast, forecast_made = excluded.forecast_made, actual = excluded.actual,
       currency = excluded.currency, deviation_ratio = excluded.deviation_ratio, light = excluded.light,
       weeks_under = excluded.weeks_under, rule_version = excluded.rule_version, revision = known.revision + 1
 WHERE (known.target, known.forecast, known.actual, known.light)
       IS DISTINCT FROM (excluded.target, excluded.forecast, excluded.actual, excluded.light)
RETURNING *
"""
NOTE_ALARMS = """
UPDATE deviation SET alarm_id = noted.alarm_id
  FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(alarms)s::text[]) AS noted (holder_kind, holder_id, alarm_id)
 WHERE deviation.holder_kind = noted.holder_kind AND deviation.holder_id = noted.holder_id
   AND metric = %(metric)s AND start_date = %(start)s
"""
OPEN = "SELECT * FROM alarm WHERE cause_key = ANY(%(keys)s) AND state IN ('open', 'answered') FOR UPDATE"
ADD = "INSERT INTO alarm SELECT (jsonb_populate_record(NULL::alarm, given)).* FROM jsonb_array_elements(%(rows)s) AS given"
PUT = """
UPDATE alarm
   SET kind = new.kind, cause_key = new.cause_key, target_id = new.target_id, rule = new.rule,
       rule_version = new.rule_version, causes = new.causes,
       light = new.light, state = new.state, owner_id = new.owner_id, unit_id = new.unit_id, period = new.period,
       start_date = new.start_date, end_date = new.end_date, actual = new.actual, reference = new.reference,
       deviation_ratio = new.deviation_ratio, message = new.message, due_at = new.due_at,
       escalation_level = new.escalation_level, repeat_count = new.repeat_count, task_id = new.task_id,
       responder_id = new.responder_id, first_answered_at = new.first_answered_at, cause = new.cause,
       action = new.action, check_date = new.check_date, answered_repeats = new.answered_repeats,
       checks = new.checks, settled_at = new.settled_at,
       version = alarm.version + 1
  FROM jsonb_array_elements(%(rows)s) AS given
 CROSS JOIN LATERAL jsonb_populate_record(NULL::alarm, given) AS new
 WHERE alarm.id = new.id
"""
LOCK = "SELECT * FROM alarm WHERE id = ANY(%(ids)s::uuid[]) FOR UPDATE"
BY_ID = "SELECT * FROM alarm WHERE id = %(id)s"
# Of holders that were measured and found in order, or whose target holds no more.
OUT = """
SELECT * FROM alarm
 WHERE state = 'open'
   AND (cause_key = ANY(%(in_order)s)
        OR target_id <> '' AND NOT EXISTS (
            SELECT FROM target t JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number
             WHERE t.id = nullif(alarm.target_id, '')::uuid))
   FOR UPDATE
"""
MATCHING = (
    """
       (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND %(owner_id)s IN ('', owner_id)
   AND %(target_id)s IN ('', target_id)
   AND (cardinality(%(kinds)s::text[]) = 0 OR kind = ANY(%(kinds)s))
   AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s)) AND light >= %(light)s
   AND raised_at >= coalesce(%(since)s::timestamptz, '-infinity') AND raised_at < coalesce(%(until)s::timestamptz, 'infinity')
   AND """
    + Scope.SQL
)
LIST = (
    "SELECT * FROM alarm WHERE "
    + MATCHING
    + """ AND (-light, -extract(epoch FROM raised_at)::float8, id) > (%(key)s, %(key_time)s::float8, %(key_id)s::uuid)
 ORDER BY -light, -extract(epoch FROM raised_at)::float8, id LIMIT %(limit)s"""
)
COUNTS = (
    """
SELECT count(*) FILTER (WHERE state = 'open') AS open, count(*) FILTER (WHERE state = 'answered') AS answered,
       count(*) FILTER (WHERE state = 'resolved') AS resolved, count(*) FILTER (WHERE state = 'lapsed') AS lapsed,
       count(*) FILTER (WHERE checks @> '[{"worked": false}]') AS ineffective,
       count(*) FILTER (WHERE coalesce(first_answered_at, settled_at, %(now)s) > due_at OR escalation_level > 0) AS overdue
  FROM alarm WHERE """
    + MATCHING
)
# The newest week of the holder that was measured after an answer.
SINCE = """
SELECT DISTINCT ON (a.id) a.id, d.deviation_ratio, d.light, d.actual, d.forecast
  FROM unnest(%(ids)s::uuid[]) AS asked (id)
  JOIN alarm a ON a.id = asked.id
  JOIN deviation d ON d.holder_kind = a.holder_kind AND d.holder_id = a.holder_id AND d.metric = a.metric
   AND d.start_date > a.end_date
 ORDER BY a.id, d.start_date DESC
"""
DEVIATIONS = (
    """
SELECT d.*, a.raised_at, a.first_answered_at
  FROM deviation d LEFT JOIN alarm a ON a.id::text = d.alarm_id
 WHERE d.metric = %(metric)s AND d.start_date <= %(until)s AND d.end_date >= %(since)s AND d.light >= %(light)s
   AND CASE WHEN %(person_id)s <> '' THEN d.holder_kind = 'person' AND d.holder_id = %(person_id)s
            WHEN %(unit_id)s = '' THEN true
            WHEN %(below)s THEN d.unit_id = ANY(%(units)s)
            ELSE d.holder_kind = 'unit' AND d.holder_id = %(unit_id)s END
   AND (-abs(d.deviation_ratio), d.holder_kind, d.holder_id, d.start_date)
       > (%(key)s::float8, %(key_kind)s, %(key_id)s, %(key_start)s::date)
   AND """
    + Scope.SQL.replace("owner_id", "d.owner_id").replace("unit_id", "d.unit_id")
    + """
 ORDER BY -abs(d.deviation_ratio), d.holder_kind, d.holder_id, d.start_date LIMIT %(limit)s
"""
)
# Weeks of people (units only sum them up) of a span, and the warnings that were raised in it.
WEEKS = """
SELECT period, start_date, end_date, array_agg(deviation_ratio ORDER BY holder_id) AS deviations
  FROM deviation
 WHERE metric = %(metric)s AND holder_kind = 'person' AND unit_id = ANY(%(units)s)
   AND start_date >= %(since)s AND end_date <= %(until)s
 GROUP BY period, start_date, end_date ORDER BY start_date
"""
RESPONSES = """
SELECT raised_at, extract(epoch FROM first_answered_at - raised_at)::float8 AS seconds
  FROM alarm
 WHERE metric = %(metric)s AND holder_kind = 'person' AND unit_id = ANY(%(units)s) AND kind IN ('deviation', 'weeks_under')
   AND start_date >= %(since)s AND end_date <= %(until)s
 ORDER BY raised_at
"""
ORPHANED = """
SELECT t.id, t.holder_kind, t.holder_id, t.owner_id, t.unit_id, t.metric, t.period, t.start_date, t.end_date, t.minor,
       t.currency
  FROM target t JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number
 WHERE t.end_date >= %(today)s AND t.counts AND (t.holder_id = ANY(%(gone)s) OR t.owner_id = ANY(%(gone_people)s))
"""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One holder's week; amounts in minor units or millionths."""

    holder_kind: str
    holder_id: str
    unit_id: str
    owner_id: str
    target_id: str
    metric: str
    period: str
    start_date: date
    end_date: date
    target: int
    forecast: int
    forecast_made: bool
    actual: int
    currency: str
    deviation_ratio: float
    light: int
    weeks_under: int
    rule_version: int
    alarm_id: str = ""
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Alarm:
    id: str
    kind: str
    cause_key: str
    light: int
    state: str
    owner_id: str
    unit_id: str
    holder_kind: str
    holder_id: str
    target_id: str
    subject: str
    metric: str
    period: str
    start_date: date
    end_date: date
    actual: int
    reference: int
    currency: str
    deviation_ratio: float
    message: str
    rule: str
    rule_version: int
    causes: list[dict[str, Any]]
    raised_at: datetime
    due_at: datetime
    escalation_level: int = 0
    repeat_count: int = 0
    task_id: str = ""
    responder_id: str = ""
    first_answered_at: datetime | None = None
    cause: str = ""
    action: str = ""
    check_date: date | None = None
    answered_repeats: int = 0
    checks: list[dict[str, Any]] | None = None
    settled_at: datetime | None = None
    version: int = 1


async def measured(tx: Transaction, weeks: list[Deviation]) -> list[Deviation]:
    """Keeps weeks; answers those that are new or differ from what was known."""
    if not weeks:
        return []
    given = rows.pack(weeks, only=rows.columns(Deviation))
    return await tx.all(PUT_DEVIATIONS, {"rows": given}, into=Deviation)


async def lock(tx: Transaction, *ids: str) -> list[Alarm]:
    return await tx.all(LOCK, {"ids": list(ids)}, into=Alarm)


async def alarm(reader: Reader | Transaction, alarm_id: str) -> Alarm:
    """Raises NotFound ALARM_NOT_FOUND."""
    found = await reader.one(BY_ID, {"id": alarm_id}, into=Alarm)
    if found is None:
        raise errors.NotFound("ALARM_NOT_FOUND", f"there is no alarm {alarm_id}")
    return found


def add(tx: Transaction, alarms: list[Alarm]) -> None:
    if alarms:
        tx.do(ADD, {"rows": rows.pack([rows.row(one) | {"checks": one.checks or []} for one in alarms])})


def put(tx: Transaction, alarms: list[Alarm]) -> None:
    if alarms:
        tx.do(PUT, {"rows": rows.pack([rows.row(one) | {"checks": one.checks or []} for one in alarms])})
