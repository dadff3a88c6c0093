"""Snapshots in SQL: taken, read back, held against each other; each in one statement however many deals there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.pipelines import scope
from closedloop_funnel.snapshots.record import Cell, Comparison, Deal, Movement, Snapshot

COPIED = (
    *("name", "owner_id", "unit_id", "participant_ids", "account_id", "customer_type", "product_ids", "pipeline_id"),
    *("stage_key", "category", "reporting_minor", "probability", "expected_close_date", "push_count"),
    "stage_entered_at",
)
LIVE = f"SELECT id AS opportunity_id, {', '.join(COPIED)} FROM opportunity WHERE state = 'open'"
SAME = f"""s.opportunity_id = l.opportunity_id
  AND ({", ".join(f"l.{name}" for name in COPIED)}) IS NOT DISTINCT FROM ({", ".join(f"s.{name}" for name in COPIED)})"""

LOCK = "SELECT pg_advisory_xact_lock(hashtext('funnel snapshot'))"
END = f"""
WITH live AS MATERIALIZED ({LIVE})
UPDATE snapshot_deal s SET until_sequence = %(sequence)s
 WHERE until_sequence IS NULL AND NOT EXISTS (SELECT FROM live l WHERE {SAME})
"""
BEGIN = f"""
INSERT INTO snapshot_deal (opportunity_id, from_sequence, {", ".join(COPIED)})
SELECT opportunity_id, %(sequence)s, {", ".join(COPIED)} FROM ({LIVE}) l
 WHERE NOT EXISTS (SELECT FROM snapshot_deal s
                    WHERE s.opportunity_id = l.opportunity_id AND s.until_sequence IS NULL)
"""
NUMBER = """
INSERT INTO snapshot (sequence, id, taken_at, author_id, note, open_count, open_minor, weighted_minor)
SELECT %(sequence)s, %(id)s, %(now)s, %(author_id)s, %(note)s, count(*), coalesce(sum(reporting_minor), 0),
       coalesce(round(sum(reporting_minor * probability)), 0)
  FROM snapshot_deal WHERE until_sequence IS NULL
RETURNING sequence, id, taken_at, author_id, note, open_count, open_minor, weighted_minor
"""
FORGET = """
WITH gone AS (DELETE FROM snapshot WHERE taken_at < %(before)s RETURNING sequence)
DELETE FROM snapshot_deal
 WHERE until_sequence <= (SELECT max(sequence) FROM gone) + 1
"""

LIST = f"""
SELECT {rows.listed(Snapshot, "s")} FROM snapshot s
 WHERE (%(from)s::timestamptz IS NULL OR taken_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR taken_at < %(to)s) AND sequence < %(after)s
 ORDER BY sequence DESC LIMIT %(limit)s
"""
AT = f"""
SELECT {rows.listed(Snapshot, "s")} FROM snapshot s WHERE taken_at <= %(at)s
 ORDER BY taken_at DESC, sequence DESC LIMIT 1
"""


def _standing(number: str) -> str:
    """The deals of one snapshot, named `o` with their account `a`, as the scope wants them."""
    return f"""(SELECT * FROM snapshot_deal WHERE from_sequence <= %({number})s
                   AND (until_sequence IS NULL OR until_sequence > %({number})s)) o
               LEFT JOIN account a ON a.id = o.account_id"""


CELLS = f"""
SELECT o.pipeline_id, o.stage_key, o.category, count(*) AS deals,
       coalesce(sum(o.reporting_minor), 0)::bigint AS amount_minor,
       coalesce(round(sum(o.reporting_minor * o.probability)), 0)::bigint AS weighted_minor
  FROM {_standing("sequence")} WHERE {scope.SQL}
 GROUP BY o.pipeline_id, o.stage_key, o.category ORDER BY o.pipeline_id, o.stage_key, o.category
"""
DEALS = f"""
SELECT {rows.listed(Deal, "o")} FROM {_standing("sequence")}
 WHERE {scope.SQL} AND o.opportunity_id > %(after)s::uuid
 ORDER BY o.opportunity_id LIMIT %(limit)s
