"""Assignments, sellers, leaves and the pool in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.work import Scope

COLUMNS = """id, record_type, record_id, owner_id, unit_id, previous_owner_id, method, rule, reason, candidates,
       assigned_by,
       assigned_at, ended_at, protected_until"""

# A person with neither row nor profile is one of whom nothing is known yet.
SELLERS = """
SELECT person_id, profile, suspended_at, suspend_reason, feed_version, priority_until, version, open_leads,
       owned_accounts, last_lead_at, last_account_at
  FROM seller WHERE %(people)s::text[] IS NULL OR person_id = ANY(%(people)s)
"""
LEAVES_AHEAD = """
SELECT person_id, starts_at, ends_at, stand_in_id FROM seller_leave WHERE ends_at > %(at)s ORDER BY starts_at
"""
# What every assignment changes of those who may get it, and whether anything else has changed.
LOADS = {
    record_type: f"""
SELECT value AS revision, people, loads, lasts
  FROM seller_revision,
       (SELECT array_agg(person_id) AS people, array_agg({load}) AS loads,
               array_agg(date_part('epoch', {last})) AS lasts
          FROM seller WHERE person_id = ANY(%(people)s::text[])) AS seller
"""
    for record_type, load, last in (
        ("lead", "open_leads", "last_lead_at"),
        ("account", "owned_accounts", "last_account_at"),
    )
}
# Who was overtaken holds them until the end; by person, as everybody does.
HOLD_LOADS = "SELECT FROM seller WHERE person_id = ANY(%(people)s::text[]) ORDER BY person_id FOR UPDATE"
REVISION = "SELECT value FROM seller_revision"
# Goes with every change of a profile, a leave, a suspension or a priority. A number that never was before: one counted up
# and undone would come again, for something else.
MOVED = "UPDATE seller_revision SET value = (random() * 9e18)::bigint"

END = """
WITH ended AS (
    UPDATE assignment SET ended_at = %(now)s
     WHERE record_type = %(record_type)s AND record_id = ANY(%(ids)s::uuid[]) AND ended_at IS NULL
    RETURNING owner_id
), freed AS (
    SELECT owner_id, count(*) AS records FROM ended WHERE owner_id <> '' GROUP BY owner_id
)
UPDATE seller
   SET open_leads = open_leads - CASE %(record_type)s WHEN 'lead' THEN records ELSE 0 END,
       owned_accounts = owned_accounts - CASE %(record_type)s WHEN 'account' THEN records ELSE 0 END
  FROM freed WHERE person_id = owner_id
"""
COUNTED = {
    "lead": ("open_leads", "last_lead_at", "most_leads"),
    "account": ("owned_accounts", "last_account_at", "most_accounts"),
}
# More than the rules allow at that moment is refused by the row itself, whoever was faster.
ADD = {
    record_type: f"""
WITH given AS (
    INSERT INTO assignment ({COLUMNS})
    SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::assignment, %(rows)s)
    RETURNING owner_id, assigned_at
)
INSERT INTO seller (person_id, {load}, {last}, {most})
SELECT owner_id, count(*), max(assigned_at), max((%(most)s::jsonb ->> owner_id)::integer)
  FROM given WHERE owner_id <> '' GROUP BY owner_id ORDER BY owner_id
ON CONFLICT (person_id) DO UPDATE
   SET {load} = seller.{load} + excluded.{load}, {last} = greatest(seller.{last}, excluded.{last}),
       {most} = excluded.{most}
"""
    for record_type, (load, last, most) in COUNTED.items()
}
FULL = errors.Overtaken("SELLERS_TAKEN", "others were given records at the same time; ask again")
GIVEN = errors.Overtaken("RECORD_TAKEN", "somebody else gave it away at the same time; ask again")
REFUSE = {"seller_lead_capacity": FULL, "seller_account_capacity": FULL, "assignment_running_key": GIVEN}
# What a release did that did not count yet is made good once a day.
HOLD_ALL = "SELECT FROM seller ORDER BY person_id FOR UPDATE"
RECOUNT = """
UPDATE seller SET open_leads = leads, owned_accounts = accounts, most_leads = NULL, most_accounts = NULL
  FROM (SELECT s.person_id AS id, count(*) FILTER (WHERE a.record_type = 'lead') AS leads,
               count(*) FILTER (WHERE a.record_type = 'account') AS accounts
          FROM seller s LEFT JOIN assignment a ON a.owner_id = s.person_id AND a.ended_at IS NULL
         GROUP BY s.person_id) AS counted
 WHERE person_id = id AND (open_leads, owned_accounts) IS DISTINCT FROM (leads, accounts)
