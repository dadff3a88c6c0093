"""Snapshots and what they hold, as Python and SQL see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One row of `snapshot`; amounts in minor units of the company's currency."""

    sequence: int
    id: str
    taken_at: datetime
    author_id: str
    note: str = ""
    open_count: int
    open_minor: int
    weighted_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One stage and category of a snapshot."""

    pipeline_id: str
    stage_key: str
    category: str
    deals: int
    amount_minor: int
    weighted_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """One deal as it stood."""

    opportunity_id: str
    name: str
    owner_id: str
    unit_id: str
    pipeline_id: str
    stage_key: str
    category: str
    reporting_minor: int | None
    expected_close_date: date | None
    push_count: int
    stage_entered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One deal that moved in one way; before and after as `Deal` has them, None where it was not among the open."""

    id: str
    movement: str
    change_minor: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sums of both moments and of every movement: [{"movement", "deals", "amount_minor"}]."""

    from_minor: int
    to_minor: int
    totals: list[dict[str, Any]]
