"""How live the funnel is, and how long a broken stream may be resumed."""

from __future__ import annotations

from datetime import time
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules


class WatchRules(Rules):
    """A process that has streams looks when Redis calls, and every `look_seconds` besides; every `away_seconds` while
    Redis is away. A quiet stream sends a heartbeat every `heartbeat_seconds`. Changes are kept for `kept` and forgotten
    daily at `hour`. `most_streams` are for one process."""

    rulebook: ClassVar[str] = "funnel.watch"

    look_seconds: float = Field(default=5, gt=0, le=300)
    away_seconds: float = Field(default=1, gt=0, le=60)
    heartbeat_seconds: float = Field(default=15, ge=0.1, le=600)
    kept: ClockSetting = ClockSetting(days=2, calendar="plain")
    hour: time = time(3)
    most_streams: int = Field(default=200, ge=1, le=100_000)
