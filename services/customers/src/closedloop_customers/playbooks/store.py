"""Steps of playbooks in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.work import Scope
from closedloop_customers import records

COLUMNS = """record_type, record_id, playbook, step, state, due_at, overdue_at, answers, note, completed_by,
       completed_at"""

# Open steps of playbooks that apply no more go; what was done stays.
DROP = """
DELETE FROM playbook_step p USING jsonb_to_recordset(%(rows)s) AS r (record_id uuid, playbook text)
 WHERE p.record_id = r.record_id AND p.state = 'open' AND p.playbook <> r.playbook
"""
# A step that was settled before, when the record was in that stage already, is not opened again.
OPEN = f"""
INSERT INTO playbook_step ({COLUMNS})
SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::playbook_step, %(rows)s) AS n
 WHERE NOT EXISTS (SELECT FROM playbook_step p WHERE p.record_id = n.record_id AND p.playbook = n.playbook)
ON CONFLICT (record_id, playbook, step) DO NOTHING
"""
NEXT = f"""
INSERT INTO playbook_step ({COLUMNS})
SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::playbook_step, %(rows)s)
ON CONFLICT (record_id, playbook, step) DO NOTHING
"""
# Of two who settle a step at once the other is answered nothing.
SETTLE = f"""
INSERT INTO playbook_step ({COLUMNS})
SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::playbook_step, %(rows)s)
ON CONFLICT (record_id, playbook, step) DO UPDATE
   SET state = excluded.state, answers = excluded.answers, note = excluded.note, completed_by = excluded.completed_by,
       completed_at = excluded.completed_at
 WHERE playbook_step.state = 'open'
RETURNING step
"""
STEPS = f"SELECT {COLUMNS} FROM playbook_step WHERE record_id = %(id)s AND playbook = %(playbook)s"
FACTS = """
SELECT 'lead' AS type, l.id, CASE WHEN l.converted_at IS NULL THEN l.stage ELSE '' END AS stage, l.source, l.industry,
       coalesce(l.profile->'product_lines', '[]') AS product_lines, l.received_at AS began_at,
       coalesce(l.profile->>'contact_name', '') AS contact, coalesce(l.profile->>'company_name', '') AS account,
       coalesce(l.profile->>'need', '') AS need
  FROM lead l WHERE l.id = %(id)s AND %(type)s = 'lead'
UNION ALL
SELECT 'account', a.id, a.status, a.provenances->0->>'source', a.industry,
       coalesce(a.profile->'product_lines', '[]'), a.created_at,
       coalesce((SELECT c.name FROM contact c WHERE c.account_id = a.id AND c.state IN ('current', 'job_changed')
                  ORDER BY c.key_contact DESC, c.last_interaction_at DESC NULLS LAST, c.id LIMIT 1), ''),
       a.name, ''
  FROM account a WHERE a.id = %(id)s AND %(type)s = 'account'
"""
STATE = """CASE WHEN p.state <> 'open' THEN p.state WHEN %(now)s < p.due_at THEN 'planned'
                WHEN %(now)s < p.overdue_at THEN 'due' ELSE 'overdue' END"""
LIST = f"""
SELECT * FROM (
    SELECT p.record_type, p.record_id, p.playbook, p.step, {STATE} AS state, p.due_at, p.answers, p.note,
           p.completed_at, coalesce(l.owner_id, a.owner_id) AS owner_id, coalesce(l.unit_id, a.unit_id) AS unit_id
      FROM playbook_step p
      LEFT JOIN lead l ON p.record_type = 'lead' AND l.id = p.record_id
      LEFT JOIN account a ON p.record_type = 'account' AND a.id = p.record_id
     WHERE (p.state <> 'open' OR coalesce(l.stage, 'closed') <> 'closed' AND l.converted_at IS NULL
            OR coalesce(a.status, 'merged') NOT IN ('merged', 'retired'))
       AND (%(record_id)s::uuid IS NULL OR p.record_id = %(record_id)s AND p.record_type = %(record_type)s)
       AND (%(playbook)s = '' OR p.playbook = %(playbook)s)
       AND p.due_at < coalesce(%(due_before)s::timestamptz, 'infinity')
       AND (p.due_at, p.record_id, p.playbook, p.step)
           > (%(after_due)s::timestamptz, %(after_id)s::uuid, %(after_playbook)s, %(after_step)s)) AS step
 WHERE {Scope.SQL} AND {records.FILTERS} AND state = ANY(%(states)s)
 ORDER BY due_at, record_id, playbook, step LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class StepRow:
    record_type: str
    record_id: str
    playbook: str
    step: str
    state: str
    due_at: datetime
    overdue_at: datetime
    answers: dict[str, str]
    note: str
    completed_by: str
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Followed:
    """A record as its playbook sees it; `began_at` is from when on it is followed."""

    type: str
    id: str
    stage: str
    source: str
    industry: str
    product_lines: list[str]
    began_at: datetime
    contact: str
    account: str
    need: str


@dataclass(frozen=True, slots=True)
class Listed:
    record_type: str
    record_id: str
    playbook: str
    step: str
    state: str
    due_at: datetime
    answers: dict[str, str]
    note: str
    completed_at: datetime | None
    owner_id: str
    unit_id: str


def drop(tx: Transaction, applying: Sequence[tuple[str, str]]) -> None:
    """(record, playbook that applies now)"""
    tx.do(DROP, {"rows": rows.pack({"record_id": id_, "playbook": key} for id_, key in applying)})


def open_first(tx: Transaction, steps: Sequence[StepRow], *, fresh: bool = False) -> None:
    """`fresh`: of records that are new themselves."""
    if fresh and len(steps) == 1:
        tx.write(_opening, steps[0])
    elif steps:
        tx.do(OPEN, {"rows": rows.pack(steps)})


def _opening(steps: Sequence[StepRow]) -> Iterator[Statement]:
    yield rows.added("playbook_step", steps, StepRow)


def open_next(tx: Transaction, step: StepRow) -> None:
    tx.do(NEXT, {"rows": rows.pack([step])})


async def settle(tx: Transaction, step: StepRow) -> bool:
    return bool(await tx.all(SETTLE, {"rows": rows.pack([step])}))


async def followed(reader: Reader | Transaction, type_: str, id_: str) -> Followed | None:
    return await reader.one(FACTS, {"type": type_, "id": id_}, into=Followed)


async def steps(reader: Reader | Transaction, id_: str, playbook: str) -> dict[str, StepRow]:
    found = await reader.all(STEPS, {"id": id_, "playbook": playbook}, into=StepRow)
    return {row.step: row for row in found}
