"""Takes clocks and timers whose time has come, each exactly once, with any number of sweepers at work."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.data.transaction import Reader, Transaction

BATCH = 1000

# The first entries of two indexes, however many clocks run.
NEXT = """
SELECT least((SELECT next_at FROM clock WHERE state = 'open' ORDER BY next_at LIMIT 1),
             (SELECT next_at FROM timer ORDER BY next_at LIMIT 1))
"""

# Rows another sweeper holds are skipped; what is taken fires in this transaction or not at all.
TAKE_CLOCKS = """
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

TAKE_TIMERS = """
DELETE FROM timer WHERE (kind, subject) IN (
    SELECT kind, subject FROM timer WHERE next_at <= %(now)s
     ORDER BY next_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING kind, subject, at AS time, attributes
"""

# Another sweeper may have had better luck meanwhile; what it fired stays as it is.
POSTPONE_CLOCKS = """
UPDATE clock SET next_at = %(now)s + interval '1 minute'
 WHERE id = ANY(%(ids)s::uuid[]) AND state = 'open' AND next_at <= %(now)s
"""
POSTPONE_TIMER = """
UPDATE timer SET next_at = %(now)s + interval '1 minute'
 WHERE kind = %(kind)s AND subject = %(subject)s AND next_at <= %(now)s
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Both by kind, the most overdue first."""

    clocks: dict[str, list[Due]]
    timers: dict[str, list[Rung]]

    @property
    def count(self) -> int:
        return sum(map(len, self.clocks.values())) + sum(map(len, self.timers.values()))


NOTHING = Taken({}, {})


async def next_due(reader: Reader) -> datetime | None:
    """When something is to be taken; None while nothing runs."""
    found: datetime | None = await reader.value(NEXT)
    return found


async def take(tx: Transaction, now: datetime, batch: int = BATCH) -> Taken:
    """Up to `batch` in all, marked as fired in `tx`."""
    taken = Taken(defaultdict(list), defaultdict(list))
    for due in sorted(await tx.all(TAKE_CLOCKS, {"now": now, "batch": batch}, into=Due), key=lambda due: due.due_time):
        taken.clocks[due.kind].append(due)
    if (left := batch - taken.count) > 0:
        for rung in sorted(await tx.all(TAKE_TIMERS, {"now": now, "batch": left}, into=Rung), key=lambda one: one.time):
            taken.timers[rung.kind].append(rung)
    return taken


def postpone(tx: Transaction, taken: Taken, now: datetime) -> None:
    """Queues another attempt in a minute."""
    ids = [due.id for dues in taken.clocks.values() for due in dues]
    if ids:
        tx.do(POSTPONE_CLOCKS, {"ids": ids, "now": now})
    for rung in (one for rungs in taken.timers.values() for one in rungs):
        tx.do(POSTPONE_TIMER, {"kind": rung.kind, "subject": rung.subject, "now": now})
