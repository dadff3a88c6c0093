"""Records as rows: one statement writes one record or ten thousand, typed by the table itself.

A record is a dataclass whose fields are columns. Records travel as one JSON array that PostgreSQL unpacks:
`INSERT INTO t (…) SELECT … FROM jsonb_populate_recordset(NULL::t, %(rows)s)`, with `{"rows": pack(records)}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data import documents


@cache
def columns(record: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


@cache
def listed(record: Any, alias: str) -> str:
    """The record's columns as a SELECT names them."""
    return ", ".join(f"{alias}.{name}" for name in columns(record))


@cache
def insert(table: str, record: Any) -> str:
    names = ", ".join(columns(record))
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s)"


@cache
def update(table: str, record: Any, key: str = "id") -> str:
    sets = ", ".join(f"{name} = r.{name}" for name in columns(record) if name != key)
    given = f"jsonb_populate_recordset(NULL::{table}, %(rows)s)"
    return f"UPDATE {table} t SET {sets} FROM {given} r WHERE t.{key} = r.{key}"


def row(record: Any, *leave_out: str, only: Sequence[str] = ()) -> dict[str, Any]:
    """The record by columns; nested values as they are."""
    kind: Any = type(record)
    return {name: getattr(record, name) for name in only or columns(kind) if name not in leave_out}


def pack(records: Iterable[Any], *leave_out: str, only: Sequence[str] = ()) -> Jsonb:
    """Records, or dicts of columns. None becomes NULL, and an absent column NULL as well."""
    if not leave_out and not only:
        return Jsonb(list(records), dumps=documents.dumps)
    rows = [each if isinstance(each, dict) else row(each, *leave_out, only=only) for each in records]
    return Jsonb(rows, dumps=documents.dumps)
