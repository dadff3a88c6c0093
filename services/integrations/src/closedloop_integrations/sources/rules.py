"""How an outside system fares, as a light."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from closedloop_integrations.polling import SourceRules

Circuit = Literal["closed", "open", "half_open"]
Light = Literal["none", "blue", "yellow", "red"]
ORDER: tuple[Light, ...] = ("none", "blue", "yellow", "red")


@dataclass(frozen=True, slots=True)
class Health:
    configured: bool
    paused: bool
    failures: int
    opened_at: datetime | None
    retry_at: datetime | None
    last_success_at: datetime | None
    newest_at: datetime | None


def circuit(health: Health, now: datetime) -> Circuit:
    """Half open: the pause is over and the next call tries."""
    if health.retry_at is None:
        return "closed"
    return "open" if health.retry_at > now else "half_open"


def light(health: Health, source: str, rules: SourceRules, now: datetime) -> Light:
    """Red: nobody calls it. Yellow: nothing new for longer than the rulebook bears, or paused. Blue: the last call failed."""
    if not health.configured:
        return "none"
    if health.retry_at is not None:
        return "red"
    lag = rules.lag_hours.get(source)
    if health.paused or (lag is not None and health.newest_at and now - health.newest_at > timedelta(hours=lag)):
        return "yellow"
    return "blue" if health.failures else "none"
