"""The rows of the mission, in order, with short titles."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    section: str
    title: str


@cache
def rows() -> tuple[Row, ...]:
    """S1..S102, U1..U20, U-A."""
    sections = tomllib.loads(files("closedloop_devstack.mission").joinpath("rows.toml").read_text(encoding="utf-8"))
    return tuple(Row(id, section, title) for section, titles in sections.items() for id, title in titles.items())


@cache
def ids() -> frozenset[str]:
    return frozenset(row.id for row in rows())
