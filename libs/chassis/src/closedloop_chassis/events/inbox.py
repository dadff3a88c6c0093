"""The inbox as the reactor reads it: what waits in a slot, what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis.data.transaction import Reader, Transaction

# As many as the courier makes (`courier/inbox.py`).
SLOTS = 8

# Asked slot by slot: a long queue must not be walked to learn which slots it fills.
FILLED = """
SELECT slot FROM generate_series(0, %(last)s) AS slot
 WHERE EXISTS (SELECT FROM inbox WHERE state = 0 AND inbox.slot = slot.slot
                 AND (next_at IS NULL OR next_at <= clock_timestamp()))
"""

# An event waits while an earlier one of its subject waits for another attempt, and for the one before it that is still on
# its way: what a broker loses is told again. A parked one holds nobody.
TAKE = """
WITH mine AS MATERIALIZED (
    SELECT slot FROM unnest(%(slots)s::int[]) AS slot WHERE pg_try_advisory_xact_lock(hashtext('inbox'), slot)
), held AS MATERIALIZED (
    SELECT subject, source, min(sequence) AS sequence FROM (
        SELECT subject, source, sequence FROM inbox
         WHERE state = 0 AND slot = ANY(%(slots)s) AND next_at > clock_timestamp()
        UNION ALL
        SELECT subject, source, sequence FROM inbox
         WHERE state = 0 AND slot = ANY(%(slots)s) AND after_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM inbox before WHERE before.id = inbox.after_id)) AS waiting
     GROUP BY subject, source
), mine_next AS (
    SELECT next.* FROM mine CROSS JOIN LATERAL (
        SELECT id, source, type, subject, sequence, time, traceparent, data, attempts
          FROM inbox
         WHERE state = 0 AND inbox.slot = mine.slot AND (next_at IS NULL OR next_at <= clock_timestamp())
           AND NOT EXISTS (SELECT FROM held
                            WHERE held.subject = inbox.subject AND held.source = inbox.source
                              AND held.sequence <= inbox.sequence)
         ORDER BY source, sequence
         LIMIT %(limit)s) AS next
)
SELECT * FROM mine_next ORDER BY source, sequence
"""

# Part of a batch that failed. What was put back of it may be due again by now, and still goes first.
TAKE_PART = """
WITH mine AS MATERIALIZED (
    SELECT slot FROM unnest(%(slots)s::int[]) AS slot WHERE pg_try_advisory_xact_lock(hashtext('inbox'), slot)
)
SELECT id, source, type, subject, sequence, time, traceparent, data, attempts
  FROM inbox
 WHERE slot IN (SELECT slot FROM mine) AND state = 0 AND id = ANY(%(ids)s::uuid[])
   AND NOT EXISTS (SELECT FROM inbox earlier
                    WHERE earlier.state = 0 AND earlier.subject = inbox.subject AND earlier.source = inbox.source
                      AND earlier.sequence < inbox.sequence AND NOT earlier.id = ANY(%(ids)s::uuid[]))
 ORDER BY source, sequence
"""

# What another applied between our first look and our lock on its slot is not applied again: this fails the commit.
APPLIED = """
WITH applied AS (
    UPDATE inbox SET state = 1, applied_at = clock_timestamp(), error = NULL
     WHERE id = ANY(%(ids)s::uuid[]) AND state = 0 RETURNING 1
)
SELECT presumed(count(*) = cardinality(%(ids)s::uuid[])) FROM applied
"""

FAILED = """
UPDATE inbox
   SET attempts = attempts + 1, error = %(error)s,
       state = CASE WHEN attempts + 1 >= %(attempts)s THEN 2 ELSE 0 END,
       parked_at = CASE WHEN attempts + 1 >= %(attempts)s THEN clock_timestamp() END,
       next_at = clock_timestamp() + make_interval(secs => least(%(first_delay)s * 2 ^ attempts, 300))
 WHERE id = %(id)s
RETURNING state = 2 AS parked, extract(epoch FROM next_at - clock_timestamp())::float8 AS delay
"""


@dataclass(frozen=True, slots=True)
class Received:
    id: str
    source: str
    type: str
    subject: str
    sequence: int
    time: datetime
    traceparent: str
    data: bytes
    attempts: int


async def filled(reader: Reader) -> list[int]:
    """Slots in which something may be applied now."""
    return [row["slot"] for row in await reader.all(FILLED, {"last": SLOTS - 1})]


async def take(tx: Transaction, slots: Sequence[int], limit: int, ids: Sequence[str] | None = None) -> list[Received]:
    """What may be applied now, `limit` of each slot at most, in order; the slots are locked until the end of `tx`, and
    those somebody else has are left out. With `ids` only of those."""
    if ids is None:
        return await tx.all(TAKE, {"slots": list(slots), "limit": limit}, into=Received)
    return await tx.all(TAKE_PART, {"slots": list(slots), "ids": list(ids)}, into=Received)


def applied(tx: Transaction, ids: Sequence[str]) -> None:
    tx.do(APPLIED, {"ids": list(ids)})


async def failed(tx: Transaction, id: str, error: str, attempts: int, first_delay: float) -> float | None:
    """Puts the event back; answers in how many seconds it is tried again, None when it is parked."""
    params = {"id": id, "error": error, "attempts": attempts, "first_delay": first_delay}
    row = await tx.one(FAILED, params)
    return None if row is None or row["parked"] else row["delay"]
