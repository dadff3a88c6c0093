"""Delivers what subscribers are owed. Runs in the courier.

The guarantee is at least once, in order per subject: a message waits in our database until the other side has answered
2xx; if we die in between, or the answer is lost, it goes again with the same `webhook-id`, by which the other side knows it.
A message that is tried again holds back later ones of its subject alone; one that is given up lets them pass.
One subscriber is one courier's at a time (a lease), and each is served by itself: one that hangs delays no other.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from psycopg.rows import class_row

from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.ids import new_id
from closedloop_chassis.telemetry import courier_metrics
from closedloop_integrations.polling import in_force
from closedloop_integrations.webhooks.posting import Outcome, post
from closedloop_integrations.webhooks.rules import Health, Verdict, WebhookRules, judge

# How long a turn waits for those it has begun; who takes longer goes on beside the next turns.
PATIENCE = 2.0

READY = """
SELECT s.id::text FROM webhook_subscription s
 WHERE s.state = 'active' AND (s.retry_at IS NULL OR s.retry_at <= %(now)s)
   AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
   AND EXISTS (SELECT FROM webhook_message m WHERE m.subscription_id = s.id AND m.state = 'waiting' AND m.due_at <= %(now)s)
 ORDER BY s.retry_at NULLS FIRST, s.id LIMIT %(limit)s
"""
# Also renewed by who holds it.
LEASE = """
UPDATE webhook_subscription SET lease = %(lease)s, leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE id = %(id)s AND state = 'active' AND (retry_at IS NULL OR retry_at <= %(now)s)
   AND (leased_until IS NULL OR leased_until < clock_timestamp() OR lease = %(lease)s)
RETURNING url, secret, CASE WHEN old_secret_until > %(now)s THEN old_secret ELSE '' END AS old_secret,
          consecutive_failures AS failures, failing_since
"""
RELEASE = "UPDATE webhook_subscription SET lease = NULL, leased_until = NULL WHERE id = %(id)s AND lease = %(lease)s"
# The first of each subject; one that waits for another try holds back those behind it.
NEXT = """
SELECT m.seq, m.event_id::text, m.type, m.subject, m.body, m.attempts FROM webhook_message m
 WHERE m.subscription_id = %(id)s AND m.state = 'waiting' AND m.due_at <= %(now)s
   AND NOT EXISTS (SELECT FROM webhook_message e
                    WHERE e.subscription_id = m.subscription_id AND e.subject = m.subject AND e.state = 'waiting'
                      AND e.seq < m.seq)
 ORDER BY m.seq LIMIT 1
"""
SETTLE = """
WITH message AS (
    UPDATE webhook_message SET state = %(state)s, attempts = %(attempt)s, due_at = coalesce(%(next_at)s, due_at)
     WHERE seq = %(seq)s AND state = 'waiting'
), attempt AS (
    INSERT INTO webhook_attempt (id, subscription_id, event_id, type, subject, attempt, at, status, latency_ms, answer, taken,
                                 next_at)
    VALUES (%(attempt_id)s, %(id)s, %(event_id)s, %(type)s, %(subject)s, %(attempt)s, %(at)s, %(status)s, %(latency_ms)s,
            %(answer)s, %(taken)s, %(next_at)s)
)
UPDATE webhook_subscription
   SET consecutive_failures = %(failures)s, failing_since = %(failing_since)s, retry_at = %(retry_at)s,
       last_success_at = CASE WHEN %(taken)s THEN %(at)s ELSE last_success_at END,
       state = CASE WHEN %(stopped)s AND state = 'active' THEN 'failing' ELSE state END
 WHERE id = %(id)s