"""

# Every way in which a deal moved is a row of its own; what it did to the sum stands on exactly one of them.
MOVED = """
WITH before AS (
    SELECT o.*, coalesce({scope}, false) AS inside FROM {before}
), after AS (
    SELECT o.*, coalesce({scope}, false) AS inside FROM {after}
), stages AS (
    SELECT * FROM unnest(%(pipelines)s::text[], %(stages)s::text[], %(positions)s::int[])
                  AS given (pipeline_id, stage_key, position)
), pairs AS (
    SELECT coalesce(b.opportunity_id, n.opportunity_id) AS id, to_jsonb(b) AS before, to_jsonb(n) AS after,
           coalesce(b.inside, false) AS was_in, coalesce(n.inside, false) AS is_in,
           b.opportunity_id IS NOT NULL AS was_open, n.opportunity_id IS NOT NULL AS is_open,
           CASE WHEN b.inside THEN coalesce(b.reporting_minor, 0) ELSE 0 END AS was_minor,
           CASE WHEN n.inside THEN coalesce(n.reporting_minor, 0) ELSE 0 END AS is_minor,
           p.position - q.position AS climbed, n.stage_key <> b.stage_key AS changed_stage,
           n.expected_close_date - b.expected_close_date AS pushed, n.category <> b.category AS recategorized
      FROM before b FULL JOIN after n ON n.opportunity_id = b.opportunity_id
           LEFT JOIN stages q ON q.pipeline_id = b.pipeline_id AND q.stage_key = b.stage_key
           LEFT JOIN stages p ON p.pipeline_id = n.pipeline_id AND p.stage_key = n.stage_key
     WHERE b.inside OR n.inside
), judged AS (
    SELECT p.*, (SELECT direction FROM stage_move m
                  WHERE m.opportunity_id = p.id AND m.at <= %(to)s AND m.direction IN ('won', 'lost')
                    AND NOT p.is_open ORDER BY sequence DESC LIMIT 1) AS ended,
           EXISTS (SELECT FROM stage_move m WHERE m.opportunity_id = p.id AND m.at > %(from)s AND m.at <= %(to)s
                      AND m.direction = 'reopened' AND NOT p.was_open) AS reopened
      FROM pairs p
), moved AS (
    SELECT j.id, w.movement, CASE WHEN w.carries THEN j.is_minor - j.was_minor ELSE 0 END AS change_minor,
           CASE WHEN j.was_in THEN j.before END AS before, CASE WHEN j.is_in THEN j.after END AS after
      FROM judged j CROSS JOIN LATERAL (VALUES
           ('added', NOT was_open AND NOT reopened, true),
           ('reopened', NOT was_open AND reopened, true),
           ('won', NOT is_open AND ended = 'won', true),
           ('lost', NOT is_open AND ended IS DISTINCT FROM 'won', true),
           ('transferred_in', was_open AND is_open AND is_in AND NOT was_in, true),
           ('transferred_out', was_open AND is_open AND was_in AND NOT is_in, true),
           ('advanced', was_in AND is_in AND changed_stage AND coalesce(climbed, 1) > 0, false),
           ('fell_back', was_in AND is_in AND changed_stage AND climbed <= 0, false),
           ('pushed', was_in AND is_in AND pushed > 0, false),
           ('pulled_in', was_in AND is_in AND pushed < 0, false),
           ('grew', was_in AND is_in AND is_minor > was_minor, true),
           ('shrank', was_in AND is_in AND is_minor < was_minor, true),
           ('recategorized', was_in AND is_in AND recategorized AND NOT changed_stage, false)
           ) AS w (movement, holds, carries) WHERE w.holds
)
"""
TOTALS = """
SELECT (SELECT coalesce(sum(was_minor), 0) FROM pairs)::bigint AS from_minor,
       (SELECT coalesce(sum(is_minor), 0) FROM pairs)::bigint AS to_minor,
       (SELECT coalesce(jsonb_agg(t ORDER BY t.movement), '[]')
          FROM (SELECT movement, count(*) AS deals, sum(change_minor)::bigint AS amount_minor
                  FROM moved GROUP BY movement) t) AS totals
"""
PAGE = """
SELECT id, movement, change_minor, before, after FROM moved
 WHERE (%(movements)s::text[] IS NULL OR movement = ANY(%(movements)s))
   AND (-abs(change_minor), id, movement) > (%(after_amount)s::bigint, %(after_id)s::uuid, %(after_movement)s::text)
 ORDER BY -abs(change_minor), id, movement LIMIT %(limit)s
"""


@cache
def _moved(live: bool) -> str:
    now = f"({LIVE}) o LEFT JOIN account a ON a.id = o.account_id"
    return MOVED.format(
        scope=f"({scope.SQL})", before=_standing("from_sequence"), after=now if live else _standing("to_sequence")
    )


async def take(tx: Transaction, snapshot_id: str, now: datetime, author_id: str, note: str = "") -> Snapshot:
    tx.do(LOCK)
    sequence = await tx.value("SELECT coalesce(max(sequence), 0) + 1 FROM snapshot")
    params = {"sequence": sequence, "id": snapshot_id, "now": now, "author_id": author_id, "note": note}
    tx.do(END, {"sequence": sequence})
    tx.do(BEGIN, {"sequence": sequence})
    taken = await tx.one(NUMBER, params, into=Snapshot)
    assert taken is not None
    return taken


def forget(tx: Transaction, before: datetime) -> None:
    """Snapshots older than that, and what stood only in them."""
    tx.do(FORGET, {"before": before})


async def page(db: Reader, params: dict[str, Any]) -> list[Snapshot]:
    return await db.all(LIST, params, into=Snapshot)


async def at(db: Reader, moment: datetime) -> Snapshot | None:
    return await db.one(AT, {"at": moment}, into=Snapshot)


async def cells(db: Reader, params: dict[str, Any]) -> list[Cell]:
    return await db.all(CELLS, params, into=Cell)


async def deals(db: Reader, params: dict[str, Any]) -> Sequence[Deal]:
    return await db.all(DEALS, params, into=Deal)


async def comparison(db: Reader, params: dict[str, Any], *, live: bool) -> Comparison:
    found = await db.one(_moved(live) + TOTALS, params, into=Comparison)
    assert found is not None
    return found


async def movements(db: Reader, params: dict[str, Any], *, live: bool) -> Sequence[Movement]:
    return await db.all(_moved(live) + PAGE, params, into=Movement)