RETURNING person_id
"""
LEAVE_POOL = "DELETE FROM pool_entry WHERE record_type = %(record_type)s AND record_id = ANY(%(ids)s::uuid[])"
ENTER_POOL = """
INSERT INTO pool_entry (record_type, record_id, unit_id, reason, note, last_owner_id, entered_at)
SELECT record_type, record_id, unit_id, reason, note, last_owner_id, entered_at
  FROM jsonb_populate_recordset(NULL::pool_entry, %(rows)s)
ON CONFLICT (record_type, record_id) DO UPDATE
   SET unit_id = excluded.unit_id, reason = excluded.reason, note = excluded.note,
          last_owner_id = excluded.last_owner_id,
       entered_at = excluded.entered_at
"""
HELD_BEFORE = """
SELECT record_id, array_agg(DISTINCT owner_id) AS people FROM assignment
 WHERE record_id = ANY(%(ids)s::uuid[]) AND owner_id <> '' GROUP BY record_id
"""
RUNNING = f"SELECT {COLUMNS} FROM assignment WHERE record_type = %(type)s AND record_id = %(id)s AND ended_at IS NULL"

LIST = f"""
SELECT {COLUMNS} FROM assignment
 WHERE {Scope.SQL}
   AND (%(record_id)s::uuid IS NULL OR record_id = %(record_id)s AND record_type = %(record_type)s)
   AND (%(owner)s = '' OR owner_id = %(owner)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(methods)s::text[] IS NULL OR method = ANY(%(methods)s))
   AND assigned_at >= coalesce(%(start)s::timestamptz, '-infinity')
          AND assigned_at < coalesce(%(end)s::timestamptz, 'infinity')
   AND id < %(before_id)s::uuid
 ORDER BY id DESC LIMIT %(limit)s
"""

# Creates the row where there is none, and holds it.
HOLD_SELLER = """
INSERT INTO seller (person_id) VALUES (%(person_id)s)
ON CONFLICT (person_id) DO UPDATE SET person_id = excluded.person_id
RETURNING person_id, profile, version
"""
SET_PROFILE = "UPDATE seller SET profile = %(profile)s, version = version + 1 WHERE person_id = %(person_id)s"
SET_FEED = """
INSERT INTO seller (person_id, suspended_at, suspend_reason, feed_version)
VALUES (%(person_id)s, %(suspended_at)s, %(reason)s, %(version)s)
ON CONFLICT (person_id) DO UPDATE
   SET suspended_at = excluded.suspended_at, suspend_reason = excluded.suspend_reason,
          feed_version = excluded.feed_version
 WHERE seller.feed_version < excluded.feed_version
RETURNING true
"""
SET_PRIORITY = """
INSERT INTO seller (person_id, priority_until) VALUES (%(person_id)s, %(until)s)
ON CONFLICT (person_id) DO UPDATE SET priority_until = greatest(seller.priority_until, excluded.priority_until)
"""
LEAVES = """
SELECT id, person_id, starts_at, ends_at, stand_in_id, reason, provenance FROM seller_leave
 WHERE person_id = ANY(%(people)s) AND ends_at > %(now)s ORDER BY starts_at
"""
CLASHING = """
SELECT person_id FROM seller_leave
 WHERE person_id = ANY(%(people)s) AND starts_at < %(ends_at)s AND ends_at > %(starts_at)s
   AND NOT (source = %(source)s AND source_id = %(source_id)s)
"""
PUT_LEAVE = """
INSERT INTO seller_leave (id, person_id, starts_at, ends_at, stand_in_id, reason, provenance)
VALUES (%(id)s, %(person_id)s, %(starts_at)s, %(ends_at)s, %(stand_in_id)s, %(reason)s, %(provenance)s)
ON CONFLICT (source, source_id) DO UPDATE
   SET person_id = excluded.person_id, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
       stand_in_id = excluded.stand_in_id, reason = excluded.reason
