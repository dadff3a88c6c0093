"""Tasks and their history in SQL; every write is set-based."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from closedloop_approvals import standing_in
from closedloop_approvals.standing_in import StandIn
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it is kept; jsonb columns are dicts and lists."""

    id: str
    kind: str
    title: str
    description: str
    assignee_role: str
    owner_id: str
    unit_id: str
    origin: str
    cause_key: str
    warning: str
    light: int
    priority: int
    subject_type: str
    subject_id: str
    account_id: str | None
    opportunity_id: str | None
    cause_at: datetime | None
    evidence: list[dict[str, Any]]
    rule: dict[str, Any] | None
    outcomes: list[str]
    check_window: timedelta
    origin_checks: bool
    custom_fields: dict[str, Any] | None
    state: str
    assignee_id: str
    assignee_unit_id: str
    original_assignee_id: str
    raised_by: str
    participants: list[str]
    raised_at: datetime
    due_at: datetime
    snoozed_until: datetime | None
    responded_at: datetime | None
    settled_at: datetime | None
    settled_by: str
    settled_for: str
    outcome: str
    outcome_comment: str
    outcome_fields: dict[str, Any] | None
    escalation_level: int
    repeats: int
    effect: str
    effect_due_at: datetime | None
    effect_evidence: list[dict[str, Any]]
    previous_task_id: str | None
    provenance: dict[str, Any]
    attachments: list[dict[str, Any]]
    version: int


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of a task's history."""

    task_id: str
    time: datetime
    actor_id: str
    action: str
    comment: str = ""
    on_behalf_of: str = ""
    from_person_id: str = ""
    to_person_id: str = ""


COLUMNS = [field.name for field in fields(Task)]
NAMES = ", ".join(COLUMNS)

# What a repeated warning changes; light, priority and evidence are renewed, nothing else moves.
RAISE = f"""
INSERT INTO task ({NAMES}) SELECT {NAMES} FROM jsonb_populate_recordset(NULL::task, %(rows)s)
ON CONFLICT (origin, cause_key) WHERE state IN ('open', 'started') DO UPDATE
   SET repeats = task.repeats + 1, evidence = excluded.evidence, light = greatest(task.light, excluded.light),
       priority = greatest(task.priority, excluded.priority), rule = excluded.rule, version = task.version + 1
RETURNING {NAMES}
"""
# Settled tasks of the same cause whose check window still runs: what was done did not help (S102).
RECURRED = f"""
UPDATE task SET effect = 'recurred', version = version + 1
 WHERE (origin, cause_key) IN (SELECT * FROM unnest(%(origins)s::text[], %(keys)s::text[]))
   AND state = 'done' AND effect = 'pending' AND (origin_checks OR effect_due_at > %(now)s)
RETURNING {NAMES}
"""
# Those who raise the same cause follow each other, so that the one before is seen.
ERASE = """
UPDATE task SET title = %(title)s, description = '', outcome_comment = '', custom_fields = NULL, outcome_fields = NULL,
       evidence = (SELECT coalesce(jsonb_agg(one.said - 'text' ORDER BY one.place), '[]')
                     FROM jsonb_array_elements(evidence) WITH ORDINALITY AS one (said, place)),
       version = version + 1
 WHERE subject_type IN ('contact', 'lead') AND subject_id = ANY(%(subjects)s)
RETURNING id
"""
ERASE_HISTORY = "UPDATE task_history SET comment = '' WHERE task_id = ANY(%(ids)s::uuid[])"
# What people said of it stands in the trail as the business behind the act.
ERASE_TRAIL = "UPDATE audit_entry SET business_action = '' WHERE subject = ANY(%(subjects)s)"
LOCK_CAUSES = """
SELECT pg_advisory_xact_lock(hashtext('task_cause'), h)
  FROM (SELECT DISTINCT hashtext(o || '/' || k) AS h
          FROM unnest(%(origins)s::text[], %(keys)s::text[]) c (o, k) ORDER BY 1) in_order
"""
SAVE = """
UPDATE task t
   SET state = n.state, assignee_id = n.assignee_id, assignee_unit_id = n.assignee_unit_id,
       participants = n.participants, evidence = n.evidence, due_at = n.due_at,
       snoozed_until = n.snoozed_until, responded_at = n.responded_at, settled_at = n.settled_at,
       settled_by = n.settled_by, settled_for = n.settled_for, outcome = n.outcome, outcome_comment = n.outcome_comment,
       outcome_fields = n.outcome_fields, escalation_level = n.escalation_level, effect = n.effect,
       effect_due_at = n.effect_due_at, effect_evidence = n.effect_evidence, attachments = n.attachments,
       version = n.version
  FROM jsonb_populate_recordset(NULL::task, %(rows)s) n
 WHERE t.id = n.id
"""
NOTE = """
INSERT INTO task_history (task_id, time, actor_id, on_behalf_of, action, comment, from_person_id, to_person_id)
SELECT task_id, time, actor_id, on_behalf_of, action, comment, from_person_id, to_person_id
  FROM jsonb_populate_recordset(NULL::task_history, %(rows)s)
"""

