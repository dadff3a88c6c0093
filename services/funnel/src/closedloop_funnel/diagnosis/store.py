"""The raw material of a diagnosis: stays in stages, deals parked, events of foreign logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.pipelines import scope

# Read in pieces of so many, so that an export of any size holds little.
PIECE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of `process_event`."""

    process_log: str
    case_id: str
    position: int
    step: str
    at: datetime
    resource: str = ""
    transition: str = ""
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """Stays of one stage: how many began, ended, went on within the period; days of the stage's calendar of those that
    ended, and by the plain clock where nobody counted."""

    stage_key: str
    entered: int
    left: int
    advanced: int
    days: list[float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A deal that stood in a stage when the period ended."""

    opportunity_id: str
    stage_key: str
    since: datetime
    owner_id: str
    unit_id: str
    customer_type: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a foreign case and when the next one came; `at_end`: it was the last one of the period."""

    step: str
    at: datetime
    next_at: datetime | None
    at_end: bool


# A stay is a deal's time in a stage: the move that brought it there, and the next one.
STAYS = f"""
FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
     JOIN stage_move m ON m.opportunity_id = o.id
     LEFT JOIN stage_move n ON n.opportunity_id = m.opportunity_id AND n.sequence = m.sequence + 1
WHERE {scope.SQL} AND m.direction NOT IN ('won', 'lost', 'archived')
"""
IN_PERIOD = "{0}.at >= %(from)s AND {0}.at < %(to)s"
ENDED = f"""
SELECT m.to_stage_key AS stage_key,
       count(*) FILTER (WHERE {IN_PERIOD.format("m")}) AS entered,
       count(*) FILTER (WHERE {IN_PERIOD.format("n")}) AS left,
       count(*) FILTER (WHERE {IN_PERIOD.format("n")} AND n.direction IN ('forward', 'won')) AS advanced,
       coalesce(array_agg(coalesce(n.dwell_days, extract(epoch FROM n.at - m.at)::float8 / 86400))
                FILTER (WHERE {IN_PERIOD.format("n")}), '{{}}') AS days,
       coalesce(sum(extract(epoch FROM n.at - m.at)) FILTER (WHERE {IN_PERIOD.format("n")}), 0)::float8 AS seconds
{STAYS} AND (({IN_PERIOD.format("m")}) OR ({IN_PERIOD.format("n")}))
GROUP BY m.to_stage_key
"""
STANDING = f"""
SELECT o.id AS opportunity_id, m.to_stage_key AS stage_key, m.at AS since, o.owner_id, o.unit_id,
       coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS customer_type
{STAYS} AND m.at < %(to)s AND (n.at IS NULL OR n.at >= %(to)s)
"""
TURNS = f"""
SELECT count(*) FILTER (WHERE m.direction = 'won') AS won, count(*) FILTER (WHERE m.direction = 'opened') AS opened,
       count(*) AS events, count(DISTINCT m.opportunity_id) AS cases
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id JOIN stage_move m ON m.opportunity_id = o.id
 WHERE {scope.SQL} AND {IN_PERIOD.format("m")}
"""
MIX = f"""
SELECT coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS customer_type, count(*) AS deals
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id JOIN stage_move m ON m.opportunity_id = o.id
 WHERE {scope.SQL} AND m.direction = 'opened' AND {IN_PERIOD.format("m")} GROUP BY 1
"""
SHOWN = """
SELECT g.id::text AS opportunity_id, coalesce(c.contacts, 0) AS contacts, coalesce(c.effective, 0) AS effective,
       EXISTS (SELECT FROM quote q WHERE q.opportunity_id = g.id AND q.submitted_at < %(to)s
                  AND (q.decided_at IS NULL OR q.decided_at >= %(to)s))
       OR EXISTS (SELECT FROM contract k WHERE k.opportunity_id = g.id AND k.submitted_at < %(to)s
                     AND (k.decided_at IS NULL OR k.decided_at >= %(to)s)) AS pending,
       coalesce(e.given, '{}') AS given
  FROM unnest(%(ids)s::uuid[], %(sinces)s::timestamptz[]) AS g (id, since)
       LEFT JOIN LATERAL (SELECT count(*) AS contacts, count(*) FILTER (WHERE effective) AS effective FROM activity v
                           WHERE v.opportunity_id = g.id AND v.state = 'done' AND v.at >= g.since AND v.at < %(to)s) c
              ON true
       LEFT JOIN LATERAL (SELECT array_agg(DISTINCT requirement_key) AS given FROM stage_evidence s
                           WHERE s.opportunity_id = g.id AND s.at < %(to)s) e ON true
"""

# Of a foreign log: what a step was followed by. A case that goes on after the period is open at its end.
STEPS = """
WITH complete AS (
    SELECT case_id, step, at, lead(at) OVER (PARTITION BY case_id ORDER BY position) AS next_at
      FROM process_event WHERE process_log = %(log)s AND lower(transition) IN ('', 'complete')
)
SELECT step, at, next_at, at < %(to)s AND next_at >= %(to)s AS at_end FROM complete
 WHERE (at >= %(from)s AND at < %(to)s) OR (next_at >= %(from)s AND next_at < %(to)s)
    OR (at < %(to)s AND next_at >= %(to)s)
"""
IN_LOG = """
SELECT count(DISTINCT case_id) AS cases, count(*) AS events FROM process_event WHERE process_log = %(log)s
"""

ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('process log'), hashtext(%(log)s))"
PUT = """
WITH written AS (
    INSERT INTO process_event AS t (process_log, case_id, position, step, at, resource, transition, attributes)
    SELECT process_log, case_id, position, step, at, resource, transition, attributes
      FROM jsonb_populate_recordset(NULL::process_event, %(rows)s)
    ON CONFLICT (process_log, case_id, position) DO UPDATE
       SET step = excluded.step, at = excluded.at, resource = excluded.resource, transition = excluded.transition,
           attributes = excluded.attributes
     WHERE (t.step, t.at, t.resource, t.transition, t.attributes)
           IS DISTINCT FROM (excluded.step, excluded.at, excluded.resource, excluded.transition, excluded.attributes)
    RETURNING (xmax = 0) AS created
)
SELECT count(*) FILTER (WHERE created) AS created, count(*) FILTER (WHERE NOT created) AS updated FROM written
"""
WOULD = """
SELECT count(*) FILTER (WHERE t.case_id IS NULL) AS created,
       count(*) FILTER (WHERE t.case_id IS NOT NULL AND (t.step, t.at, t.resource, t.transition, t.attributes)
                        IS DISTINCT FROM (r.step, r.at, r.resource, r.transition, r.attributes)) AS updated
  FROM jsonb_populate_recordset(NULL::process_event, %(rows)s) r
       LEFT JOIN process_event t USING (process_log, case_id, position)
"""

