"""Reminders in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records
from closedloop_customers.reminders.rules import Agreed, Notice

COLUMNS = """id, record_type, record_id, title, agreed_on, agreed_at, time_zone, state, provenance, feed_version,
       created_at, ended_at, end_note, version"""
PUT = f"""
INSERT INTO reminder ({COLUMNS}) SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::reminder, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET title = excluded.title, agreed_on = excluded.agreed_on, agreed_at = excluded.agreed_at,
       time_zone = excluded.time_zone, state = excluded.state, feed_version = excluded.feed_version,
       ended_at = excluded.ended_at, end_note = excluded.end_note, version = excluded.version
"""
# Whose it is follows the record, whoever it was given to meanwhile.
OWNED = """
SELECT r.*, coalesce(l.owner_id, a.owner_id) AS owner_id, coalesce(l.unit_id, a.unit_id) AS unit_id,
       coalesce(a.participant_ids, '{}') AS participant_ids, coalesce(l.account_id, a.id) AS account_id,
       coalesce(l.profile->>'company_name', a.name) AS name,
       coalesce(l.stage <> 'closed', a.status NOT IN ('retired', 'merged')) AS record_open
  FROM reminder r
  LEFT JOIN lead l ON r.record_type = 'lead' AND l.id = r.record_id
  LEFT JOIN contact c ON r.record_type = 'contact' AND c.id = r.record_id
  LEFT JOIN account a ON a.id = CASE r.record_type WHEN 'account' THEN r.record_id ELSE c.account_id END
"""
SHOWN = f"{COLUMNS}, owner_id, unit_id, participant_ids, account_id, name, record_open"
GET = f"SELECT {SHOWN} FROM ({OWNED} WHERE r.id = %(id)s) AS owned"
LOCK = f"SELECT {SHOWN} FROM ({OWNED} WHERE r.id = ANY(%(ids)s::uuid[]) FOR UPDATE OF r) AS owned ORDER BY id"
OF_SOURCES = f"""
SELECT {SHOWN} FROM (
    {OWNED} WHERE r.source = %(source)s AND r.source_id = ANY(%(source_ids)s) FOR UPDATE OF r) AS owned ORDER BY id
"""
OPEN_OF = f"""
SELECT {SHOWN} FROM (
    {OWNED} WHERE r.record_id = %(record_id)s AND r.source = %(source)s AND r.state = 'open' FOR UPDATE OF r) AS owned
 ORDER BY id
"""
# What is agreed with these records, the people of an account among them, or with what these people own.
OPEN = """
SELECT {SHOWN} FROM (
    {OWNED} WHERE r.state = 'open' AND ({whose}) FOR UPDATE OF r) AS owned
 ORDER BY id
"""
OF_RECORDS = OPEN.format(
    SHOWN=SHOWN, OWNED=OWNED, whose="r.record_id = ANY(%(ids)s::uuid[]) OR c.account_id = ANY(%(ids)s::uuid[])"
)
OF_OWNERS = OPEN.format(SHOWN=SHOWN, OWNED=OWNED, whose="coalesce(l.owner_id, a.owner_id) = ANY(%(ids)s)")
LIST = f"""
SELECT {SHOWN} FROM ({OWNED}) AS owned
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (%(record_id)s::uuid IS NULL OR record_id = %(record_id)s AND record_type = %(record_type)s)
   AND state = ANY(%(states)s)
   AND agreed_on >= %(from_day)s::date AND agreed_on <= %(to_day)s::date
   AND (agreed_on, id) > (%(after_day)s::date, %(after_id)s::uuid)
 ORDER BY agreed_on, id LIMIT %(limit)s
"""
# A touch on the agreed day, wherever it is noted, keeps the date; also where it is told after the day is over.
KEPT = f"""
UPDATE reminder r SET state = 'kept', ended_at = %(now)s, end_note = 'an interaction took place', version = version + 1
  FROM jsonb_to_recordset(%(touches)s) AS t (record_id uuid, occurred_at timestamptz)
 WHERE r.record_id = t.record_id AND r.state IN ('open', 'missed') AND t.occurred_at > r.created_at
   AND (t.occurred_at AT TIME ZONE r.time_zone)::date = r.agreed_on
RETURNING {", ".join(f"r.{name.strip()}" for name in COLUMNS.split(","))}
"""
NOTICES = """
SELECT n.reminder_id, n.kind, n.plan_at, n.sent_at, n.skip_reason
  FROM reminder_notice n JOIN reminder r ON r.id = n.reminder_id AND r.agreed_on = n.agreed_on
 WHERE n.reminder_id = ANY(%(ids)s::uuid[]) ORDER BY n.reminder_id, n.plan_at, n.kind
"""
# What was sent of a day stays sent; everything else of it is planned as given, other days' notices are dropped.
PLAN = """
INSERT INTO reminder_notice (reminder_id, agreed_on, kind, plan_at, skip_reason)
SELECT reminder_id, agreed_on, kind, plan_at, skip_reason FROM jsonb_populate_recordset(NULL::reminder_notice, %(rows)s)
ON CONFLICT (reminder_id, agreed_on, kind) DO UPDATE
   SET plan_at = excluded.plan_at, skip_reason = excluded.skip_reason
 WHERE reminder_notice.sent_at IS NULL
