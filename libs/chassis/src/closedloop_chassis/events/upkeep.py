"""What a service does for itself now and then: forgets what nobody needs, and measures how far it is behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import psycopg
import structlog
from psycopg_pool import PoolTimeout
from pydantic import Field

from closedloop_chassis.clocks import figures
from closedloop_chassis.figures import daily
from closedloop_chassis.rulebook.rules import Rules
from closedloop_chassis.telemetry import metrics

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

log = structlog.get_logger(__name__)

MEASURE_EVERY = 5.0
FORGET_EVERY = 600.0

BACKLOG = """
SELECT (SELECT count(*) FROM outbox) AS outbox,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 FROM outbox) AS outbox_age,
       (SELECT count(*) FROM inbox WHERE state = 0) AS inbox,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8
          FROM inbox WHERE state = 0) AS inbox_age,
       (SELECT count(*) FROM inbox WHERE state = 2) AS parked,
       (SELECT count(*) FROM clock WHERE state = 'open' AND next_at <= %(now)s)
       + (SELECT count(*) FROM timer WHERE next_at <= %(now)s) AS overdue_clocks
"""

FORGET = (
    "DELETE FROM idempotency WHERE created_at < clock_timestamp() - make_interval(hours => %(answers)s)",
    """DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE state = 1
        AND applied_at < clock_timestamp() - make_interval(days => %(events)s) LIMIT 50000)""",
)


class RetentionRules(Rules):
    """How long a repeated request_id is still recognised, and how long applied events stay to be looked at."""

    rulebook: ClassVar[str] = "platform.retention"

    answer_hours: int = Field(default=72, ge=1, le=24 * 60)
    applied_event_days: int = Field(default=7, ge=1, le=365)


async def run(process: Process) -> None:
    loop = asyncio.get_running_loop()
    forget_at = loop.time() + FORGET_EVERY
    woken = False
    while True:
        begun = loop.time()
        spent = 0.0
        try:
            if not woken:
                # A service upgraded from a release without figures has no event to begin with.
                await daily.begin(process)
                woken = True
            await measure(process)
            spent = loop.time() - begun
            if loop.time() >= forget_at:
                await forget(process)
                forget_at = loop.time() + FORGET_EVERY
        except (psycopg.Error, PoolTimeout) as error:
            log.debug("upkeep skipped", error=str(error))
        await asyncio.sleep(max(MEASURE_EVERY, spent / figures.SHARE))


async def measure(process: Process) -> None:
    now = {"now": process.time.now()}
    backlog = await process.database.reader.one(BACKLOG, now) or {}
    metrics.OUTBOX_BACKLOG.set(backlog["outbox"])
    metrics.OUTBOX_LAG.set(backlog["outbox_age"])
    metrics.INBOX_BACKLOG.set(backlog["inbox"])
    metrics.INBOX_LAG.set(backlog["inbox_age"])
    metrics.INBOX_PARKED.set(backlog["parked"])
    figures.running(await process.database.reader.all(figures.RUNNING, now))
    figures.known(process.calendars(now["now"]).ahead(now["now"]))


async def forget(process: Process) -> None:
    rules = process.rulebooks.in_force(RetentionRules, process.time.now())
    tx = process.database.transaction()
    for statement in FORGET:
        tx.do(statement, {"answers": rules.answer_hours, "events": rules.applied_event_days})
    await tx.commit()
