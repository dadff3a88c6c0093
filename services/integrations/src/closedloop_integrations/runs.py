"""What was read in one go is kept as a run, with what became of it; SourceService.ListRuns shows it.

A run of a poll counts what the courier handed on (`created`) and refused; what the reactor thinks of each item afterwards
is seen in the records. A run of a file or an import counts records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop_chassis.courier.database import Connection
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work

KEEP = """
INSERT INTO run (id, source, poll, started_at, ended_at, read, created, updated, rejected, quarantined, error, brought_by,
                 file_name, sha256)
VALUES (%(id)s, %(source)s, %(poll)s, %(started_at)s, %(ended_at)s, %(read)s, %(created)s, %(updated)s, %(rejected)s,
        %(quarantined)s, %(error)s, %(brought_by)s, %(file_name)s, %(sha256)s)
"""
# Polls that found nothing and failed at nothing say little, and there are thousands a day.
FORGET = """
DELETE FROM run WHERE started_at < %(before)s
    OR started_at < %(idle_before)s AND poll <> '' AND read = 0 AND rejected = 0 AND error = ''
"""


@dataclass(frozen=True, slots=True)
class Run:
    """The fields are the columns."""

    source: str
    started_at: datetime
    ended_at: datetime
    poll: str = ""
    read: int = 0
    created: int = 0
    updated: int = 0
    rejected: int = 0
    quarantined: int = 0
    error: str = ""
    brought_by: str = ""
    file_name: str = ""
    sha256: str = ""
    id: str = ""


def keep(tx: Transaction, run: Run) -> None:
    """Queued. Who sets items aside names the run's id beforehand."""
    tx.do(KEEP, _row(run))


def keep_summary(
    work: Work,
    source: str,
    summary: BulkSummary,
    *,
    quarantined: int = 0,
    id: str = "",
    file_name: str = "",
    sha256: str = "",
) -> None:
    """An import or a posted batch, ended now."""
    counts = {name: getattr(summary, name) for name in ("read", "created", "updated", "rejected")}
    run = Run(
        source=source,
        started_at=work.now,
        ended_at=max(work.process.time.now(), work.now),
        brought_by=work.actor,
        quarantined=quarantined,
        id=id,
        file_name=file_name,
        sha256=sha256,
        **counts,
    )
    keep(work.tx, run)


def source_of(rows: Sequence[tuple[int, Any]]) -> str:
    """What the first row that keeps the contract's rules says; a call brings one source's rows."""
    return str(rows[0][1].provenance.source) if rows else ""


def keep_turn(connection: Connection, run: Run) -> None:
    """Written by the courier beside the turn's cursor."""
    connection.execute(KEEP, _row(run))


def forget(connection: Connection, now: datetime, days: float, idle_days: float) -> None:
    before, idle_before = (now - timedelta(days=span) for span in (days, idle_days))
    connection.execute(FORGET, {"before": before, "idle_before": idle_before})


def _row(run: Run) -> dict[str, Any]:
    return {**asdict(run), "id": run.id or new_id()}
