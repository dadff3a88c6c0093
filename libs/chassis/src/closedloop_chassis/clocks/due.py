"""What a handler learns about a clock or a timer whose time has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Due:
    """`phase` is "warn" before the end of the budget, "due" at its end; `level` counts earlier escalations, each of
    which started anew at its `start_time`."""

    id: str
    kind: str
    subject: str
    owner_id: str
    unit_id: str
    phase: Literal["warn", "due"]
    level: int
    start_time: datetime
    due_time: datetime
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rung:
    """A timer whose moment, `time`, has come."""

    kind: str
    subject: str
    time: datetime
    attributes: dict[str, Any]