ADD = """
INSERT INTO diagnosis (id, author_id, unit_id, begins, ends, created_at, data)
VALUES (%(id)s, %(author_id)s, %(unit_id)s, %(begins)s, %(ends)s, %(now)s, %(data)s)
"""
GET = "SELECT author_id, unit_id, data FROM diagnosis WHERE id = %(id)s"
LIST = """
SELECT id, created_at, data FROM diagnosis
 WHERE (%(scope_company)s OR author_id = %(scope_owner)s OR unit_id = ANY(%(scope_units)s))
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(from)s::timestamptz IS NULL OR ends > %(from)s) AND (%(to)s::timestamptz IS NULL OR begins < %(to)s)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""

# What happened to deals, whatever kind it was of; `rank` keeps those of one instant in order.
HAPPENED = f"""
WITH deals AS (
    SELECT o.id FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE {scope.SQL}
), happened AS (
    SELECT m.opportunity_id AS case_id, m.at, m.sequence AS rank, m.to_stage_key AS step, m.author_id AS resource,
           jsonb_build_object('direction', m.direction, 'from_stage_key', m.from_stage_key, 'pipeline_id', m.pipeline_id,
                              'dwell_days', m.dwell_days, 'reason', m.reason) AS attributes
      FROM stage_move m JOIN deals d ON d.id = m.opportunity_id WHERE {IN_PERIOD.format("m")}
    UNION ALL
    SELECT v.opportunity_id, v.at, 100000, 'activity.' || v.kind, v.owner_id,
           jsonb_build_object('effective', v.effective, 'attitude_after', v.attitude_after)
      FROM activity v JOIN deals d ON d.id = v.opportunity_id
     WHERE NOT %(moves_only)s AND v.state = 'done' AND {IN_PERIOD.format("v")}
    UNION ALL
    SELECT p.opportunity_id, s.at, 100001, p.what || '.' || s.step, p.author_id,
           jsonb_build_object('number', p.number, 'state', p.state)
      FROM (SELECT 'quote' AS what, opportunity_id, number, state, author_id, submitted_at, decided_at FROM quote
            UNION ALL SELECT 'contract', opportunity_id, number, state, author_id, submitted_at, decided_at FROM contract
           ) p JOIN deals d ON d.id = p.opportunity_id
           CROSS JOIN LATERAL (VALUES ('submitted', p.submitted_at), ('decided', p.decided_at)) AS s (step, at)
     WHERE NOT %(moves_only)s AND {IN_PERIOD.format("s")}
)
SELECT case_id::text, at, rank, step, resource, attributes FROM happened
 WHERE (at, case_id, rank, step) > (%(after)s::timestamptz, %(after_case)s::uuid, %(after_rank)s::int, %(after_step)s)
 ORDER BY at, case_id, rank, step LIMIT %(limit)s
