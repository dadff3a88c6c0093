"""Some rows of parameters in a statement that PostgreSQL keeps a plan for.

It plans anew at every call what is given as an array, because its length says what a plan would cost. Rows of VALUES are
counted when they are planned: sizes double, and places that are left are NULL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from closedloop_chassis.data.wire import Statement


def among(sql: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], **params: Any) -> Statement:
    """`sql` with the rows in the place of {asked}, as the table `a` of these columns (name to type)."""
    size = 1 << (len(rows) - 1).bit_length()
    told = {f"{name}_{n}": value for n, row in enumerate(rows) for name, value in zip(columns, row, strict=True)}
    for n in range(len(rows), size):
        told |= {f"{name}_{n}": None for name in columns}
    return _sql(sql, tuple(columns.items()), size), told | params


@cache
def _sql(sql: str, columns: Sequence[tuple[str, str]], size: int) -> str:
    first, *others = (", ".join(f"%({name}_{n})s::{kind}" for name, kind in columns) for n in range(size))
    names = ", ".join(name for name, _ in columns)
    values = ", ".join(f"({row})" for row in (first, *others))
    return sql.replace("{asked}", f"(VALUES {values}) AS a ({names})")
