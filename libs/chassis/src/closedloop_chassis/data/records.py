"""What a unit of work leaves behind besides its state: events, audit entries, and the answer its caller got.

All of it is one statement, whatever there is: psycopg costs more per statement than PostgreSQL does per row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from psycopg.types.json import Jsonb

from closedloop_chassis import contract
from closedloop_chassis.data import documents
from closedloop_chassis.ids import new_ids
from closedloop_chassis.telemetry.tracing import current_traceparent

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

# Up to so many rows stand in VALUES, each shape a prepared statement of its own; more go in as one document.
MOST_IN_VALUES = 4

TOLD = ("id", "type", "subject", "time", "traceparent", "data", "waiting")
AUDITED = (
    "id",
    "time",
    "actor_id",
    "on_behalf_of",
    "cause",
    "business_action",
    "subject",
    "action",
    "changes",
    "trace_id",
)

TELL_MANY = """
INSERT INTO outbox (id, type, subject, time, traceparent, data, waiting)
SELECT id, type, subject, time, traceparent, data, string_to_array(waiting, ',')
  FROM jsonb_to_recordset(%(told)s) AS told (id uuid, type text, subject text, time timestamptz, traceparent text,
                                             data bytea, waiting text)
"""
AUDIT_MANY = """
INSERT INTO audit_entry (id, time, actor_id, on_behalf_of, cause, business_action, subject, action, changes, trace_id)
SELECT * FROM jsonb_to_recordset(%(audited)s)
    AS audited (id uuid, time timestamptz, actor_id text, on_behalf_of text, cause text, business_action text,
                subject text, action text, changes jsonb, trace_id text)
"""
# Stands for the method where the answer spoke of a person who has been erased.
FORGOTTEN = "forgotten"
REMEMBER_MANY = """
INSERT INTO idempotency (caller, request_id, method, request_hash, response)
SELECT * FROM jsonb_to_recordset(%(answered)s)
    AS answered (caller text, request_id text, method text, request_hash bytea, response bytea)
"""
REMEMBER = """
INSERT INTO idempotency (caller, request_id, method, request_hash, response)
VALUES (%(caller)s, %(request_id)s, %(method)s, %(request_hash)s, %(response)s)
"""

_shapes: dict[tuple[int, int, int], str] = {}


class Records:
    def __init__(self) -> None:
        self._told: list[tuple[Any, ...]] = []
        self._audited: list[tuple[Any, ...]] = []
        self._answers: list[dict[str, Any]] = []

    def tell(self, message: Message, subject: str, time: datetime) -> None:
        route = contract.route(type(message))
        if route.consumers:
            data, waiting = message.SerializeToString(), ",".join(route.consumers)
            self._told.append((route.type, subject, time, current_traceparent(), data, waiting))

    def audit(
        self,
        work: Work,
        subject: str,
        action: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        business_action: str,
    ) -> None:
        if before:
            changes = {
                name: (before.get(name), after.get(name))
                for name in {**before, **after}
                if before.get(name) != after.get(name)
            }
        else:
            changes = {name: (None, value) for name, value in after.items() if value is not None}
        who = (work.actor, work.on_behalf_of, work.cause, business_action)
        trace_id = current_traceparent()[3:35]
        self._audited.append((work.now, *who, subject, action, documents.written(changes), trace_id))

    def remember(self, caller: str, request_id: str, method: str, request_hash: bytes, response: bytes) -> None:
        answer = {"caller": caller, "request_id": request_id, "method": method}
        self._answers.append(answer | {"request_hash": request_hash, "response": response})

    def take_over(self, others: Records) -> None:
        self._told += others._told
        self._audited += others._audited
        self._answers += others._answers

    def clear(self) -> None:
        self._told.clear()
        self._audited.clear()
        self._answers.clear()

    def statement(self) -> tuple[str, dict[str, Any]] | None:
        """All of it as one statement with its parameters; None when there is nothing."""
        if not self._told and not self._audited and not self._answers:
            return None
        one = len(self._answers) == 1
        shape = (_in_values(self._told), _in_values(self._audited), 1 if one else -bool(self._answers))
        if shape not in _shapes:
            _shapes[shape] = _sql(*shape)
        params = {**self._answers[0]} if one else {"answered": Jsonb(self._answers)}
        params |= _params("told", TOLD, _named(self._told), in_values=shape[0] >= 0)
        params |= _params("audited", AUDITED, _named(self._audited), in_values=shape[1] >= 0)
        return _shapes[shape], params


def _named(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Each with an id of its own before it."""
    return [(id_, *row) for id_, row in zip(new_ids(len(rows)), rows, strict=True)]


def _in_values(rows: list[tuple[Any, ...]]) -> int:
    """How many rows stand in VALUES; -1 for as many as there are, in one document."""
    return len(rows) if len(rows) <= MOST_IN_VALUES else -1


def _params(prefix: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], *, in_values: bool) -> dict[str, Any]:
    if in_values:
        return {
            f"{prefix}_{name}_{n}": value
            for n, row in enumerate(rows)
            for name, value in zip(columns, row, strict=True)
        }
    return {prefix: Jsonb([dict(zip(columns, row, strict=True)) for row in rows])}


def _sql(told: int, audited: int, answered: int) -> str:
    parts = []
    if told:
        parts.append(TELL_MANY if told < 0 else _insert("outbox", "told", TOLD, told))
    if audited:
        parts.append(AUDIT_MANY if audited < 0 else _insert("audit_entry", "audited", AUDITED, audited))
    if answered:
        parts.append(REMEMBER_MANY if answered < 0 else REMEMBER)
    *first, last = parts
    named = ", ".join(f"part_{n} AS ({part})" for n, part in enumerate(first))
    return f"WITH {named} {last}" if named else last


def _insert(table: str, prefix: str, columns: tuple[str, ...], count: int) -> str:
    def value(name: str, n: int) -> str:
        place = f"%({prefix}_{name}_{n})s"
        return f"string_to_array({place}, ',')" if name == "waiting" else place

    rows = ", ".join("(" + ", ".join(value(name, n) for name in columns) + ")" for n in range(count))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {rows}"
