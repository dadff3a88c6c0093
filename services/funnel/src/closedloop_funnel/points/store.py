"""The ledger in SQL: an entry, its two postings and the person's balance are one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of `points_entry`; `points` as the person sees them."""

    id: str
    person_id: str
    unit_id: str
    kind: str
    points: int
    balance_after: int = 0
    counter_account: str
    cause_id: str = ""
    reason: str = ""
    rule: str = ""
    rule_version: int = 0
    reverses_entry_id: str | None = None
    reward_key: str = ""
    author_id: str
    at: datetime


OPEN = "INSERT INTO points_account (person_id) VALUES (%(person_id)s) ON CONFLICT DO NOTHING"
COLUMNS = ", ".join(rows.columns(Entry))
# The update waits for whoever books to the same person, and fails rather than overdraw.
BOOK = f"""
WITH moved AS (
    UPDATE points_account SET balance = balance + %(points)s WHERE person_id = %(person_id)s RETURNING balance
), entry AS (
    INSERT INTO points_entry ({COLUMNS})
    SELECT {", ".join("m.balance" if name == "balance_after" else f"%({name})s" for name in rows.columns(Entry))}
      FROM moved m RETURNING {COLUMNS}
), posted AS (
    INSERT INTO points_posting (entry_id, account, points, at)
    SELECT id, 'person:' || person_id, points, at FROM entry UNION ALL
    SELECT id, counter_account, -points, at FROM entry
)
SELECT {COLUMNS} FROM entry
"""
REFUSE = {
    "points_account_not_overdrawn": errors.FailedPrecondition("BALANCE_TOO_LOW", "there are not so many points"),
    "points_entry_reversed": errors.FailedPrecondition("ENTRY_REVERSED", "it was reversed before"),
}
LOCK = "SELECT balance, priority_until FROM points_account WHERE person_id = %(person_id)s FOR UPDATE"
TODAY = """
SELECT coalesce(sum(points), 0)::bigint FROM points_entry
 WHERE person_id = %(person_id)s AND kind = 'action' AND at >= %(since)s
"""
EARNED_BY = f"""
SELECT {rows.listed(Entry, "e")} FROM points_entry e
 WHERE kind = 'action' AND cause_id LIKE %(cause)s
   AND NOT EXISTS (SELECT FROM points_entry r WHERE r.reverses_entry_id = e.id)
"""
CREDITED = """
SELECT count(*) FROM points_entry WHERE person_id = %(person_id)s AND kind = %(kind)s AND cause_id = %(cause_id)s
"""
EARNED_ONCE = "SELECT cause_id FROM points_entry WHERE kind = 'action' AND cause_id = ANY(%(causes)s)"
GET = f"SELECT {rows.listed(Entry, 'e')} FROM points_entry e WHERE id = %(id)s"
SOLD = """
SELECT reward_key, count(*) AS sold FROM points_entry e
 WHERE reward_key = ANY(%(keys)s) AND at >= %(since)s
   AND NOT EXISTS (SELECT FROM points_entry r WHERE r.reverses_entry_id = e.id)
 GROUP BY reward_key
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('points reward'), hashtext(%(key)s))"
PRIORITY = "UPDATE points_account SET priority_until = %(until)s WHERE person_id = %(person_id)s"
ACCOUNT = """
SELECT a.balance, a.priority_until,
       (SELECT coalesce(sum(points) FILTER (WHERE points > 0 AND kind <> 'reversal'), 0)::bigint
          FROM points_entry WHERE person_id = a.person_id) AS earned,
       (SELECT coalesce(-sum(points) FILTER (WHERE kind = 'redemption'), 0)::bigint
          FROM points_entry WHERE person_id = a.person_id) AS redeemed
  FROM points_account a WHERE person_id = %(person_id)s
