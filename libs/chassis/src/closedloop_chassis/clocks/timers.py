"""Timers: something is to be done at a moment. Nobody is late when it rings, so it is no clock and counts nowhere among
what was met and breached; it leaves nothing behind."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

SET = """
INSERT INTO timer (kind, subject, at, next_at, attributes)
VALUES (%(kind)s, %(subject)s, %(at)s, %(at)s, %(attributes)s)
ON CONFLICT (kind, subject) DO NOTHING
"""
CANCEL = "DELETE FROM timer WHERE kind = %(kind)s AND subject = ANY(%(subjects)s)"


class Timers:
    """Set and cancelled in the transaction of one unit of work; one per (kind, subject)."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def set(self, kind: str, subject: str, at: datetime, attributes: dict[str, Any] | None = None) -> None:
        """Queues it; a timer of this kind already set for the subject stays as it is."""
        params = {"kind": kind, "subject": subject, "at": at, "attributes": Jsonb(attributes or {})}
        self._work.tx.do(SET, params)

    def cancel(self, kind: str, *subjects: str) -> None:
        """Without effect where none is set."""
        self._work.tx.do(CANCEL, {"kind": kind, "subjects": list(subjects)})
