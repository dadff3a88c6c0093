"""Records written and changed by the thousand, typed by their table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.process import Process

TABLE = """
CREATE TABLE thing (id uuid PRIMARY KEY, name text, at timestamptz, day date, lasts interval, worth numeric, raw bytea,
                    tags text[], facts jsonb, open boolean, version bigint)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    id: str
    name: str | None
    at: datetime
    day: date
    lasts: timedelta
    worth: Decimal
    raw: bytes
    tags: list[str]
    facts: dict[str, object]
    open: bool
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Thing):
    """With something that is no column."""

    owner: object = None


def thing(**changes: object) -> Thing:
    made = Thing(
        id=new_id(),
        name='北京 "一中"',
        at=datetime(2026, 1, 5, 9, 30, 1, 123456, tzinfo=UTC),
        day=date(2026, 2, 28),
        lasts=timedelta(days=-1, seconds=3.5),
        worth=Decimal("12345678901234567890.123456"),
        raw=b"\x00\\x\xff",
        tags=["a,b", ""],
        facts={"since": date(2026, 1, 1), "n": 1.5},
        open=True,
        version=2**53 + 1,
    )
    return replace(made, **changes)


@pytest.fixture(autouse=True)
async def table(process: Process) -> None:
    tx = process.database.transaction()
    tx.do(TABLE)
    await tx.commit()


async def written(process: Process) -> list[Thing]:
    return await process.database.reader.all(
        f"SELECT {rows.listed(Thing, 't')} FROM thing t ORDER BY version", into=Thing
    )


async def test_every_type_comes_back_as_it_was_written(process: Process) -> None:
    things = [thing(), thing(name=None, facts={}, tags=[], version=2**60)]
    tx = process.database.transaction()
    tx.do(rows.insert("thing", Thing), {"rows": rows.pack(things)})
    await tx.commit()
    assert await written(process) == [replace(things[0], facts={"since": "2026-01-01", "n": 1.5}), things[1]]


async def test_one_comes_back_as_it_would_among_many(process: Process) -> None:
    odd = ['a"b', "c\\d", "{e}", "NULL", "", "一"]
    things = [
        thing(tags=odd, version=1),
        thing(name=None, facts={}, tags=[], lasts=timedelta(days=40, microseconds=1), open=False, version=2),
        thing(worth=Decimal("-0.5"), raw=b"", facts={"a": [1, None, "x"]}, version=2**60),
    ]
    tx = process.database.transaction()
    for one in things[:2]:
        tx.do(*rows.added("thing", [one], Thing))
    # What more it knows is no column of the table.
    tx.do(*rows.added("thing", [Seen(**rows.row(things[2]), owner=object())], Thing))
    await tx.commit()
    assert await written(process) == [replace(things[0], facts={"since": "2026-01-01", "n": 1.5}), *things[1:]]
    changed = replace(things[1], name="new", tags=odd, open=True)
    tx = process.database.transaction()
    tx.do(*rows.saved("thing", [changed], Thing))
    tx.do(*rows.saved("thing", [replace(things[2], name="2"), replace(things[0], name="0")], Thing))
    tx.do(*rows.added("thing", [thing(version=3), thing(version=4)], Thing))
    await tx.commit()
    found = await written(process)
    assert [(one.version, one.name) for one in found] == [
        (1, "0"), (2, "new"), (3, thing().name), (4, thing().name), (2**60, "2"),
    ]  # fmt: skip
    assert found[1] == changed


async def test_an_update_touches_its_own_rows_and_no_key(process: Process) -> None:
    first, second = thing(version=1), thing(version=2)
    tx = process.database.transaction()
    tx.do(rows.insert("thing", Thing), {"rows": rows.pack([first, second])})
    tx.do(rows.update("thing", Thing), {"rows": rows.pack([replace(first, name="new", open=False)])})
    await tx.commit()
    assert [(one.name, one.open) for one in await written(process)] == [("new", False), (second.name, True)]


async def test_what_is_no_column_is_left_out(process: Process) -> None:
    seen = Seen(**rows.row(thing()), owner=object())
    assert "owner" not in rows.row(seen, "owner")
    tx = process.database.transaction()
    tx.do(rows.insert("thing", Thing), {"rows": rows.pack([seen], only=rows.columns(Thing))})
    tx.do(rows.insert("thing", Thing), {"rows": rows.pack([rows.row(thing(version=2**60), "name")])})
    await tx.commit()
    assert [one.name for one in await written(process)] == [seen.name, None]
