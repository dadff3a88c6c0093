"""Records as rows: one statement writes one record or ten thousand, typed by the table itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from functools import cache, partial
from typing import Any

from psycopg.types.json import Jsonb

_dumps = partial(json.dumps, default=str, ensure_ascii=False)


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


def rows(record: Any, records: Iterable[Any]) -> dict[str, Any]:
    """The parameter of both; only the columns of `record` are taken."""
    names = columns(record)
    return {"rows": Jsonb([{name: getattr(each, name) for name in names} for each in records], dumps=_dumps)}


def changes(record: Any, *leave_out: str) -> dict[str, Any]:
    """The record as the audit trail compares it."""
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in leave_out}
