"""The inbox in SQL: many events in one statement, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

import psycopg
from google.protobuf.message import DecodeError

from closedloop.common.v1.event_pb2 import Event
from closedloop_chassis import bells
from closedloop_chassis.courier.database import Connection

PENDING, PARKED = 0, 2

# Names a message that carries no id we could use, by its content.
UNREADABLE = UUID("5d0b1f6e-6f0f-5c39-9b6e-6b3d4b1f0a57")

# One slot is applied by one reactor at a time, which keeps the order within a subject. Only what came before its
# predecessor has to wait for it.
WRITE = """
INSERT INTO inbox
       (id, source, type, subject, sequence, time, traceparent, data, after_id, slot, state, received_at, parked_at, error)
SELECT id, source, type, subject, sequence, time, traceparent, data,
       CASE WHEN after <> ALL(%(ids)s::uuid[]) AND NOT EXISTS (SELECT FROM inbox before WHERE before.id = after)
            THEN after END,
       abs(hashtext(subject)::bigint) %% 8, state, %(now)s, CASE WHEN state = 2 THEN %(now)s END, error
FROM unnest(%(ids)s::uuid[], %(sources)s::text[], %(types)s::text[], %(subjects)s::text[], %(sequences)s::bigint[],
            %(times)s::timestamptz[], %(traceparents)s::text[], %(data)s::bytea[], %(after)s::uuid[],
            %(states)s::smallint[], %(errors)s::text[])
     AS letter (id, source, type, subject, sequence, time, traceparent, data, after, state, error)
ORDER BY id
ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """One row to be. `error` says why a parked one could not be read; its data is then the raw message."""

    id: UUID
    source: str
    type: str
    subject: str
    sequence: int
    time: datetime
    traceparent: str
    data: bytes
    # The event that is applied before it.
    after: UUID | None = None
    state: int = PENDING
    error: str | None = None


def read(body: bytes, now: datetime, service: str) -> Letter:
    """The letter to `service` in a message; a parked one if there is none in it."""
    try:
        event = Event.FromString(body)
    except DecodeError as cause:
        return unreadable(body, now, f"not an Event: {cause}")
    try:
        letter = Letter(
            id=UUID(event.id),
            source=event.source,
            type=event.type,
            subject=event.subject,
            sequence=event.sequence,
            time=event.time.ToDatetime(tzinfo=UTC),
            traceparent=event.traceparent,
            data=event.data,
            after=UUID(earlier) if (earlier := event.after.get(service)) else None,
        )
    except (ValueError, OverflowError) as cause:
        return unreadable(body, now, f"an Event with a wrong attribute: {cause}")
    if not event.source or not event.type:
        return unreadable(body, now, "an Event without source or type", letter.id)
    if "\0" in event.source + event.type + event.subject + event.traceparent:
        return unreadable(body, now, "an Event with NUL in an attribute", letter.id)
    return letter


def unreadable(body: bytes, now: datetime, error: str, id: UUID | None = None) -> Letter:
    return Letter(
        id=id or uuid5(UNREADABLE, hashlib.sha256(body).hexdigest()),
        source="",
        type="",
        subject="",
        sequence=0,
        time=now,
        traceparent="",
        data=body,
        state=PARKED,
        error=error,
    )


def write(connection: Connection, letters: Sequence[Letter], now: datetime) -> int:
    """Inserts those that are not there yet and answers how many. Atomic."""
    values = {
        "now": now,
        "ids": [letter.id for letter in letters],
        "sources": [letter.source for letter in letters],
        "types": [letter.type for letter in letters],
        "subjects": [letter.subject for letter in letters],
        "sequences": [letter.sequence for letter in letters],
        "times": [letter.time for letter in letters],
        "traceparents": [letter.traceparent for letter in letters],
        "data": [letter.data for letter in letters],
        "after": [letter.after for letter in letters],
        "states": [letter.state for letter in letters],
        "errors": [letter.error for letter in letters],
    }
    written = connection.execute(WRITE, values).rowcount
    if written:
        # After the commit where the connection is in no transaction, otherwise with it.
        connection.execute(bells.RING, {"bell": bells.INBOX})
    return written


def write_singly(connection: Connection, bodies: Sequence[bytes], letters: Sequence[Letter], now: datetime) -> int:
    """After the database refused a batch for its content: each on its own, and the culprits parked as they came."""
    written = 0
    for body, letter in zip(bodies, letters, strict=True):
        try:
            written += write(connection, [letter], now)
        except (psycopg.DataError, psycopg.IntegrityError) as cause:
            written += write(connection, [unreadable(body, now, f"refused by the database: {cause}", letter.id)], now)
    return written
