"""Proposals of the version in force beside what was promised and what came of it, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import aggregation
from closedloop_targets.book import in_force

ASKED = aggregation.asked(
    "metric", "in_books(c.minor, reached.book_rate)", "c.end_date - c.start_date + 1", "c.end_date"
)
DID = aggregation.values("line.metric", "a")
# What was not measured was not kept: nobody has shown it.
BOARD = f"""
WITH reached AS ({in_force.REACHED}),
proposal AS (
    SELECT reached.holder_id AS owner_id, metric, c.period, min(c.start_date) AS start_date, max(c.end_date) AS end_date,
           {ASKED} AS minor, max(currency) AS currency
      FROM reached JOIN cell c ON c.target_id = reached.id AND c.grain = 'fortnight'
     WHERE c.start_date <= %(until)s AND c.end_date >= %(since)s
     GROUP BY 1, 2, 3
), promise AS (
    SELECT * FROM commitment
     WHERE owner_id = ANY(%(holders)s) AND start_date <= %(until)s AND end_date >= %(since)s
       AND (cardinality(%(metrics)s::text[]) = 0 OR metric = ANY(%(metrics)s))
), line AS (
    SELECT coalesce(promise.id::text, '') AS id, owner_id, coalesce(promise.unit_id, '') AS unit_id, metric, period,
           least(promise.start_date, proposal.start_date) AS start_date,
           greatest(promise.end_date, proposal.end_date) AS end_date,
           coalesce(promise.currency, proposal.currency) AS currency, proposal.minor AS proposed,
           promise.minor AS committed, coalesce(promise.note, '') AS note, coalesce(promise.changes, '[]') AS changes,
           coalesce(promise.version, 0) AS version
      FROM proposal FULL JOIN promise USING (owner_id, metric, period)
), measured AS (
    SELECT line.*, CASE WHEN metric = ANY(%(apart)s::text[]) THEN did.minor ELSE coalesce(did.minor, 0) END AS actual
      FROM line
      CROSS JOIN LATERAL (
        SELECT {DID} AS minor
          FROM actual a WHERE a.metric = line.metric AND a.owner_id = line.owner_id
           AND a.date BETWEEN line.start_date AND line.end_date) AS did
), judged AS (
    SELECT measured.*,
           CASE WHEN end_date >= %(today)s THEN CASE WHEN committed IS NULL THEN 'proposed' ELSE 'committed' END
                WHEN (metric = ANY(%(lower)s) AND actual <= coalesce(committed, proposed))
                     OR (metric <> ALL(%(lower)s) AND actual >= coalesce(committed, proposed)) THEN 'kept'
                ELSE 'missed' END AS state
      FROM measured
)
SELECT * FROM judged
 WHERE (%(state)s = '' OR state = %(state)s)
   AND (-(start_date - '2000-01-01'::date), owner_id, metric) > (%(key)s::int, %(key_owner)s, %(key_metric)s)
 ORDER BY start_date DESC, owner_id, metric LIMIT %(limit)s
"""
LOCK = """
SELECT pg_advisory_xact_lock(hashtext('targets.commitment'), hashtext(%(owner_id)s || %(metric)s || %(period)s))
"""
PUT = """
INSERT INTO commitment (id, owner_id, unit_id, metric, period, start_date, end_date, minor, currency, note, changes,
                        version)
VALUES (%(id)s, %(owner_id)s, %(unit_id)s, %(metric)s, %(period)s, %(start_date)s, %(end_date)s, %(minor)s, %(currency)s,
        %(note)s, %(changes)s, %(version)s)
ON CONFLICT (owner_id, metric, period) DO UPDATE
   SET unit_id = excluded.unit_id, minor = excluded.minor, currency = excluded.currency, note = excluded.note,
       changes = excluded.changes, version = excluded.version
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One person's fortnight in one metric; `id` empty and `version` 0 while nothing was promised."""

    id: str
    owner_id: str
    unit_id: str
    metric: str
    period: str
    start_date: date
    end_date: date
    currency: str
    proposed: int | None
    committed: int | None
    note: str
    changes: list[dict[str, Any]]
    version: int
    # None where nothing was measured of what does not add up.
    actual: int | None
    state: str


async def lines(
    work: Work,
    reader: Reader | Transaction,
    people: list[str],
    metrics: list[str],
    since: date,
    until: date,
    today: date,
    **more: Any,
) -> list[Line]:
    """The latest fortnight first, then by person and metric; `key`, `state` and `limit` narrow it."""
    params = {
        "holders": people, "kind": "person", "metrics": metrics, "since": since, "until": until, "today": today,
        "state": "", "key": -(2**31), "key_owner": "", "key_metric": "", "limit": 1,
        **in_force.places(work), **aggregation.manners(work), **more,
    }  # fmt: skip
    return await reader.all(BOARD, params, into=Line)


def put(tx: Transaction, line: Line, moment: datetime, author_id: str) -> Line:
    """Queues the line with its present value added to its history."""
    changes = [
        *line.changes,
        {"minor": line.committed, "author_id": author_id, "time": moment.isoformat(), "note": line.note},
    ]
    columns = ("id", "owner_id", "unit_id", "metric", "period", "start_date", "end_date", "currency", "note", "version")
    tx.do(
        PUT,
        {**{name: getattr(line, name) for name in columns}, "minor": line.committed, "changes": Jsonb(changes)},
    )
    return Line(**{**{name: getattr(line, name) for name in Line.__slots__}, "changes": changes})
