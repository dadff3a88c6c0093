"""Whose turn it is: every poller asks here before it calls out, and tells here how it went.

A poll that fails time and again gets a circuit breaker: for a while nobody calls, then one call tries. Other polls do not
notice, neither of other sources nor of this one; the source shows the worst of its polls. Runs in the courier, with its
sync connections.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from psycopg.rows import dict_row

from closedloop_chassis.courier.database import Connection
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.rulebook.rules import Rules
from closedloop_chassis.telemetry.courier_metrics import OPEN_CIRCUITS
from closedloop_integrations import runs
from closedloop_integrations.outbound import OutsideError, SlowDownError
from closedloop_integrations.settings import outside
from closedloop_integrations.sources.rules import PollRules, SourceRules

Model = TypeVar("Model", bound=Rules)


# All that decides whether it is our turn, and the rulebook, in one look a second.
LOOK = """
SELECT s.configured, s.paused, s.secret_at, coalesce(p.failures, 0) AS failures, p.retry_at, p.cursor, p.next_at,
       (SELECT body FROM rulebook WHERE name = %(rulebook)s AND effective_at <= %(now)s ORDER BY version DESC LIMIT 1) AS rules
  FROM source s LEFT JOIN poll p ON p.source = s.name AND p.name = %(poll)s WHERE s.name = %(source)s
"""
MEET = """
WITH source AS (
    UPDATE source SET configured = %(configured)s, secret_at = CASE WHEN %(configured)s THEN %(read_at)s::timestamptz END
     WHERE name = %(source)s
)
INSERT INTO poll (source, name, next_at) SELECT %(source)s, %(poll)s, %(now)s WHERE %(configured)s ON CONFLICT DO NOTHING
"""
CLOSE_TURN = """
WITH turn AS (
    UPDATE poll SET cursor = %(cursor)s, last_at = %(now)s, next_at = %(next_at)s, read = read + %(read)s,
                    failures = %(failures)s, retry_at = %(retry_at)s
     WHERE source = %(source)s AND name = %(poll)s
), held AS (
    -- Who is told that it is too much is told so for all he asks there.
    UPDATE poll SET next_at = %(held_until)s::timestamptz
     WHERE source = %(source)s AND name <> %(poll)s AND next_at < %(held_until)s::timestamptz
), others AS (
    -- One that nobody has asked for since it was due is one the rulebook names no longer.
    SELECT coalesce(max(failures), 0) AS failures, max(retry_at) AS retry_at
      FROM poll WHERE source = %(source)s AND name <> %(poll)s AND next_at > %(forgotten)s
)
UPDATE source
   SET failures = greatest(%(failures)s, others.failures),
       opened_at = CASE WHEN coalesce(%(retry_at)s::timestamptz, others.retry_at) IS NOT NULL
                        THEN coalesce(opened_at, %(now)s) END,
       retry_at = greatest(%(retry_at)s::timestamptz, others.retry_at),
       last_success_at = CASE WHEN %(error)s = '' THEN %(now)s ELSE last_success_at END,
       last_failure_at = CASE WHEN %(error)s = '' THEN last_failure_at ELSE %(now)s END,
       last_error = CASE WHEN %(error)s = '' THEN last_error ELSE %(error)s END,
       newest_at = greatest(newest_at, %(newest)s),
       durations = (%(seconds)s::real || durations)[1:200]
  FROM others WHERE name = %(source)s
