"""When a training is applied, and what is needed to say what it changed (S84)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class TrainingRules(Rules):
    """Measured `months` after the end, over the `window_days` before that day; held against as long before the beginning.
    Somebody is judged who had `least_talks` conversations in the window; he applies it steadily when what it taught is
    heard in `steady_share` of them. Effects take `least_people` on each side. A customer type is an attendee's own from
    `own_share` of his deals on."""

    rulebook: ClassVar[str] = "funnel.trainings"

    months: int = Field(default=3, ge=1, le=24)
    window_days: int = Field(default=30, ge=7, le=366)
    least_talks: int = Field(default=5, ge=1, le=1000)
    steady_share: float = Field(default=0.5, gt=0, le=1)
    least_people: int = Field(default=5, ge=2, le=1000)
    own_share: float = Field(default=0.2, gt=0, le=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Conversations of one person before and after, and in how many of each it was heard; deals likewise."""

    person_id: str
    before: int = 0
    before_applied: int = 0
    after: int = 0
    after_applied: int = 0


def judged(rules: TrainingRules, spoken: Collection[Spoken]) -> list[Spoken]:
    """Who had enough conversations after."""
    return [one for one in spoken if one.after >= rules.least_talks]


def steady(rules: TrainingRules, one: Spoken) -> bool:
    return one.after > 0 and one.after_applied / one.after >= rules.steady_share


def changes(rules: TrainingRules, spoken: Collection[Spoken]) -> list[float]:
    """Share of conversations after less before, of each who had enough on both sides."""
    return [
        one.after_applied / one.after - one.before_applied / one.before
        for one in spoken
        if min(one.after, one.before) >= rules.least_talks
    ]


def mismatched(rules: TrainingRules, covered: Collection[str], deals: Mapping[str, int]) -> bool | None:
    """Whether none of the customer types that are the attendee's own is among those the cases come from; None without
    deals whose type is known."""
    total = sum(deals.values())
    own = {kind for kind, count in deals.items() if kind and count >= rules.own_share * total}
    return None if not own else not own & set(covered)
