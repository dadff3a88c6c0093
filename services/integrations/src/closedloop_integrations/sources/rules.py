"""How often outside systems are asked, and how they fare, as a light."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

Circuit = Literal["closed", "open", "half_open"]
Light = Literal["none", "blue", "yellow", "red"]
ORDER: tuple[Light, ...] = ("none", "blue", "yellow", "red")


class PollRules(Part):
    """How often a source is asked, and how much of it we bear."""

    every_seconds: float = Field(default=30, gt=0, le=86_400)
    timeout_seconds: float = Field(default=10, gt=0, le=120)
    max_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    # Mail only: whoever is slower than this is given up once the timeout is over.
    least_bytes_per_second: float = Field(default=65_536, ge=1024)
    # Calls, or mails, in one turn; the next turn goes on where it stopped.
    max_requests: int = Field(default=50, ge=1, le=1000)
    # Mail only: how long one connection listens (IMAP IDLE); servers end it after half an hour.
    idle_seconds: float = Field(default=600, gt=0, le=1740)
    # Mail only: a message the server cannot give so often is set aside, so that those behind it are read.
    message_tries: int = Field(default=3, ge=1, le=20)
    # Between two calls, out of politeness.
    pause_seconds: float = Field(default=0.1, ge=0, le=60)
    # How long we keep away when told that it is too much, and not for how long.
    patience_seconds: float = Field(default=30, gt=0, le=86_400)
    # A source that asks us to wait longer is asked again after so long all the same.
    longest_wait_seconds: float = Field(default=21_600, gt=0, le=604_800)


class BreakerRules(Part):
    """Of one poll: after so many failures in a row nobody calls; the pause doubles with every failed try."""

    failures: int = Field(default=5, ge=1, le=100)
    open_seconds: float = Field(default=30, gt=0)
    longest_seconds: float = Field(default=900, gt=0)


class RunRules(Part):
    """How long it is kept what was read; `idle_days` concerns polls that found nothing."""

    days: float = Field(default=90, gt=0, le=3650)
    idle_days: float = Field(default=2, gt=0, le=3650)


class SourceRules(Rules):
    """Intervals, limits and the breaker of every outside system; `lag_hours` without news turn a source yellow."""

    rulebook: ClassVar[str] = "integrations.sources"

    polls: dict[str, PollRules] = Field(
        default={
            "procurement": PollRules(every_seconds=60),
            "mail": PollRules(every_seconds=10, max_bytes=25 * 1024 * 1024),
            "erp": PollRules(every_seconds=30),
            "mail_out": PollRules(every_seconds=1, timeout_seconds=20),
            "sms": PollRules(every_seconds=1, patience_seconds=60),
            "wecom": PollRules(every_seconds=1, patience_seconds=60),
            "dingtalk": PollRules(every_seconds=1, patience_seconds=60),
        }
    )
    breaker: BreakerRules = BreakerRules()
    runs: RunRules = RunRules()
    lag_hours: dict[str, float] = Field(
        default={"procurement": 72, "erp": 72, "mail": 168, "tickets": 72, "behaviours": 72, "conversations": 168}
    )

    def poll(self, source: str) -> PollRules:
        return self.polls.get(source, PollRules())


@dataclass(frozen=True, slots=True)
class Health:
    """`failures` and `retry_at` are those of the source's worst poll."""

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
    """Red: nobody calls it, or one of its polls. Yellow: nothing new for longer than the rulebook bears, or paused.
    Blue: the last call failed."""
    if not health.configured:
        return "none"
    if health.retry_at is not None:
        return "red"
    lag = rules.lag_hours.get(source)
    if health.paused or (lag is not None and health.newest_at and now - health.newest_at > timedelta(hours=lag)):
        return "yellow"
    return "blue" if health.failures else "none"