"""
LOGGED = f"""
SELECT {rows.listed(Event, "e")} FROM process_event e
 WHERE process_log = %(log)s AND {IN_PERIOD.format("e")}
   AND (at, case_id, position) > (%(after)s::timestamptz, %(after_case)s, %(after_position)s::int)
 ORDER BY at, case_id, position LIMIT %(limit)s
"""


async def happened(db: Reader, params: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Oldest first, of any number."""
    key: dict[str, Any] = {
        "after": "-infinity",
        "after_case": "00000000-0000-0000-0000-000000000000",
        "after_rank": 0,
        "after_step": "",
    }
    while True:
        piece = await db.all(HAPPENED, {**params, **key, "limit": PIECE})
        for row in piece:
            yield row
        if len(piece) < PIECE:
            return
        last = piece[-1]
        key = {
            "after": last["at"],
            "after_case": last["case_id"],
            "after_rank": last["rank"],
            "after_step": last["step"],
        }


async def logged(db: Reader, params: dict[str, Any]) -> AsyncIterator[Event]:
    """Events of a foreign log, oldest first."""
    key: dict[str, Any] = {"after": "-infinity", "after_case": "", "after_position": -1}
    while True:
        piece = await db.all(LOGGED, {**params, **key, "limit": PIECE}, into=Event)
        for event in piece:
            yield event
        if len(piece) < PIECE:
            return
        key = {"after": piece[-1].at, "after_case": piece[-1].case_id, "after_position": piece[-1].position}


async def ended(db: Reader | Transaction, params: dict[str, Any]) -> list[Ended]:
    return await db.all(ENDED, params, into=Ended)


async def standing(db: Reader | Transaction, params: dict[str, Any]) -> list[Standing]:
    return await db.all(STANDING, params, into=Standing)


async def shown(
    db: Reader | Transaction, parked: Sequence[Standing], params: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """What each parked deal shows, by its id."""
    asked = {"ids": [one.opportunity_id for one in parked], "sinces": [one.since for one in parked], "to": params["to"]}
    return {row["opportunity_id"]: row for row in await db.all(SHOWN, asked)}


async def in_log(db: Reader | Transaction, log: str) -> tuple[int, int]:
    """Cases and events."""
    found = await db.one(IN_LOG, {"log": log})
    return (found["cases"], found["events"]) if found else (0, 0)