"""
LEAVE = "SELECT starts_at, ends_at FROM seller_leave WHERE id = %(id)s AND person_id = %(person_id)s FOR UPDATE"
DROP_LEAVE = "DELETE FROM seller_leave WHERE id = %(id)s"
END_LEAVE = "UPDATE seller_leave SET ends_at = %(now)s WHERE id = %(id)s"

# When somebody last let a record go into the pool, whoever had it since; {entry} and {person} say which and who.
LET_GO = """
SELECT max(let_go.assigned_at) FROM assignment let_go
 WHERE let_go.record_id = {entry}.record_id AND let_go.record_type = {entry}.record_type
   AND let_go.owner_id = '' AND let_go.previous_owner_id = {person}"""
# What lies in the pool, as it may be shown to everybody: of a lead only the company, never the person.
POOL = f"""
SELECT e.record_type, e.record_id, e.unit_id, e.reason, e.note, e.last_owner_id, e.entered_at,
       coalesce(a.profile->>'name', l.profile->>'company_name', '') AS name,
       coalesce(a.industry, l.industry) AS industry, coalesce(a.region_code, l.region_code) AS region_code,
       coalesce(a.profile->'product_lines', l.profile->'product_lines', '[]') AS product_lines,
       coalesce(a.grade, '') AS grade, coalesce(a.high_potential, false) AS high_potential,
       greatest(e.entered_at, ({LET_GO.format(entry="e", person="%(caller)s")}) + %(cool_down)s) AS claimable_at
  FROM pool_entry e
  LEFT JOIN account a ON e.record_type = 'account' AND a.id = e.record_id
  LEFT JOIN lead l ON e.record_type = 'lead' AND l.id = e.record_id
"""
LIST_POOL = f"""
SELECT * FROM ({POOL}) AS pool
 WHERE (%(record_type)s = '' OR record_type = %(record_type)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(region_codes)s::text[] IS NULL OR region_code = ANY(%(region_codes)s))
   AND (%(industries)s::text[] IS NULL OR industry = ANY(%(industries)s))
   AND (%(product_lines)s::text[] IS NULL OR product_lines ?| %(product_lines)s)
   AND (NOT %(claimable_now)s OR claimable_at <= %(now)s)
   AND record_id > %(after_id)s::uuid
 ORDER BY record_id LIMIT %(limit)s
"""
ONE_OF_POOL = f"SELECT * FROM ({POOL}) AS pool WHERE record_type = %(record_type)s AND record_id = %(record_id)s"
# A deal under way keeps its record with its owner.
BUSY = """
SELECT opportunity_id::text FROM account_opportunity WHERE %(record_type)s = 'account' AND account_id = %(id)s AND open
UNION ALL
SELECT opportunity_id::text FROM lead WHERE %(record_type)s = 'lead' AND id = %(id)s AND opportunity_id IS NOT NULL
 LIMIT 1
"""
PROTECT = f"""
UPDATE assignment SET protected_until = greatest(protected_until, %(until)s)
 WHERE record_type = %(type)s AND record_id = %(id)s AND ended_at IS NULL AND owner_id <> ''
RETURNING {COLUMNS}
"""
HELD_BY = f"""
SELECT record_type, record_id FROM assignment
 WHERE owner_id = %(owner)s AND ended_at IS NULL AND {Scope.SQL} ORDER BY record_id LIMIT 1000
"""
# Past protection, untouched for long, without a deal; the longest untouched first.
IDLE = """
SELECT s.record_type, s.record_id, r.unit_id, r.touched_at
  FROM assignment s
  JOIN (SELECT 'account' AS record_type, id, unit_id,
               coalesce(last_interaction_at, created_at) AS touched_at, %(account_since)s AS since
          FROM account WHERE owner_id <> '' AND status NOT IN ('merged', 'retired')
           AND grade <> ALL (%(kept_grades)s)
           AND NOT EXISTS (SELECT FROM account_opportunity o WHERE o.account_id = account.id AND o.open)
        UNION ALL
        SELECT 'lead', id, unit_id, coalesce(last_interaction_at, received_at), %(lead_since)s
          FROM lead WHERE owner_id <> '' AND stage <> 'closed' AND opportunity_id IS NULL AND converted_at IS NULL
           AND paused_until IS NULL AND NOT historical) AS r ON r.record_type = s.record_type AND r.id = s.record_id
 WHERE s.ended_at IS NULL AND s.protected_until <= %(now)s AND r.touched_at <= r.since AND s.assigned_at <= r.since
 ORDER BY r.touched_at LIMIT %(most)s
