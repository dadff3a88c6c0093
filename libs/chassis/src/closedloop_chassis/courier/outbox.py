"""The outbox in SQL: claim what is untold, find what nobody acknowledged, strike who has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from closedloop_chassis.courier.database import Connection

# The database tells the time, the same to all couriers: a row stamped by a clock that runs ahead would not be told again
# before the others have caught up with it.
# With each row goes, by consumer, the row of its subject before it that the consumer has not acknowledged.
# Arrays make the planner walk the small indexes whatever it believes about the size of the table.
TOLD = """
WITH claimed AS (
  UPDATE outbox SET told_at = statement_timestamp()
  WHERE sequence = ANY(ARRAY({rows}))
  RETURNING sequence, id, type, subject, time, coalesce(traceparent, '') AS traceparent, data, waiting
), line AS (
  SELECT sequence, consumer, lag(id) OVER (PARTITION BY subject, consumer ORDER BY sequence) AS earlier
  FROM outbox, unnest(waiting) AS consumer WHERE subject = ANY(ARRAY(SELECT subject FROM claimed))
), bound AS (
  SELECT sequence, jsonb_object_agg(consumer, earlier) AS after FROM line WHERE earlier IS NOT NULL GROUP BY sequence
)
SELECT claimed.*, coalesce(after, '{{}}') AS after FROM claimed LEFT JOIN bound USING (sequence)
"""

CLAIM = TOLD.format(
    rows="SELECT sequence FROM outbox WHERE told_at IS NULL ORDER BY sequence LIMIT %(limit)s FOR UPDATE SKIP LOCKED"
)

OVERDUE_CONSUMERS = """
SELECT DISTINCT unnest(waiting) FROM outbox WHERE told_at < statement_timestamp() - %(patience)s
"""

# A consumer with an empty queue has lost the event or never got it. Behind a queue that is not empty the event is
# probably still coming: it is told again only after a long while, and ever more rarely as it ages.
CLAIM_OVERDUE = TOLD.format(
    rows="""
  SELECT sequence FROM outbox
  WHERE told_at < statement_timestamp() - %(patience)s
    AND (waiting && %(idle)s::text[] OR told_at < statement_timestamp() - greatest(%(long)s, told_at - created_at))
  ORDER BY sequence LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""
)

UNCLAIM = "UPDATE outbox SET told_at = NULL WHERE sequence = ANY(%(sequences)s)"

LOCK_STRUCK = "SELECT FROM outbox WHERE id = ANY(%(ids)s) ORDER BY sequence FOR UPDATE"

STRIKE = """
WITH receipt AS (
  SELECT id, array_agg(consumer) AS consumers
  FROM unnest(%(ids)s::uuid[], %(consumers)s::text[]) AS received(id, consumer) GROUP BY id
), remaining AS (
  SELECT outbox.sequence, array(SELECT unnest(outbox.waiting) EXCEPT SELECT unnest(receipt.consumers)) AS waiting
  FROM outbox JOIN receipt USING (id)
), closed AS (
  DELETE FROM outbox USING remaining
  WHERE outbox.sequence = remaining.sequence AND remaining.waiting = '{}' RETURNING outbox.sequence
), struck AS (
  UPDATE outbox SET waiting = remaining.waiting FROM remaining
  WHERE outbox.sequence = remaining.sequence AND remaining.waiting <> '{}' AND remaining.waiting <> outbox.waiting
)
SELECT count(*) FROM closed
"""


@dataclass(frozen=True, slots=True)
class Told:
    """An outbox row that was claimed in order to be told."""

    sequence: int
    id: UUID
    type: str
    subject: str
    time: datetime
    traceparent: str
    data: bytes
    waiting: list[str]
    after: dict[str, str]


def claim(connection: Connection, limit: int) -> list[Told]:
    """Untold rows in order of sequence, marked as told."""
    with connection.cursor(row_factory=class_row(Told)) as cursor:
        rows = cursor.execute(CLAIM, {"limit": limit}).fetchall()
    return sorted(rows, key=lambda row: row.sequence)


def overdue_consumers(connection: Connection, patience: timedelta) -> list[str]:
    return [row[0] for row in connection.execute(OVERDUE_CONSUMERS, {"patience": patience})]


def claim_overdue(connection: Connection, patience: timedelta, idle: Sequence[str], limit: int) -> list[Told]:
    """Rows told longer ago than `patience` that a consumer of `idle` (those with empty queues) still waits for."""
    values = {"patience": patience, "idle": list(idle), "long": 20 * patience, "limit": limit}
    with connection.cursor(row_factory=class_row(Told)) as cursor:
        rows = cursor.execute(CLAIM_OVERDUE, values).fetchall()
    return sorted(rows, key=lambda row: row.sequence)


def unclaim(connection: Connection, rows: Sequence[Told]) -> None:
    connection.execute(UNCLAIM, {"sequences": [row.sequence for row in rows]})


def strike(connection: Connection, received: Sequence[tuple[UUID, str]]) -> int:
    """Notes that each (event id, consumer) has arrived; deletes rows nobody waits for and answers how many."""
    ids, consumers = [id for id, _ in received], [consumer for _, consumer in received]
    with connection.transaction():
        connection.execute(LOCK_STRUCK, {"ids": ids})
        row = connection.execute(STRIKE, {"ids": ids, "consumers": consumers}).fetchone()
    return int(row[0]) if row else 0
