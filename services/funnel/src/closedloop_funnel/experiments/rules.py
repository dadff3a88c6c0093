"""How a test of a management action is drawn, looked at and ended; all of it fixed beforehand (S95)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis.rulebook.rules import Rules

UnitWord = Literal["person", "team", "account"]
ArmWord = Literal["control", "treatment"]
FoundWord = Literal["higher", "lower", "no_difference", "cannot_say"]
ARMS: tuple[ArmWord, ArmWord] = ("control", "treatment")
STRATA: Mapping[UnitWord, tuple[str, ...]] = {
    "person": ("unit", "tenure", "customer_type"),
    "team": ("unit", "customer_type"),
    "account": ("unit", "customer_type", "grade", "industry"),
}


class ExperimentRules(Rules):
    """`power` and `significance` hold where a design names none; none may want less than `least_power` or take more than
    `most_significance`. A test lasts `least_days` to `most_days`. It takes `least_units` on each side that had cases
    in as many days before. A look on the way ends it at `interim_significance` only (Haybittle-Peto), and what the looks
    may spend is taken from the last one; so it is less than half of what a test may take, or none could be looked at. All
    of this is fixed with the test when it begins. Of each side `least_measured` must have cases at a look, or nothing is said.
    `overlap`: whether somebody may be in two tests at a time, "none", or if they are of other metrics ("other_metric").
    `team_kinds`: units that are teams; `tenure_years`: where one stratum of tenure ends and the next begins. Whoever
    answers for it is told by a task of `task_kind` when it may be ended."""

    rulebook: ClassVar[str] = "funnel.experiments"

    power: float = Field(default=0.8, gt=0, lt=1)
    least_power: float = Field(default=0.5, gt=0, lt=1)
    significance: float = Field(default=0.05, gt=0, lt=1)
    most_significance: float = Field(default=0.1, gt=0, lt=1)
    interim_significance: float = Field(default=0.001, gt=0, lt=0.01)
    least_units: int = Field(default=5, ge=2, le=1000)
    least_measured: float = Field(default=0.8, gt=0, le=1)
    least_days: int = Field(default=14, ge=1, le=366)
    most_days: int = Field(default=120, ge=1, le=366)
    overlap: Literal["none", "other_metric"] = "none"
    team_kinds: tuple[str, ...] = ("team",)
    tenure_years: tuple[float, ...] = (1, 3)
    task_kind: str = Field(default="review", min_length=1, max_length=64)

    @model_validator(mode="after")
    def _leaves_room(self) -> ExperimentRules:
        for field, low, high in (
            ("power", self.least_power, self.power),
            ("significance", self.significance, self.most_significance),
            ("least_days", self.least_days, self.most_days),
        ):
            if low > high:
                raise ValueError(f"{field}: what holds by default must be allowed ({low:g} is more than {high:g})")
        if spends_most(self.interim_significance, 1, self.significance):
            raise ValueError(
                f"interim_significance: one look at {self.interim_significance:g} would spend half of"
                f" {self.significance:g} and more; nothing sound is left for the last"
            )
        return self


@dataclass(frozen=True, slots=True)
class Stopping:
    """What a test ends by, of the rules in force when it began: what is changed later holds for later tests."""

    interim_significance: float
    least_measured: float
    least_units: int


def stopping(rules: ExperimentRules) -> Stopping:
    return Stopping(rules.interim_significance, rules.least_measured, rules.least_units)


def spends_most(interim_significance: float, interim: int, significance: float) -> bool:
    """Whether looks on the way would leave less than half of the error for the last one."""
    return interim * interim_significance * 2 >= significance


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who may be drawn; `people`: whose work it touches."""

    unit_id: str
    stratum: str = ""
    people: frozenset[str] = frozenset()


def drawn(candidates: Collection[Candidate], seed: int) -> dict[str, ArmWord]:
    """Arm by unit. Within a stratum they are ranked by SHA-256 of "<seed>:<id>" and take turns; who is left over takes turns
    with those of other strata. So the same seed and candidates give the same arms, whatever draws them."""
    arms: dict[str, ArmWord] = {}
    left = []
    for stratum in sorted({one.stratum for one in candidates}):
        ranked = sorted((_rank(seed, one.unit_id), one.unit_id) for one in candidates if one.stratum == stratum)
        paired = len(ranked) - len(ranked) % 2
        arms |= {unit_id: ARMS[place % 2] for place, (_, unit_id) in enumerate(ranked[:paired])}
        left += ranked[paired:]
    return arms | {unit_id: ARMS[place % 2] for place, (_, unit_id) in enumerate(sorted(left))}


def _rank(seed: int, unit_id: str) -> bytes:
    return sha256(f"{seed}:{unit_id}".encode()).digest()


def looks(start: datetime, length: timedelta, interim: int) -> list[datetime]:
    """When it is looked at: on the way in equal steps, and at the end."""
    return [start + length * step / (interim + 1) for step in range(1, interim + 2)]


def error_at(rules: Stopping, significance: float, interim: int, number: int) -> float:
    """Two-sided error that look `number` may make. Together they make no more than `significance` (Bonferroni)."""
    return rules.interim_significance if number <= interim else significance - interim * rules.interim_significance


def tenure(rules: ExperimentRules, years: float | None) -> str:
    """The stratum of so many years with the company; of people whose start nobody noted it is a stratum of its own."""
    if years is None:
        return "?"
    return str(sum(years >= edge for edge in rules.tenure_years))


def lacking(rules: Stopping, drawn: Mapping[str, int], measured: Mapping[str, int]) -> str:
    """The arm of which too few have cases; empty where none is."""
    return next((arm for arm, count in drawn.items() if measured[arm] < rules.least_measured * count), "")


def verdict(found: FoundWord, low: float, high: float, least_effect: float) -> str:
    """keep, drop, cannot say. What was found is held against what was wanted: the sign of `least_effect` says which way."""
    if found == "cannot_say":
        return "cannot say"
    if found != "no_difference":
        return "keep" if (found == "higher") == (least_effect > 0) else "drop"
    ruled_out = high < least_effect if least_effect > 0 else low > least_effect
    return "drop" if ruled_out else "cannot say"


def why(word: str, found: FoundWord, least_effect: float, unit: str) -> str:
    """The verdict's reason in words."""
    said = f"{least_effect:g} {unit}".removesuffix(" 1")
    if word == "keep":
        return "it moves the metric the way it should"
    if word == "drop":
        return f"an effect of {said} is ruled out" if found == "no_difference" else "it moves the metric the wrong way"
    if found == "no_difference":
        return f"neither no effect nor one of {said} is ruled out"
    return "too little is known"


def strange_strata(kind: UnitWord, strata: Sequence[str]) -> list[str]:
    return [one for one in strata if one not in STRATA[kind]]