"""
# Two who claim at once queue here; the second finds nothing.
CLAIM = f"""
DELETE FROM pool_entry WHERE record_type = %(record_type)s AND record_id = %(record_id)s
RETURNING last_owner_id, ({LET_GO.format(entry="pool_entry", person="%(person_id)s")}) AS let_go_at
"""
CLAIMED_SINCE = """
SELECT count(*) FROM assignment WHERE owner_id = %(person_id)s AND method = 'claimed' AND assigned_at >= %(since)s
"""


@dataclass(frozen=True, slots=True)
class SellerRow:
    person_id: str
    profile: dict[str, Any] = field(default_factory=dict)
    suspended_at: datetime | None = None
    suspend_reason: str = ""
    feed_version: int = 0
    priority_until: datetime | None = None
    version: int = 0
    open_leads: int = 0
    owned_accounts: int = 0
    last_lead_at: datetime | None = None
    last_account_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LeaveAhead:
    person_id: str
    starts_at: datetime
    ends_at: datetime
    stand_in_id: str


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    id: str
    record_type: str
    record_id: str
    owner_id: str
    unit_id: str
    previous_owner_id: str
    method: str
    rule: dict[str, Any]
    reason: str
    candidates: list[Any]
    assigned_by: str
    assigned_at: datetime
    ended_at: datetime | None
    protected_until: datetime | None


@dataclass(frozen=True, slots=True)
class Leave:
    id: str
    person_id: str
    starts_at: datetime
    ends_at: datetime
    stand_in_id: str
    reason: str
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PoolRow:
    record_type: str
    record_id: str
    unit_id: str
    reason: str
    note: str
    last_owner_id: str
    entered_at: datetime
    name: str
    industry: str
    region_code: str
    product_lines: list[str]
    grade: str
    high_potential: bool
    claimable_at: datetime


async def sellers(reader: Reader | Transaction, people: Collection[str] | None = None) -> dict[str, SellerRow]:
    """By person; of `people` those without a row too, of all only those with one. One round trip."""
    params = {"people": None if people is None else list(people)}
    found = {row.person_id: row for row in await reader.all(SELLERS, params, into=SellerRow)}
    return found if people is None else {person: found.get(person) or SellerRow(person) for person in people}


def replace_running(
    tx: Transaction,
    record_type: str,
    given: Sequence[AssignmentRow],
    most: Mapping[str, int],
    now: datetime,
    *,
    first: bool,
) -> None:
    """Queues the end of what ran and the start of what runs now; `first`: nothing ran, the records are new. `most`: how
    many each may have then; without it as many as he is given."""
    ids = [row.record_id for row in given]
    if not first:
        tx.do(END, {"record_type": record_type, "ids": ids, "now": now})
        tx.do(LEAVE_POOL, {"record_type": record_type, "ids": ids})
    tx.write(_ADDING[record_type], (given, most), refuse=REFUSE)


def _adding(
    record_type: str, all_given: Sequence[tuple[Sequence[AssignmentRow], Mapping[str, int]]]
) -> Iterator[Statement]:
    given = [row for some, _ in all_given for row in some]
    most = {person: allowed for _, some in all_given for person, allowed in some.items()}
    if len(given) == 1 and given[0].owner_id:
        allowed = most.get(given[0].owner_id)
        row = {**rows.values(given[0], AssignmentRow), "most": None if allowed is None else str(allowed)}
        yield _add_one(record_type), row
    else:
        yield ADD[record_type], {"rows": rows.pack(given), "most": Jsonb(most)}


_ADDING = {record_type: partial(_adding, record_type) for record_type in COUNTED}


@cache
def _add_one(record_type: str) -> str:
    """The same for one record that somebody gets."""
    load, last, most = COUNTED[record_type]
    return f"""
WITH given AS ({rows.insert_one("assignment", rows.columns(AssignmentRow))})
INSERT INTO seller (person_id, {load}, {last}, {most})
VALUES (%(owner_id)s, 1, %(assigned_at)s, %(most)s)
ON CONFLICT (person_id) DO UPDATE
   SET {load} = seller.{load} + 1, {last} = greatest(seller.{last}, excluded.{last}), {most} = excluded.{most}
"""


def end(tx: Transaction, record_type: str, ids: Iterable[str], now: datetime) -> None:
    params = {"record_type": record_type, "ids": list(ids), "now": now}
    tx.do(END, params)
    tx.do(LEAVE_POOL, params)


def enter_pool(tx: Transaction, entries: Sequence[dict[str, Any]]) -> None:
    tx.write(_entering, entries)


def _entering(entries: Sequence[Sequence[dict[str, Any]]]) -> Iterator[Statement]:
    yield ENTER_POOL, {"rows": rows.pack(entry for some in entries for entry in some)}


async def held_before(tx: Transaction, ids: Collection[str]) -> dict[str, frozenset[str]]:
    """Everybody who ever had one of these records."""
    found = await tx.all(HELD_BEFORE, {"ids": list(ids)})
    return {row["record_id"]: frozenset(row["people"]) for row in found}
