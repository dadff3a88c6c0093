"""Takes clocks whose time has come, each exactly once, with any number of sweepers at work."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from closedloop_chassis.clocks.due import Due
from closedloop_chassis.data.transaction import Transaction

BATCH = 1000

# Rows another sweeper holds are skipped; what is taken fires in this transaction or not at all.
TAKE = """
WITH due AS (
    SELECT id, next_at < due_at AND due_at > %(now)s AS warns
      FROM clock WHERE state = 'open' AND next_at <= %(now)s
     ORDER BY next_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE clock
   SET next_at = clock.due_at,
       state = CASE WHEN due.warns THEN 'open' ELSE 'breached' END,
       ended_at = CASE WHEN due.warns THEN NULL ELSE %(now)s END
  FROM due WHERE clock.id = due.id
RETURNING clock.id, kind, subject, owner_id, unit_id, CASE WHEN due.warns THEN 'warn' ELSE 'due' END AS phase, level,
          started_at AS start_time, due_at AS due_time, attributes
"""


async def take(tx: Transaction, now: datetime, batch: int = BATCH) -> dict[str, list[Due]]:
    """Up to `batch` clocks by kind, the most overdue first, marked as fired in `tx`."""
    by_kind: dict[str, list[Due]] = defaultdict(list)
    for due in sorted(await tx.all(TAKE, {"now": now, "batch": batch}, into=Due), key=lambda due: due.due_time):
        by_kind[due.kind].append(due)
    return by_kind