"""
PLAN_AGAIN = """
UPDATE reminder_notice n SET plan_at = p.plan_at
  FROM jsonb_populate_recordset(NULL::reminder_notice, %(rows)s) AS p
 WHERE n.reminder_id = p.reminder_id AND n.agreed_on = p.agreed_on AND n.kind = p.kind AND n.plan_at <> p.plan_at
   AND n.sent_at IS NULL AND n.skip_reason = ''
RETURNING n.reminder_id, n.kind
"""
SENT = """
UPDATE reminder_notice SET sent_at = %(now)s
 WHERE (reminder_id, agreed_on, kind) IN (
    SELECT reminder_id, agreed_on, kind FROM jsonb_populate_recordset(NULL::reminder_notice, %(rows)s))
   AND sent_at IS NULL AND skip_reason = ''
RETURNING reminder_id, kind
"""
SKIP = """
UPDATE reminder_notice n SET skip_reason = s.skip_reason
  FROM jsonb_populate_recordset(NULL::reminder_notice, %(rows)s) AS s
 WHERE n.reminder_id = s.reminder_id AND n.sent_at IS NULL AND n.skip_reason = ''
   AND (s.kind IS NULL OR n.kind = s.kind) AND (s.agreed_on IS NULL OR n.agreed_on = s.agreed_on)
"""


@dataclass(frozen=True, slots=True)
class Reminder:
    id: str
    record_type: str
    record_id: str
    title: str
    agreed_on: date
    agreed_at: time | None
    time_zone: str
    state: str
    provenance: dict[str, Any]
    feed_version: int
    created_at: datetime
    ended_at: datetime | None
    end_note: str
    version: int

    @property
    def agreed(self) -> Agreed:
        return Agreed(self.agreed_on, self.agreed_at, self.time_zone)


@dataclass(frozen=True, slots=True)
class Owned(Reminder):
    """With what its record says at this moment."""

    owner_id: str
    unit_id: str
    participant_ids: list[str]
    account_id: str | None
    name: str | None
    record_open: bool


def put(tx: Transaction, reminders: Sequence[Reminder]) -> None:
    if reminders:
        tx.do(PUT, {"rows": rows.pack([rows.row(one, only=rows.columns(Reminder)) for one in reminders])})


async def get(reader: Reader, id: str) -> Owned | None:
    return await reader.one(GET, {"id": id}, into=Owned)


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, Owned]:
    return {row.id: row for row in await tx.all(LOCK, {"ids": list(ids)}, into=Owned)}


async def of_sources(tx: Transaction, source: str, source_ids: Collection[str]) -> dict[str, Owned]:
    found = await tx.all(OF_SOURCES, {"source": source, "source_ids": list(source_ids)}, into=Owned)
    return {str(row.provenance["source_id"]): row for row in found}


async def keep(tx: Transaction, touches: Sequence[Mapping[str, Any]], now: datetime) -> list[Reminder]:
    return await tx.all(KEPT, {"touches": rows.pack(touches), "now": now}, into=Reminder)


async def notices(reader: Reader | Transaction, ids: Collection[str]) -> dict[str, list[Notice]]:
    found: dict[str, list[Notice]] = defaultdict(list)
    for row in await reader.all(NOTICES, {"ids": list(ids)}):
        found[row.pop("reminder_id")].append(Notice(**row))
    return found


def plan(tx: Transaction, planned: Sequence[tuple[Reminder, Notice]]) -> None:
    if planned:
        tx.do(PLAN, {"rows": _packed(planned)})


async def plan_again(tx: Transaction, planned: Sequence[tuple[Reminder, Notice]]) -> list[tuple[str, str]]:
    """(reminder, kind) of those that are told at another time now. One round trip."""
    found = await tx.all(PLAN_AGAIN, {"rows": _packed(planned)}) if planned else []
    return [(row["reminder_id"], row["kind"]) for row in found]


async def of_records(tx: Transaction, ids: Collection[str]) -> list[Owned]:
    """Open ones of these records and of the people at these accounts; held."""
    return await tx.all(OF_RECORDS, {"ids": list(ids)}, into=Owned)


async def of_owners(tx: Transaction, person_ids: Collection[str]) -> list[Owned]:
    """Open ones of what these people own; held."""
    return await tx.all(OF_OWNERS, {"ids": list(person_ids)}, into=Owned)


def _packed(planned: Sequence[tuple[Reminder, Notice]]) -> Any:
    return rows.pack(
        {"reminder_id": of.id, "agreed_on": of.agreed_on, **rows.row(notice, "sent_at")} for of, notice in planned
    )


def skip(tx: Transaction, reasons: Sequence[tuple[str, str | None, date | None, str]]) -> None:
    """(reminder, kind, day, why); every kind and day not sent yet where none is named."""
    packed = [
        {"reminder_id": id_, "kind": kind, "agreed_on": day, "skip_reason": reason}
        for id_, kind, day, reason in reasons
    ]
    if packed:
        tx.do(SKIP, {"rows": rows.pack(packed)})


async def mark_sent(tx: Transaction, sent: Sequence[tuple[Reminder, str]], now: datetime) -> set[tuple[str, str]]:
    """Of these the ones that nobody sent before."""
    packed = [{"reminder_id": of.id, "agreed_on": of.agreed_on, "kind": kind} for of, kind in sent]
    found = await tx.all(SENT, {"rows": rows.pack(packed), "now": now}) if packed else []
    return {(row["reminder_id"], row["kind"]) for row in found}