"""
IN_FORCE = """
SELECT body FROM rulebook WHERE name = %(name)s AND effective_at <= %(now)s ORDER BY version DESC LIMIT 1
"""


def in_force(connection: Connection, model: type[Model], now: datetime) -> Model:
    """The rulebook as it is in force, read by a courier."""
    row = connection.execute(IN_FORCE, {"name": model.rulebook, "now": now}).fetchone()
    return model.model_validate(row[0]) if row else model()


# When each poll had its last turn in this process.
_asked: dict[tuple[str, str], float] = {}


def fairly(source: str, polls: Sequence[str]) -> list[str]:
    """Who was asked longest ago comes first: where one is told to wait, all are held, and not always the same are left out."""
    return sorted(polls, key=lambda poll: _asked.get((source, poll), 0.0))


@dataclass
class Turn:
    """One turn of one poll. What a poller sets here is kept: `cursor` even when it fails half way."""

    source: str
    poll: str
    now: datetime
    rules: PollRules
    cursor: dict[str, Any]
    failures: int = 0
    # Items taken in by this turn, those it could not even hand on, and the age of the newest.
    read: int = 0
    refused: int = 0
    newest: datetime | None = None
    # Go on soon instead of waiting for the interval.
    unfinished: bool = False
    # Nothing was asked outside: nothing to tell.
    idle: bool = False


@contextmanager
def turn(desk: Desk, source: str, poll: str, *, configured: bool) -> Iterator[Turn | None]:
    """None where it is nobody's turn: not configured, paused, not yet due, or the circuit is open.

    An OutsideError raised inside is written down and ends here; anything else is written down and goes on. The courier's
    metrics are told either way; while the circuit is open every tick counts as failed, so that an alert sees what lasts.
    """
    now, read_at = desk.now(), outside().read_at
    asked = {"source": source, "poll": poll, "configured": configured, "now": now, "read_at": read_at}
    with desk.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(LOOK, {**asked, "rulebook": SourceRules.rulebook}).fetchone()
        if row is None:
            raise LookupError(f"no migration has named the source {source}")
        if row["configured"] != configured or (configured and (row["secret_at"] != read_at or row["next_at"] is None)):
            cursor.execute(MEET, asked)
    asks = configured and not row["paused"]
    held = row["retry_at"] is not None and row["retry_at"] > now
    OPEN_CIRCUITS.labels(source, poll).set(asks and row["retry_at"] is not None)
    if not asks or held or (row["next_at"] and row["next_at"] > now):
        desk.fared("error" if asks and held else "idle")
        yield None
        return
    rules = SourceRules.model_validate(row["rules"] or {})
    mine = Turn(source, poll, now, rules.poll(source), json.loads(row["cursor"] or "{}"), row["failures"])
    begun = _asked[(source, poll)] = time.monotonic()
    try:
        yield mine
    except SlowDownError as error:
        _close(desk, mine, rules, begun, wait=error.seconds, asked_to_wait=str(error), all_wait=not error.away)
    except OutsideError as error:
        desk.log.warning("source failed", source=source, poll=poll, error=str(error))
        _close(desk, mine, rules, begun, error=str(error))
    except Exception as error:
        _close(desk, mine, rules, begun, error=type(error).__name__)
        raise
    else:
        if mine.idle:
            desk.fared("idle")
        else:
            _close(desk, mine, rules, begun)


def _close(
    desk: Desk,
    mine: Turn,
    rules: SourceRules,
    begun: float,
    *,
    wait: float = 0,
    error: str = "",
    asked_to_wait: str = "",
    all_wait: bool = False,
) -> None:
    # A minute spent in the call itself is not to be waited again.
    every = 0.0 if mine.unfinished and not error else mine.rules.every_seconds
    wait = min(wait, mine.rules.longest_wait_seconds)
    failures = mine.failures + 1 if error else 0
    retry_at = None
    if failures >= rules.breaker.failures:
        doublings = min(failures - rules.breaker.failures, 20)
        pause = min(rules.breaker.open_seconds * 2**doublings, rules.breaker.longest_seconds)
        retry_at = mine.now + timedelta(seconds=pause)
    told: dict[str, Any] = {
        "source": mine.source,
        "poll": mine.poll,
        "cursor": json.dumps(mine.cursor, ensure_ascii=False),
        "now": mine.now,
        "next_at": retry_at or mine.now + timedelta(seconds=max(every, wait)),
        "read": mine.read,
        "failures": failures,
        "retry_at": retry_at,
        "held_until": mine.now + timedelta(seconds=wait) if all_wait else None,
        "forgotten": mine.now - timedelta(seconds=rules.breaker.longest_seconds + mine.rules.every_seconds),
        "error": error[:300],
        "newest": mine.newest,
        "seconds": time.monotonic() - begun,
    }
    run = runs.Run(
        source=mine.source,
        poll=mine.poll,
        started_at=mine.now,
        ended_at=mine.now + timedelta(seconds=told["seconds"]),
        read=mine.read + mine.refused,
        created=mine.read,
        rejected=mine.refused,
        quarantined=mine.refused,
        error=told["error"] or asked_to_wait,
        brought_by=f"poll:{mine.source}",
    )
    desk.fared("error" if error else "ok")
    OPEN_CIRCUITS.labels(mine.source, mine.poll).set(retry_at is not None)
    with desk.connection() as connection:
        connection.execute(CLOSE_TURN, told)
        runs.keep_turn(connection, run)


def forget_runs(desk: Desk) -> None:
    """What is older than the rulebook keeps goes; once an hour is often enough."""
    with desk.connection() as connection:
        kept = in_force(connection, SourceRules, desk.now()).runs
        runs.forget(connection, desk.now(), kept.days, kept.idle_days)
