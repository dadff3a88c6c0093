"""Timers: something is to be done at a moment. Nobody is late when it rings, so it is no clock and counts nowhere among
what was met and breached; it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
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
# In the order of their subjects, so that two who set the same ones wait for each other instead of for ever.
BRING_FORWARD = """
INSERT INTO timer AS t (kind, subject, at, next_at)
SELECT %(kind)s, subject, at, at FROM jsonb_to_recordset(%(timers)s) AS wanted (subject text, at timestamptz)
 ORDER BY subject
ON CONFLICT (kind, subject) DO UPDATE
   SET at = least(t.at, excluded.at), next_at = least(t.next_at, excluded.next_at)
 WHERE t.next_at > excluded.next_at
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

    def bring_forward(self, kind: str, moments: Mapping[str, datetime]) -> None:
        """Queues one statement for all: each subject's timer rings at its moment, or earlier where it was set so."""
        if moments:
            timers = [{"subject": subject, "at": at.isoformat()} for subject, at in moments.items()]
            self._work.tx.do(BRING_FORWARD, {"kind": kind, "timers": Jsonb(timers)})

    def cancel(self, kind: str, *subjects: str) -> None:
        """Without effect where none is set."""
        self._work.tx.do(CANCEL, {"kind": kind, "subjects": list(subjects)})
