"""Records as rows: one statement writes one record or ten thousand, typed by the table itself.

A record is a dataclass whose fields are columns. Many travel as one JSON array that PostgreSQL unpacks:
`INSERT INTO t (…) SELECT … FROM jsonb_populate_recordset(NULL::t, %(rows)s)`, with `{"rows": pack(records)}`.
One, as most calls write, travels as a value for each column (`added`, `saved`): unpacking a document of forty columns costs
PostgreSQL more than the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from psycopg.types.json import Jsonb

from closedloop_chassis.data import documents
from closedloop_chassis.data.wire import Statement

MICROSECOND = timedelta(microseconds=1)


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


def added(table: str, records: Sequence[Any], kind: Any) -> Statement:
    """The statement that inserts them, by the columns of `kind`; there must be one at least."""
    if len(records) == 1:
        return insert_one(table, columns(kind)), values(records[0], kind)
    return insert(table, kind), {"rows": pack(records, only=columns(kind))}


def saved(table: str, records: Sequence[Any], kind: Any, key: str = "id") -> Statement:
    """The statement that updates them all over, by the columns of `kind`."""
    if len(records) == 1:
        return _update_one(table, columns(kind), key), values(records[0], kind)
    return update(table, kind, key), {"rows": pack(records, only=columns(kind))}


@cache
def insert_one(table: str, names: Sequence[str]) -> str:
    """For one row with a parameter of each name, as `values` gives them."""
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f'%({name})s' for name in names)})"


@cache
def _update_one(table: str, names: Sequence[str], key: str) -> str:
    sets = ", ".join(f"{name} = %({name})s" for name in names if name != key)
    return f"UPDATE {table} SET {sets} WHERE {key} = %({key})s"


def values(record: Any, kind: Any) -> dict[str, str | None]:
    """Each column's value in the words of PostgreSQL, which reads them by the column's type: so one prepared statement fits
    whatever is NULL and however large a number is. `list[str]` is an array, other lists and mappings are documents."""
    arrays = _arrays(kind)
    said: dict[str, str | None] = {}
    for name in columns(kind):
        value = getattr(record, name)
        say = _WORDS.get(type(value))
        if say is not None:
            said[name] = say(value)
        elif name in arrays:
            said[name] = array(value)
        else:
            said[name] = str(value) if isinstance(value, str) else documents.dumps(value).decode()
    return said


@cache
def _arrays(kind: Any) -> frozenset[str]:
    hints = get_type_hints(kind)
    return frozenset(name for name, hint in hints.items() if list[str] in (hint, *get_args(hint)))


def array(items: Iterable[str]) -> str:
    """Texts as PostgreSQL reads an array: a tenth of what psycopg takes to write one down."""
    quoted = (item.replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"


_WORDS: Mapping[type, Callable[[Any], str | None]] = {
    str: lambda value: value,
    NoneType: lambda value: None,
    bool: lambda value: "t" if value else "f",
    int: str,
    float: repr,
    Decimal: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    timedelta: lambda value: f"{value // MICROSECOND} microseconds",
    bytes: lambda value: rf"\x{value.hex()}",
}