STAND_INS = f"({standing_in.IN_FORCE} AND delegate_id = %(person)s AND delegator_id = t.assignee_id) AS stand_ins"
LOCK = "SELECT FROM task WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
READ = f"SELECT {NAMES}, {STAND_INS} FROM task t WHERE id = ANY(%(ids)s::uuid[])"
HISTORY = """
SELECT task_id, time, actor_id, action, comment, on_behalf_of, from_person_id, to_person_id
  FROM task_history WHERE task_id = %(id)s ORDER BY sequence
"""
OPEN_CAUSES = """
SELECT origin, cause_key FROM task
 WHERE (origin, cause_key) IN (SELECT * FROM unnest(%(origins)s::text[], %(keys)s::text[]))
   AND state IN ('open', 'started')
"""
OF_CAUSE = f"""
SELECT {NAMES} FROM task WHERE origin = %(origin)s AND cause_key = %(cause_key)s
   AND (state IN ('open', 'started') OR (state = 'done' AND effect = 'pending'))
 ORDER BY raised_at FOR UPDATE
"""
ON_DESK = "SELECT id FROM task WHERE assignee_id = %(person)s AND state IN ('open', 'started')"
STATE = "CASE WHEN state IN ('open', 'started') AND snoozed_until > %(now)s THEN 'snoozed' ELSE state END"
LIST = f"""
SELECT {NAMES} FROM task
 WHERE (%(scope_company)s OR assignee_id = %(scope_owner)s OR assignee_unit_id = ANY(%(scope_units)s)
        OR participants @> ARRAY[%(scope_owner)s::text])
   AND (%(states)s::text[] IS NULL OR {STATE} = ANY(%(states)s))
   AND (%(assignee_id)s = '' OR assignee_id = %(assignee_id)s) AND (%(kind)s = '' OR kind = %(kind)s)
   AND (%(origin)s = '' OR origin = %(origin)s) AND (%(warning)s = '' OR warning = %(warning)s)
   AND (%(subject_type)s = '' OR subject_type = %(subject_type)s)
   AND (%(subject_id)s = '' OR subject_id = %(subject_id)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
   AND (%(opportunity_id)s::uuid IS NULL OR opportunity_id = %(opportunity_id)s)
   AND (%(unit_ids)s::text[] IS NULL OR unit_id = ANY(%(unit_ids)s))
   AND raised_at >= coalesce(%(raised_from)s::timestamptz, '-infinity')
   AND raised_at < coalesce(%(raised_to)s::timestamptz, 'infinity')
   AND (NOT %(overdue)s OR (state IN ('open', 'started') AND (due_at < %(now)s OR escalation_level > 0)))
   AND (%(effects)s::text[] IS NULL OR effect = ANY(%(effects)s))
   AND (due_at, id) > (%(after)s::timestamptz, %(after_id)s::uuid)
 ORDER BY due_at, id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A task under lock, and for whom the person who acts stands in."""

    task: Task
    stand_ins: list[StandIn]


async def raise_all(tx: Transaction, tasks: Sequence[Task], now: datetime) -> tuple[list[Task], list[Task]]:
    """Each as it stands now, new or counted once more, in the order given; and settled ones whose cause came back.

    No cause twice in one call.
    """
    causes = {"origins": [task.origin for task in tasks], "keys": [task.cause_key for task in tasks]}
    tx.do(LOCK_CAUSES, causes)
    recurred = await tx.all(RECURRED, {**causes, "now": now}, into=Task)
    previous = {(task.origin, task.cause_key): task.id for task in recurred}
    packed = [rows.row(task) | {"previous_task_id": previous.get((task.origin, task.cause_key))} for task in tasks]
    raised = {(t.origin, t.cause_key): t for t in await tx.all(RAISE, {"rows": rows.pack(packed)}, into=Task)}
    return [raised[task.origin, task.cause_key] for task in tasks], recurred


async def lock(tx: Transaction, ids: Sequence[str], person: str, now: datetime) -> dict[str, Held]:
    """By id, in one round trip; unknown ids are absent."""
    tx.do(LOCK, {"ids": list(ids)})
    return {
        held.task.id: held for held in map(_held, await tx.all(READ, {"ids": list(ids), "person": person, "now": now}))
    }


async def read(db: Reader, task_id: str, person: str, now: datetime) -> Held | None:
    row = await db.one(READ, {"ids": [task_id], "person": person, "now": now})
    return None if row is None else _held(row)


async def history(db: Reader, task_id: str) -> list[Happened]:
    return await db.all(HISTORY, {"id": task_id}, into=Happened)


async def of_cause(tx: Transaction, origin: str, cause_key: str) -> list[Task]:
    """Open tasks of a cause, and settled ones that wait to be told whether they helped."""
    return await tx.all(OF_CAUSE, {"origin": origin, "cause_key": cause_key}, into=Task)


async def open_causes(tx: Transaction, causes: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the (origin, cause key) pairs that have an open task."""
    params = {"origins": [origin for origin, _ in causes], "keys": [key for _, key in causes]}
    tx.do(LOCK_CAUSES, params)
    return {(row["origin"], row["cause_key"]) for row in await tx.all(OPEN_CAUSES, params)}


async def on_desk(tx: Transaction, person_id: str) -> list[str]:
    return [row["id"] for row in await tx.all(ON_DESK, {"person": person_id})]


async def page(db: Reader, params: Mapping[str, Any]) -> list[Task]:
    return await db.all(LIST, dict(params), into=Task)


async def erase(tx: Transaction, subjects: Sequence[str], title: str) -> list[str]:
    """Tasks about these records without a word about them, in row, history and trail; answers which. One round trip."""
    erased = [row["id"] for row in await tx.all(ERASE, {"subjects": list(subjects), "title": title})]
    if erased:
        tx.do(ERASE_HISTORY, {"ids": erased})
        tx.do(ERASE_TRAIL, {"subjects": [f"task:{id_}" for id_ in erased]})
    return erased


def save(tx: Transaction, tasks: Sequence[Task]) -> None:
    if tasks:
        tx.do(SAVE, {"rows": rows.pack(tasks)})


def note(tx: Transaction, lines: Sequence[Happened]) -> None:
    if lines:
        tx.do(NOTE, {"rows": rows.pack(lines)})


def _held(row: dict[str, Any]) -> Held:
    stand_ins = row.pop("stand_ins")
    return Held(Task(**row), standing_in.parse(stand_ins))