"""
TIDY = """
WITH old AS (
    DELETE FROM webhook_message m USING webhook_subscription s
     WHERE s.id = m.subscription_id AND m.created_at < %(before)s AND (m.state <> 'waiting' OR s.state <> 'active')
)
DELETE FROM webhook_attempt WHERE at < %(before)s
"""


@dataclass(frozen=True, slots=True)
class Door:
    """Where to, signed with what, and how it fared."""

    url: str
    secret: str
    old_secret: str
    failures: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Owed:
    seq: int
    event_id: str
    type: str
    subject: str
    body: str
    attempts: int


_busy: set[str] = set()
_turn = threading.Lock()


def deliver(desk: Desk) -> None:
    """Begins with every subscriber that is owed something and that nobody serves; waits for them a moment."""
    now = desk.now()
    with desk.connection() as connection:
        rules = in_force(connection, WebhookRules, now)
        with _turn:
            free = rules.at_once - len(_busy)
        ready = connection.execute(READY, {"now": now, "limit": max(free, 0)}).fetchall() if free > 0 else []
    begun = []
    for (id,) in ready:
        with _turn:
            if id in _busy:
                continue
            _busy.add(id)
        # Daemons: a courier that leaves waits for nobody, and what was under way goes again.
        begun.append(threading.Thread(target=_serve, args=(desk, id, rules), name=f"webhook-{id}", daemon=True))
        begun[-1].start()
    until = time.monotonic() + PATIENCE
    for thread in begun:
        thread.join(max(until - time.monotonic(), 0))


def _serve(desk: Desk, id: str, rules: WebhookRules) -> None:
    lease = str(uuid4())
    try:
        for _ in range(rules.most_messages):
            if not _next(desk, id, lease, rules):
                break
        with desk.connection() as connection:
            connection.execute(RELEASE, {"id": id, "lease": lease})
    except Exception:
        # The lease runs out; what was not settled goes again.
        desk.log.exception("subscriber not served", subscription=id)
    finally:
        with _turn:
            _busy.discard(id)


def _next(desk: Desk, id: str, lease: str, rules: WebhookRules) -> bool:
    """One attempt at the first message that is due; False where there is none, or somebody else's turn."""
    now = desk.now()
    with desk.connection() as connection:
        asked = {"id": id, "lease": lease, "seconds": rules.lease_seconds, "now": now}
        with connection.cursor(row_factory=class_row(Door)) as cursor:
            door = cursor.execute(LEASE, asked).fetchone()
        if door is None:
            return False
        with connection.cursor(row_factory=class_row(Owed)) as cursor:
            owed = cursor.execute(NEXT, {"id": id, "now": now}).fetchone()
    if owed is None:
        return False
    outcome = post(door.url, owed.event_id, owed.body, (door.secret, door.old_secret), rules)
    attempt = owed.attempts + 1
    health = Health(door.failures, door.failing_since)
    verdict = judge(outcome.status, outcome.retry_after, attempt, health, rules, desk.now())
    _settle(desk, id, owed, attempt, outcome, verdict)
    return not verdict.stopped


def tidy(desk: Desk) -> None:
    """What was taken long ago cannot be had again; what waits for a stopped subscriber waits as long."""
    with desk.connection() as connection:
        days = in_force(connection, WebhookRules, desk.now()).keep_days
        connection.execute(TIDY, {"before": desk.now() - timedelta(days=days)})


def _settle(desk: Desk, id: str, owed: Owed, attempt: int, outcome: Outcome, verdict: Verdict) -> None:
    told = {
        "id": id,
        "seq": owed.seq,
        "event_id": owed.event_id,
        "type": owed.type,
        "subject": owed.subject,
        "attempt_id": new_id(),
        "attempt": attempt,
        "at": desk.now(),
        "status": outcome.status,
        "latency_ms": outcome.latency_ms,
        "answer": outcome.answer,
        "state": verdict.message,
        "taken": verdict.taken,
        "next_at": verdict.next_at,
        "failures": verdict.failures,
        "failing_since": verdict.failing_since,
        "retry_at": verdict.retry_at,
        "stopped": verdict.stopped,
    }
    with desk.connection() as connection:
        connection.execute(SETTLE, told)
    courier_metrics.SUBSCRIBERS.labels("stopped" if verdict.stopped else verdict.message).inc()
    if verdict.stopped:
        desk.log.warning("subscriber stopped", subscription=id, failures=verdict.failures, status=outcome.status)
