"""Which deals are benchmarks, and what is looked for in them (S94)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

FeatureKind = Literal["early_role", "activities", "unit", "custom_proposal", "effective_contacts"]


class FeatureRule(Part):
    """Something deals may share. "early_role": somebody in `role` took part within the first `early` of the cycle (a share);
    "activities": contacts of `activity_kinds` (a mean); "unit": the action unit `unit` was done (a share);
    "custom_proposal": a custom proposal was made (a share); "effective_contacts": contacts with substance until it was
    won (a mean; short deals have less time for them, so that more is not the cycle's doing). What comes of it is a card
    with `method`; adopted by whoever does `units`."""

    name: str = Field(min_length=1, max_length=200)
    kind: FeatureKind
    role: str = ""
    early: float = Field(default=1 / 3, gt=0, le=1)
    activity_kinds: tuple[str, ...] = ()
    unit: str = ""
    method: str = Field(default="", max_length=10_000)
    units: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    @property
    def is_share(self) -> bool:
        return self.kind in ("early_role", "unit", "custom_proposal")


FEATURES: Mapping[str, FeatureRule] = {
    "technical_lead_early": FeatureRule(
        name="技术负责人早介入",
        kind="early_role",
        role="engineer",
        method="1. 商机开启一周内请技术负责人参加首次需求沟通\n2. 由其确认现场条件与接口\n3. 方案前再访一次",
        units=("needs_report",),
        stages=("b2b/need",),
    ),
    "poc_iterations": FeatureRule(
        name="概念验证多轮迭代",
        kind="activities",
        activity_kinds=("demo",),
        method="1. 先约定成功指标\n2. 每轮演示后记录客户反应并改一版\n3. 至少两轮再出报价",
        units=("custom_demo",),
        stages=("b2b/proposal",),
    ),
    "pain_matrix": FeatureRule(
        name="痛点与能力矩阵", kind="unit", unit="pain_matrix", units=("pain_matrix",), stages=("b2b/need",)
    ),
    "competitor_comparison": FeatureRule(
        name="竞品逐项对比", kind="unit", unit="competitor_comparison", units=("competitor_comparison",)
    ),
    "custom_proposal": FeatureRule(name="定制方案", kind="custom_proposal", stages=("b2b/proposal",)),
    "effective_contacts": FeatureRule(name="有效沟通次数", kind="effective_contacts"),
}


class PracticeRules(Rules):
    """A benchmark's cycle is at most `cycle_share` of the mean of all won deals, and its margin above `margin`. It takes
    `least_deals` won deals and `least_benchmarks` of them. A correlation is told from `least_groups` people or units with
    `least_ended` closed deals each."""

    rulebook: ClassVar[str] = "funnel.practices"

    cycle_share: float = Field(default=0.7, gt=0, le=1)
    margin: float = Field(default=0.35, ge=0, lt=1)
    least_deals: int = Field(default=20, ge=2, le=100_000)
    least_benchmarks: int = Field(default=5, ge=2, le=100_000)
    least_groups: int = Field(default=8, ge=4, le=10_000)
    least_ended: int = Field(default=3, ge=1, le=1000)
    features: Mapping[str, FeatureRule] = FEATURES
    # Deals of so many days before a card was published are held against those begun since, for as long at the most. Who does it in
    # a share of his deals larger by `adopter_rise` took it up; it takes `least_adopters` of them and of the others.
    adoption_days: int = Field(default=182, ge=7, le=3660)
    adopter_rise: float = Field(default=0.2, gt=0, le=1)
    least_adopters: int = Field(default=5, ge=2, le=10_000)


@dataclass(frozen=True, slots=True)
class Practised:
    """What of a deal counts as following a card: `rule` worth `least` or more."""

    key: str
    rule: FeatureRule
    least: float


def practised(
    key: str, units: Collection[str], found: Sequence[Mapping[str, Any]], features: Mapping[str, FeatureRule]
) -> list[Practised]:
    """Of a card made from feature `key`: that feature. A count is followed by whoever has more of it than half way from the
    others to the benchmarks, as they were `found` (PracticeFeature as JSON). Of a card nobody mined: any of its units."""
    rule = features.get(key)
    if rule is None:
        return [Practised(unit, FeatureRule(name=unit, kind="unit", unit=unit), 1.0) for unit in units]
    if rule.is_share:
        return [Practised(key, rule, 1.0)]
    means = [told[side]["value"] for told in found for side in ("benchmark", "others") if "value" in told.get(side, {})]
    return [Practised(key, rule, max(1.0, fmean(means) if means else 1.0))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A seller's closed deals on one side of a moment."""

    person_id: str
    after: bool
    ended: int
    won: int
    won_minor: int
    cycle_days: float | None
    hits: int


def took_up(rules: PracticeRules, before: Side, after: Side) -> bool:
    return after.hits / after.ended - before.hits / before.ended >= rules.adopter_rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A won deal. `roles_at`: by role the first day of the cycle on which somebody in it took part; `activities` by kind;
    `units` done."""

    id: str
    owner_id: str = ""
    cycle_days: float
    margin: float | None
    roles_at: Mapping[str, float] = field(default_factory=dict)
    activities: Mapping[str, int] = field(default_factory=dict)
    units: Collection[str] = ()
    custom_proposal: bool = False
    effective: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Won deals told apart: the mean cycle of all, benchmarks, the others whose margin is known, and how many are not."""

    mean_days: float
    benchmarks: list[Deal]
    others: list[Deal]
    without_margin: int


def tell_apart(rules: PracticeRules, deals: Collection[Deal]) -> Found:
    """Of no deals the mean is zero."""
    mean = fmean(deal.cycle_days for deal in deals) if deals else 0.0
    known = [deal for deal in deals if deal.margin is not None]
    best = [deal for deal in known if is_benchmark(rules, deal, mean)]
    return Found(mean, best, [deal for deal in known if deal not in best], len(deals) - len(known))


def is_benchmark(rules: PracticeRules, deal: Deal, mean_days: float) -> bool:
    return deal.margin is not None and deal.margin > rules.margin and deal.cycle_days <= rules.cycle_share * mean_days


def value(rule: FeatureRule, deal: Deal) -> float:
    """0 or 1 for what is told as a share, else how much."""
    if rule.kind == "early_role":
        at = deal.roles_at.get(rule.role)
        return float(at is not None and at <= rule.early * deal.cycle_days)
    if rule.kind == "activities":
        return float(sum(deal.activities.get(kind, 0) for kind in rule.activity_kinds))
    if rule.kind == "unit":
        return float(rule.unit in deal.units)
    if rule.kind == "custom_proposal":
        return float(deal.custom_proposal)
    # Not a week: benchmarks are chosen by their cycle, and whatever is divided by it is higher in them by itself.
    return float(deal.effective)