"""
LIST = f"""
SELECT {rows.listed(Entry, "e")} FROM points_entry e
 WHERE {Scope.SQL.replace("owner_id", "person_id")}
   AND (%(person)s = '' OR person_id = %(person)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(kind)s = '' OR kind = %(kind)s)
   AND (%(from)s::timestamptz IS NULL OR at >= %(from)s) AND (%(to)s::timestamptz IS NULL OR at < %(to)s)
   AND (at < %(after)s::timestamptz OR (at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY at DESC, id LIMIT %(limit)s
"""
# Out of the postings alone; `drift` is by how much the balances kept for people differ from them.
TRIAL = """
WITH posted AS (SELECT account, points FROM points_posting WHERE at <= %(at)s)
SELECT (SELECT coalesce(jsonb_agg(l ORDER BY l.account), '[]')
          FROM (SELECT CASE WHEN account LIKE 'person:%%' THEN 'people' ELSE account END AS account,
                       coalesce(-sum(points) FILTER (WHERE points < 0), 0)::bigint AS debit,
                       coalesce(sum(points) FILTER (WHERE points > 0), 0)::bigint AS credit
                  FROM posted GROUP BY 1) l) AS lines,
       (SELECT count(*) FROM points_entry WHERE at <= %(at)s) AS entries,
       (SELECT coalesce(sum(abs(a.balance - coalesce(p.points, 0))), 0)::bigint
          FROM points_account a
               LEFT JOIN (SELECT substr(account, 8) AS person_id, sum(points) AS points FROM points_posting
                           WHERE account LIKE 'person:%%' GROUP BY 1) p USING (person_id)) AS drift
"""
# Whoever books meanwhile waits, so that what is counted next is still so when it is booked.
HOLD_ALL = "SELECT count(*) FROM (SELECT FROM points_account WHERE balance > 0 ORDER BY person_id FOR UPDATE) held"
# What was earned before and never taken since, by whatever: the oldest is spent first.
STALE = """
SELECT e.person_id, (array_agg(e.unit_id ORDER BY e.at DESC))[1] AS unit_id,
       (coalesce(sum(points) FILTER (WHERE points > 0 AND at <= %(before)s), 0)
      + coalesce(sum(points) FILTER (WHERE points < 0), 0))::bigint AS points
  FROM points_entry e JOIN points_account a ON a.person_id = e.person_id AND a.balance > 0
 GROUP BY e.person_id
HAVING coalesce(sum(points) FILTER (WHERE points > 0 AND at <= %(before)s), 0)
     + coalesce(sum(points) FILTER (WHERE points < 0), 0) > 0
 ORDER BY e.person_id
"""
BOOK_ALL = f"""
WITH given AS (SELECT * FROM jsonb_populate_recordset(NULL::points_entry, %(rows)s)),
moved AS (
    UPDATE points_account a SET balance = a.balance + g.points FROM given g WHERE a.person_id = g.person_id
    RETURNING a.person_id, a.balance
), entry AS (
    INSERT INTO points_entry ({COLUMNS})
    SELECT {", ".join("m.balance" if name == "balance_after" else f"g.{name}" for name in rows.columns(Entry))}
      FROM given g JOIN moved m ON m.person_id = g.person_id RETURNING id, person_id, points, counter_account, at
)
INSERT INTO points_posting (entry_id, account, points, at)
SELECT id, 'person:' || person_id, points, at FROM entry UNION ALL
SELECT id, counter_account, -points, at FROM entry
"""


async def book(tx: Transaction, entry: Entry) -> Entry:
    """Raises FailedPrecondition BALANCE_TOO_LOW or ENTRY_REVERSED."""
    tx.do(OPEN, {"person_id": entry.person_id})
    booked = await tx.one(BOOK, rows.row(entry), into=Entry, refuse=REFUSE)
    assert booked is not None
    return booked


async def sold(reader: Reader | Transaction, keys: Collection[str], since: datetime) -> dict[str, int]:
    """How many of each reward were taken since then; those of which none was are left out."""
    found = await reader.all(SOLD, {"keys": list(keys), "since": since})
    return {row["reward_key"]: row["sold"] for row in found}


async def held(tx: Transaction, person_id: str) -> dict[str, Any]:
    """Balance and priority of the person's account, locked."""
    tx.do(OPEN, {"person_id": person_id})
    found = await tx.one(LOCK, {"person_id": person_id})
    assert found is not None
    return found


def entry(person_id: str, unit_id: str, kind: str, points: int, counter: str, **more: Any) -> Entry:
    return Entry(
        id=new_id(), person_id=person_id, unit_id=unit_id, kind=kind, points=points, counter_account=counter, **more
    )
