"""How a warning goes from raising to its check (S102)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules

KindWord = Literal[
    "stage_dwell",
    "stage_pace",
    "stage_conversion",
    "visit_completion",
    "proposals_made",
    "feedback_collected",
    "false_check_ins",
    "churn",
    "star_dependence",
    "intake_burst",
    "action_without_result",
    "empty_visits",
    "management_action_flat",
]
StateWord = Literal["open", "acted", "worked", "failed", "gone"]
# How it stands with what was warned of; "unknown": nothing has happened yet by which it could be told.
StandingWord = Literal["holds", "passed", "lost", "unknown"]


class CheckRule(Part):
    """A kind of warning. Its effect is judged `after` the action, and again after as long while it cannot be told. One
    that failed asks the owner's manager by a task of `failure_task`; empty: nobody."""

    name: str = Field(min_length=1, max_length=200)
    after: ClockSetting
    failure_task: str = Field(default="intervention", max_length=64)


def _days(days: float, calendar: str = "plain") -> ClockSetting:
    return ClockSetting(days=days, calendar=calendar)


KINDS: Mapping[KindWord, CheckRule] = {
    "stage_dwell": CheckRule(name="商机停滞", after=_days(5, "business")),
    "stage_pace": CheckRule(name="阶段节奏过慢", after=_days(5, "business")),
    "stage_conversion": CheckRule(name="阶段塌陷", after=_days(30)),
    "visit_completion": CheckRule(name="客户拜访完成率", after=_days(14)),
    "proposals_made": CheckRule(name="方案定制完成率", after=_days(14)),
    "feedback_collected": CheckRule(name="客户反馈收集率", after=_days(31)),
    "false_check_ins": CheckRule(name="虚假打卡", after=_days(14)),
    "churn": CheckRule(name="客户流失迹象", after=_days(14)),
    "star_dependence": CheckRule(name="明星销售依赖", after=_days(91)),
    "intake_burst": CheckRule(name="商机录入突增", after=_days(14)),
    "action_without_result": CheckRule(name="动作有做无果", after=_days(91)),
    "empty_visits": CheckRule(name="无效拜访", after=_days(7)),
    "management_action_flat": CheckRule(name="管理动作无起色", after=_days(91)),
}


class WarningRules(Rules):
    """Every kind has its check. Open ones are looked at every morning at `hour`, whether they have passed by themselves.
    A seller with `false_least` suspect logs within `false_days` is warned of. `titles`: which kind of unit a title leads.
    """

    rulebook: ClassVar[str] = "funnel.warnings"

    kinds: Mapping[KindWord, CheckRule] = KINDS
    hour: time = time(6, 30)
    false_least: int = Field(default=3, ge=1, le=1000)
    false_days: int = Field(default=30, ge=1, le=366)
    titles: Mapping[str, str] = {"director": "region"}

    def model_post_init(self, context: object, /) -> None:
        missing = set(KINDS) - set(self.kinds)
        if missing:
            raise ValueError(f"no check for {sorted(missing)[0]}")


def settled(state: StateWord, standing: StandingWord) -> StateWord:
    """The state after a look. Whoever acted is told whether it worked; what passed before anybody acted is gone; what
    was lost before is gone as well, and after the action it is a failure."""
    if standing == "unknown" or state not in ("open", "acted"):
        return state
    if state == "open":
        return "open" if standing == "holds" else "gone"
    return "worked" if standing == "passed" else "failed"


LIGHTS = ("none", "blue", "yellow", "red")


def at_least(light: str) -> list[str]:
    """Lights as dark as this one or darker."""
    return list(LIGHTS[LIGHTS.index(light) :]) if light else list(LIGHTS)
