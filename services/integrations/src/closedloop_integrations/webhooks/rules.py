"""What may be subscribed to, when a message is sent again, and when a subscriber is given up."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules

# Answers that blame us or the message alone do not speak against the address.
GONE, TOO_MANY, TIMED_OUT = 410, 429, 408
# Threads there may ever be for trials.
MOST_TESTS = 32


class WebhookRules(Rules):
    """Limits and back-off of what goes out to subscribers."""

    rulebook: ClassVar[str] = "integrations.webhooks"

    timeout_seconds: float = Field(default=10, gt=0, le=60)
    # A longer event goes without its data, which can be asked for by its subject.
    most_bytes: int = Field(default=262_144, ge=1024, le=8_388_608)
    most_answer_bytes: int = Field(default=65_536, ge=1024, le=1_048_576)
    # A message is tried so often; the pause doubles from the first to the longest: about eighteen hours in all.
    attempts: int = Field(default=15, ge=1, le=100)
    first_delay_seconds: float = Field(default=5, gt=0, le=3600)
    longest_delay_seconds: float = Field(default=21_600, gt=0, le=604_800)
    # After so many failures in a row nobody calls the address before its pause is over.
    breaker_failures: int = Field(default=3, ge=1, le=1000)
    # So many failures in a row, over so long: the subscription is stopped and waits for a person.
    stop_failures: int = Field(default=20, ge=1, le=100_000)
    stop_hours: float = Field(default=24, ge=0, le=720)
    # In one turn; and for so long a subscriber is one courier's.
    most_messages: int = Field(default=200, ge=1, le=10_000)
    lease_seconds: float = Field(default=90, ge=10, le=3600)
    at_once: int = Field(default=16, ge=1, le=256)
    # Subscriptions that one process tries at once on a caller's word.
    tests_at_once: int = Field(default=4, ge=1, le=MOST_TESTS)
    # The old secret signs beside the new one.
    overlap_hours: float = Field(default=24, ge=0, le=720)
    # What was taken or given up can be had again so long.
    keep_days: float = Field(default=30, gt=0, le=3650)
    most_subscriptions: int = Field(default=200, ge=1, le=10_000)


@dataclass(frozen=True, slots=True)
class Health:
    """How the subscriber fared before this attempt."""

    failures: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from one attempt, for the message and for the subscriber."""

    taken: bool
    message: Literal["taken", "waiting", "given_up"]
    next_at: datetime | None
    failures: int
    failing_since: datetime | None
    # Nobody calls before.
    retry_at: datetime | None
    stopped: bool


def judge(status: int, retry_after: float, attempt: int, health: Health, rules: WebhookRules, now: datetime) -> Verdict:
    """`status` 0: no answer. `attempt` counts from 1. Only 2xx is an acknowledgement; who answers 410 wants no more."""
    if status // 100 == 2:
        return Verdict(True, "taken", None, 0, None, None, False)
    failures, since = health.failures + 1, health.failing_since or now
    pause = max(delay(attempt, rules), min(retry_after, rules.longest_delay_seconds))
    next_at = now + timedelta(seconds=pause)
    lasting = now - since >= timedelta(hours=rules.stop_hours)
    stopped = status == GONE or (failures >= rules.stop_failures and lasting)
    theirs = status in (0, TOO_MANY, TIMED_OUT) or status >= 500
    retry_at = None
    if theirs and failures >= rules.breaker_failures:
        retry_at = now + timedelta(seconds=delay(failures - rules.breaker_failures + 1, rules))
    if retry_after:
        retry_at = max(retry_at or now, next_at)
    if attempt >= rules.attempts and not stopped:
        return Verdict(False, "given_up", None, failures, since, retry_at, stopped)
    return Verdict(False, "waiting", next_at, failures, since, retry_at, stopped)


def delay(attempt: int, rules: WebhookRules) -> float:
    """Seconds after the attempt of that number."""
    return min(rules.first_delay_seconds * 2.0 ** min(max(attempt - 1, 0), 30), rules.longest_delay_seconds)


def unknown(asked: Iterable[str], offered: Collection[str]) -> list[str]:
    """Types, or prefixes ending in "*", that nothing on offer is called."""
    return [each for each in asked if not any(fits(each, type) for type in offered)]


def fits(asked: str, type: str) -> bool:
    return type.startswith(asked[:-1]) if asked.endswith("*") else asked == type
