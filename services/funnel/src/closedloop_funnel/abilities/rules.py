"""What an ability is measured by, and what its score is made of (S52, S89)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

FULL = 100.0
PartWord = Literal["talk", "drill", "win_rate", "assessment", "lesson"]


class AbilityRule(Part):
    """`risks`: risk phrases that speak against it; `objections`: those it answers. Keys of the talk catalogue."""

    name: str = Field(min_length=1, max_length=100)
    risks: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()


ABILITIES: Mapping[str, AbilityRule] = {
    "needs": AbilityRule(name="需求挖掘", risks=("pain_not_explored",), objections=("need",)),
    "value": AbilityRule(name="价值呈现", risks=("core_point_missing",), objections=("fit",)),
    "price": AbilityRule(
        name="价格谈判", risks=("avoids_price_objection", "discount_unprompted"), objections=("price",)
    ),
    "competitors": AbilityRule(
        name="竞品应对", risks=("disparages_competitor",), objections=("competitor", "incumbent")
    ),
    "objections": AbilityRule(name="异议处理", risks=("avoids_price_objection", "pressures"), objections=("timing",)),
    "decision_chain": AbilityRule(name="决策链把握", risks=("decision_unasked",), objections=("authority",)),
    "closing": AbilityRule(name="推进与成交", risks=("no_next_step",), objections=("timing",)),
    "product": AbilityRule(name="产品知识", risks=("does_not_know",), objections=("fit",)),
    "integrity": AbilityRule(name="诚信承诺", risks=("overpromises", "side_deal"), objections=("trust",)),
    "terms": AbilityRule(name="商务条款", risks=("side_deal",), objections=("terms", "delivery")),
    "rapport": AbilityRule(name="客户关系", risks=("pressures", "passes_blame"), objections=("trust",)),
    "service": AbilityRule(name="服务意识", risks=("passes_blame",), objections=("service", "delivery")),
}
WEIGHTS: Mapping[PartWord, float] = {"talk": 0.4, "drill": 0.2, "win_rate": 0.15, "assessment": 0.15, "lesson": 0.1}


class AbilityRules(Rules):
    """A part counts with its weight from `least` cases on; a score takes parts of `least_weight` together. A cell of the
    heat map is yellow `weak` points below the company's level, red `weaker`, from `least_lit` cases on, whatever their parts:
    one drill is a bad day; and never while the level lies within the score's interval. `months`: how far back a record goes."""

    rulebook: ClassVar[str] = "funnel.abilities"

    abilities: Mapping[str, AbilityRule] = ABILITIES
    weights: Mapping[PartWord, float] = WEIGHTS
    least: Mapping[PartWord, int] = {"talk": 5, "drill": 1, "win_rate": 5, "assessment": 1, "lesson": 1}
    least_weight: float = Field(default=0.2, gt=0, le=1)
    least_lit: int = Field(default=5, ge=1, le=1000)
    weak: float = Field(default=10, gt=0, le=100)
    weaker: float = Field(default=20, gt=0, le=100)
    months: int = Field(default=6, ge=1, le=60)

    def model_post_init(self, context: object, /) -> None:
        if self.weaker < self.weak:
            raise ValueError("red begins below yellow")
        if any(weight < 0 for weight in self.weights.values()) or not sum(self.weights.values()):
            raise ValueError("weights are not negative, and some counts")


@dataclass(frozen=True, slots=True)
class Piece:
    """What an ability is worth by one measure, 0..100; `grades` are the values behind a mean."""

    part: PartWord
    value: float
    cases: int
    grades: Sequence[float] = ()


def counted(rules: AbilityRules, parts: Iterable[Piece]) -> list[Piece]:
    """Those with enough cases that have a weight."""
    return [one for one in parts if one.cases >= rules.least.get(one.part, 1) and rules.weights.get(one.part, 0) > 0]


def score(rules: AbilityRules, parts: Iterable[Piece]) -> float | None:
    """0..100 by weight among those with enough cases; None where they weigh too little together."""
    enough = counted(rules, parts)
    weight = sum(rules.weights[one.part] for one in enough)
    if not enough or weight < rules.least_weight:
        return None
    return sum(rules.weights[one.part] * one.value for one in enough) / weight


def behind(rules: AbilityRules, parts: Iterable[Piece]) -> int:
    """Cases of the parts that count."""
    return sum(one.cases for one in counted(rules, parts))


def light(rules: AbilityRules, value: float | None, high: float, level: float | None, cases: int) -> str:
    """Of a cell of so many cases against the company's level in that ability; none where that level lies within the score's
    interval, which ends at `high`: of a hundred people as good as all, the point alone lit 42 after five talks."""
    if value is None or level is None or cases < rules.least_lit or high >= level:
        return "none"
    below = level - value
    return "red" if below >= rules.weaker else "yellow" if below >= rules.weak else "none"
