"""What came in and could not be read is set aside, once, with the reason; SourceService works it off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work

MAX_RAW = 64 * 1024

SET_ASIDE = """
INSERT INTO quarantine (id, source, kind, key, reason, message, raw, digest, created_at, run_id, position)
VALUES (%(id)s, %(source)s, %(kind)s, %(key)s, %(reason)s, %(message)s, %(raw)s, sha256(convert_to(%(raw)s, 'UTF8')), %(now)s,
        %(run_id)s, %(position)s)
ON CONFLICT (source, kind, key, digest) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Item:
    """Something set aside, as it came or as a person has mended it."""

    source: str
    key: str
    raw: str


# Reads an item again and takes it in; answers why it is still unreadable, or "".
Reader = Callable[[Work, Item], Awaitable[str]]
READERS: dict[str, Reader] = {}


def reader(kind: str) -> Callable[[Reader], Reader]:
    """The decorated function works off items of the kind."""

    def register(function: Reader) -> Reader:
        READERS[kind] = function
        return function

    return register


def set_aside(
    tx: Transaction,
    now: datetime,
    *,
    source: str,
    kind: str,
    key: str,
    reason: str,
    message: str = "",
    raw: str = "",
    run_id: str | None = None,
    position: int = 0,
) -> None:
    """Queued; the same item of the same content is set aside once. `kind`: notice_row, notice_page, notice_line, mail,
    erp_document; `position` is its place in the run's file or batch."""
    tx.do(
        SET_ASIDE,
        {
            "id": new_id(),
            "source": source,
            "kind": kind,
            "key": key[:500],
            "reason": reason,
            "message": message[:1000],
            # NUL is the one character a text of PostgreSQL cannot hold.
            "raw": raw[:MAX_RAW].replace("\0", "\ufffd"),
            "now": now,
            "run_id": run_id,
            "position": position,
        },
    )
