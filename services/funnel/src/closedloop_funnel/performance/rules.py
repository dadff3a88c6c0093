"""The documents' table: four metrics, each with its benchmark, its healthy line, its colours and what follows
(S57-S60); and how much hangs on few sellers (S61)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

LightWord = Literal["none", "blue", "yellow", "red"]
MetricWord = Literal["visit_completion", "stage_pace", "proposals_made", "feedback_collected"]
VisitPart = Literal["effective", "attitude_after", "next_step", "customer_feedback"]
VISIT_PARTS: Mapping[VisitPart, float] = {
    "effective": 0.4,
    "attitude_after": 0.2,
    "next_step": 0.2,
    "customer_feedback": 0.2,
}


class MetricRule(Part):
    """One metric. Healthy at `healthy` or better, blue up to `tolerable`, yellow beyond; red when beyond for `red_weeks`
    weeks in a row (0: never). `rising`: more is better. The consequence follows once a week is `acts_from` or
    darker; with `task_kind` it is a task of that kind for `assignee`, resolved over the seller."""

    name: str
    unit: str
    benchmark: float
    healthy: float
    tolerable: float
    rising: bool = True
    red_weeks: int = Field(default=0, ge=0, le=52)
    least_cases: int = Field(default=1, ge=1)
    consequence: str = ""
    task_kind: str = Field(default="", max_length=64)
    acts_from: LightWord = "red"
    assignee: str = Field(default="manager_of_owner", max_length=100)

    def model_post_init(self, context: object, /) -> None:
        if (self.rising and self.tolerable > self.healthy) or (not self.rising and self.tolerable < self.healthy):
            raise ValueError("what is tolerable lies beyond what is healthy")


METRICS: Mapping[MetricWord, MetricRule] = {
    "visit_completion": MetricRule(
        name="客户拜访完成率",
        unit="1",
        benchmark=0.82,
        healthy=0.95,
        tolerable=0.85,
        red_weeks=2,
        consequence="interview",
        task_kind="interview",
        acts_from="red",
    ),
    "stage_pace": MetricRule(
        name="商机阶段停留",
        unit="d",
        benchmark=7.2,
        healthy=5.5,
        tolerable=7.2,
        rising=False,
        consequence="regional_director",
        task_kind="intervention",
        acts_from="yellow",
        assignee="director_of_owner",
    ),
    "proposals_made": MetricRule(
        name="方案定制完成率",
        unit="1",
        benchmark=0.61,
        healthy=0.88,
        tolerable=0.61,
        consequence="senior_consultant",
        task_kind="follow_up",
        acts_from="blue",
        assignee="role:senior_consultant",
    ),
    "feedback_collected": MetricRule(
        name="客户反馈收集率",
        unit="1",
        benchmark=0.43,
        healthy=0.90,
        tolerable=0.43,
        consequence="revisit_list",
        acts_from="blue",
    ),
}


class PerformanceRules(Rules):
    """`hour`: when, on the first day of a week, the week before is judged. A seller's share of `star_share` or a Gini of
    `star_gini` is warned of, from `star_sellers` sellers on; on `star_monthly_day`, over the `star_days` before."""

    rulebook: ClassVar[str] = "funnel.performance"

    metrics: Mapping[MetricWord, MetricRule] = METRICS
    hour: time = time(7)
    week_begins: int = Field(default=1, ge=1, le=1)
    star_share: float = Field(default=0.4, gt=0, le=1)
    star_share_red: float = Field(default=0.6, gt=0, le=1)
    star_gini: float = Field(default=0.5, gt=0, le=1)
    star_sellers: int = Field(default=3, ge=2)
    star_days: int = Field(default=91, ge=7, le=1000)
    star_monthly_day: int = Field(default=1, ge=1, le=28)
    # Of so few closed deals a win rate says nothing.
    win_least: int = Field(default=5, ge=1, le=1000)
    # What of a visit's score each part of its log is worth; together 1.
    visit_parts: Mapping[VisitPart, float] = VISIT_PARTS
    # A stage that expects one of these actions is one in which needs are diagnosed; they prove it, or such evidence does.
    needs_units: tuple[str, ...] = ("needs_report",)
    needs_evidence: tuple[str, ...] = ("matrix",)

    def model_post_init(self, context: object, /) -> None:
        if set(self.visit_parts) != set(VISIT_PARTS) or abs(sum(self.visit_parts.values()) - 1) > 1e-9:
            raise ValueError("the parts of a visit's score are all there and sum to 1")


def colour(rule: MetricRule, value: float, weeks_beyond: int) -> LightWord:
    """`weeks_beyond`: weeks in a row, this one included, in which the value was worse than tolerable."""
    if rule.red_weeks and weeks_beyond >= rule.red_weeks:
        return "red"
    if beyond(rule, value):
        return "yellow"
    healthy = value >= rule.healthy if rule.rising else value <= rule.healthy
    return "none" if healthy else "blue"


def beyond(rule: MetricRule, value: float) -> bool:
    """Worse than tolerable."""
    return value < rule.tolerable if rule.rising else value > rule.tolerable


def runs(rule: MetricRule, values: Sequence[float | None]) -> list[int]:
    """For every week how many in a row, itself the last, were beyond; a week without cases breaks no run."""
    found, run = [], 0
    for value in values:
        if value is not None:
            run = run + 1 if beyond(rule, value) else 0
        found.append(run if value is not None else 0)
    return found


ORDER: tuple[LightWord, ...] = ("none", "blue", "yellow", "red")


def follows(rule: MetricRule, light: LightWord) -> bool:
    """Whether the colour sets the metric's consequence going."""
    return bool(rule.consequence) and ORDER.index(light) >= max(ORDER.index(rule.acts_from), 1)


def gini(values: Sequence[float]) -> float | None:
    """0: all alike, (n - 1) / n: one has all (Gini 1912, mean absolute difference); None without a sum to share."""
    total = sum(values)
    if len(values) < 2 or total <= 0:
        return None
    ranked = sum(place * value for place, value in enumerate(sorted(values), 1))
    return 2 * ranked / (len(values) * total) - (len(values) + 1) / len(values)


def dependence(rules: PerformanceRules, share: float, unequal: float | None) -> tuple[LightWord, str]:
    """Colour of the first seller's share and of the inequality, and the rule that says so."""
    if share >= rules.star_share_red:
        return "red", "star_share_red"
    if share >= rules.star_share:
        return "yellow", "star_share"
    if unequal is not None and unequal >= rules.star_gini:
        return "blue", "star_gini"
    return "none", "star_share"


def without_first(sellers: Sequence[Mapping[str, int]]) -> int:
    """Won amount if the first seller had left: what he closed, passed on at the others' win rate by amount."""
    if len(sellers) < 2:
        return 0
    first, others = sellers[0], sellers[1:]
    won, ended = sum(one["won_minor"] for one in others), sum(one["ended_minor"] for one in others)
    return won + (round(first["ended_minor"] * won / ended) if ended else 0)
