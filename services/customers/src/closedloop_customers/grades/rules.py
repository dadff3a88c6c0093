"""The grading standard: conditions in words, the first grade one of whose conditions holds is the account's (S29)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules

Measure = Literal["revenue", "deals", "employees", "annual_revenue", "potential", "interactions"]
# How a newcomer reads them; {days} and {value} stand for numbers.
SENTENCES: dict[Measure, str] = {
    "revenue": "近 {days} 天成交额不低于 {value} 元",
    "deals": "近 {days} 天成交不少于 {value} 单",
    "employees": "员工不少于 {value} 人",
    "annual_revenue": "年营业额不低于 {value} 元",
    "potential": "潜力分不低于 {value}",
    "interactions": "近 {days} 天有效互动不少于 {value} 次",
}
AMOUNTS: frozenset[Measure] = frozenset({"revenue", "annual_revenue"})


Measures = Mapping[Measure, float]


class Condition(Part):
    """Holds if every one of `at_least` is reached and the customer type, if any is named, is one of them.

    Amounts in the rulebook's currency, whole units."""

    at_least: dict[Measure, float] = Field(default={})
    customer_types: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not self.at_least and not self.customer_types:
            raise ValueError("a condition asks for something")
        return self


class Grade(Part):
    """One condition is enough; without any, everybody who is left. The lower `rank` is the better grade; of the same rank,
    the one whose name comes first."""

    title: str
    rank: int = Field(default=0, ge=0, le=100)
    conditions: tuple[Condition, ...] = ()
    treatment: tuple[str, ...] = ()


class GradeRules(Rules):
    """The best grade first, by rank and name; the last one takes everybody who is left."""

    rulebook: ClassVar[str] = "customers.grades"

    currency: str = Field(default="CNY", pattern="^[A-Z]{3}$")
    revenue_days: int = Field(default=365, ge=1, le=3660)
    deal_days: int = Field(default=730, ge=1, le=3660)
    interaction_days: int = Field(default=90, ge=1, le=3660)
    grades: dict[str, Grade] = Field(
        min_length=1,
        max_length=20,
        default={
            "A": Grade(
                title="关键客户",
                conditions=(
                    Condition(at_least={"revenue": 1_000_000}),
                    Condition(at_least={"revenue": 200_000}, customer_types=("key_account", "government")),
                    Condition(at_least={"potential": 60, "deals": 1}),
                ),
                treatment=("每两周拜访一次", "4 个工作小时内回应", "折扣由大区经理批准"),
            ),
            "B": Grade(
                title="重点客户",
                conditions=(
                    Condition(at_least={"revenue": 200_000}),
                    Condition(at_least={"potential": 40}),
                    Condition(at_least={"employees": 1000, "interactions": 1}),
                ),
                treatment=("每月拜访一次", "8 个工作小时内回应"),
            ),
            "C": Grade(
                title="一般客户",
                conditions=(Condition(at_least={"deals": 1}), Condition(at_least={"interactions": 1})),
                treatment=("每季度联系一次",),
            ),
            "D": Grade(title="待培育", treatment=("由市场活动培育",)),
        },
    )
    grade_every: ClockSetting = ClockSetting(days=1)
    # What a good grade promises, and how many of each kind it takes before an accuracy means something.
    good_outcomes: frozenset[Literal["won", "repurchased"]] = frozenset({"won", "repurchased"})
    least_outcomes: int = Field(default=20, ge=1, le=100_000)

    @field_validator("grades")
    @classmethod
    def _best_first(cls, grades: dict[str, Grade]) -> dict[str, Grade]:
        # A body comes out of a Struct and of jsonb, which both keep words in an order of their own.
        return dict(sorted(grades.items(), key=lambda one: (not one[1].conditions, one[1].rank, one[0])))

    @model_validator(mode="after")
    def _leaves_nobody_out(self) -> GradeRules:
        *others, last = self.grades.values()
        if last.conditions or any(not grade.conditions for grade in others):
            raise ValueError("the last grade takes everybody who is left, the others have conditions")
        if any(not name or len(name) > 20 or " " in name for name in self.grades):
            raise ValueError("a grade is a word of at most 20 characters")
        return self

    def days(self, measure: Measure) -> int:
        return {"revenue": self.revenue_days, "deals": self.deal_days}.get(measure, self.interaction_days)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`condition`: the number of the one that held, -1 for the last grade."""

    grade: str
    condition: int
    explanation: str


def sentence(condition: Condition, rules: GradeRules) -> str:
    said = [_asked(measure, value, rules) for measure, value in condition.at_least.items()]
    if condition.customer_types:
        said.append(f"客户类型为 {'、'.join(condition.customer_types)}")
    return "且".join(said)


def grade(measures: Measures, customer_type: str, rules: GradeRules) -> Verdict:
    for name, standard in rules.grades.items():
        for number, condition in enumerate(standard.conditions):
            if holds(condition, measures, customer_type):
                return Verdict(name, number, f"{name} 级（{standard.title}）：{sentence(condition, rules)}")
    last = next(reversed(rules.grades))
    return Verdict(last, -1, f"{last} 级（{rules.grades[last].title}）：不满足更高等级的任何条件")


def holds(condition: Condition, measures: Measures, customer_type: str) -> bool:
    if condition.customer_types and not _is_of(customer_type, condition.customer_types):
        return False
    return all(measures.get(measure, 0.0) >= least for measure, least in condition.at_least.items())


def to_next(verdict: Verdict, measures: Measures, customer_type: str, rules: GradeRules) -> list[str]:
    """What is missing to each condition of the grade above, in sentences."""
    names = list(rules.grades)
    place = names.index(verdict.grade)
    if place == 0:
        return []
    above = names[place - 1]
    lacking = []
    for condition in rules.grades[above].conditions:
        missing = [
            f"{_asked(measure, least, rules)}（现为 {measures.get(measure, 0.0):g}）"
            for measure, least in condition.at_least.items()
            if measures.get(measure, 0.0) < least
        ]
        if condition.customer_types and not _is_of(customer_type, condition.customer_types):
            missing.append(f"客户类型为 {'、'.join(condition.customer_types)}")
        lacking.append(f"升至 {above} 级：{'且'.join(missing)}")
    return lacking


def dimensions(measures: Measures, customer_type: str, rules: GradeRules) -> list[dict[str, Any]]:
    """What each condition saw, the best grade's first: key, title, sentence, whether it holds, the value that decided."""
    seen = []
    for name, standard in rules.grades.items():
        for number, condition in enumerate(standard.conditions):
            measure, value = next(((m, measures.get(m, 0.0)) for m in condition.at_least), ("customer_type", 0.0))
            seen.append(
                {
                    "key": f"grades.{name}.conditions.{number}",
                    "title": f"{name} 级",
                    "holds": holds(condition, measures, customer_type),
                    "measure": measure,
                    "value": value,
                    "unit": rules.currency if measure in AMOUNTS else "1",
                    "text": sentence(condition, rules),
                }
            )
    return seen


def _asked(measure: Measure, value: float, rules: GradeRules) -> str:
    return SENTENCES[measure].format(days=rules.days(measure), value=f"{value:,.0f}")


def _is_of(code: str, wanted: tuple[str, ...]) -> bool:
    return any(code == one or code.startswith(one + ".") for one in wanted)
