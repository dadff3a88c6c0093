"""Changes in SQL, in the order of their transactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from closedloop_chassis.data.transaction import Reader


class Position(NamedTuple):
    """After which change one stands."""

    xid: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of `funnel_change`."""

    xid: str
    seq: int
    at: datetime
    kind: str
    record_id: str
    version: int
    opportunity_id: str | None
    account_id: str | None
    owner_id: str
    unit_id: str
    participant_ids: list[str]
    pipeline_id: str
    from_stage_key: str
    stage_key: str
    amount_minor: int | None
    currency: str
    summary: str

    @property
    def position(self) -> Position:
        return Position(int(self.xid), self.seq)


# Only what is settled: of a transaction that still runs, and of those begun after it, nobody knows yet what comes.
AFTER = """
SELECT xid::text, seq, at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id, participant_ids,
       pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary
  FROM funnel_change
 WHERE (xid, seq) > (%(xid)s::text::xid8, %(seq)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, seq LIMIT %(limit)s
"""
NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
FORGOTTEN = """
SELECT (xid, seq) > (%(xid)s::text::xid8, %(seq)s) AS forgotten,
       %(xid)s::text::xid8 > pg_snapshot_xmax(pg_current_snapshot()) AS ahead
  FROM funnel_change_forgotten
"""
FORGET = """
WITH gone AS (DELETE FROM funnel_change WHERE at < %(before)s RETURNING xid, seq),
     last AS (SELECT xid, seq FROM gone ORDER BY xid DESC, seq DESC LIMIT 1)
UPDATE funnel_change_forgotten f SET xid = last.xid, seq = last.seq FROM last
 WHERE (last.xid, last.seq) > (f.xid, f.seq)
"""


async def now(db: Reader) -> Position:
    """Before the first change that is not settled."""
    return Position(int(await db.value(NOW)), 0)


async def after(db: Reader, position: Position, limit: int) -> list[Change]:
    params = {"xid": str(position.xid), "seq": position.seq, "limit": limit}
    return await db.all(AFTER, params, into=Change)
