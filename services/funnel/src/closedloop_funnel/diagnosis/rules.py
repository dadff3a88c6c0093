"""When a stage stands out, and what the deals parked in it show (S43, S44)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules

CauseWord = Literal[
    "no_follow_up", "empty_contacts", "slow_approval", "unmet_evidence", "overload", "mix_shift", "unknown"
]


SUGGESTIONS: Mapping[CauseWord, str] = {
    "no_follow_up": "进入本阶段后没有任何跟进: 为每个积压商机定下一步与日期",
    "empty_contacts": "标记已沟通但无实质内容: 抽查录音, 要求记录客户态度与下一步",
    "slow_approval": "报价或合同在等审批: 检查审批时限与授权额度",
    "unmet_evidence": "有效沟通后仍缺本阶段证据: 补齐证据或说明理由跳过",
    "overload": "人均在手商机过多: 重新分配, 先做概率高的",
    "mix_shift": "客户结构变了: 按新客户类型调整话术与方案",
    "unknown": "数据未显示原因: 与主管逐单复盘",
}


class DiagnosisRules(Rules):
    """A stage stands out when it holds `parked_share` of all open deals, `parked_least` of them at the least; else when
    `dwell_share` of all time was spent in it. `least_cases`: with fewer nothing is said. A cause is named when
    `cause_share` of the parked deals show it. `overload_deals`: open deals of one seller beyond which he is overloaded;
    `mix_shift`: by how much the share of a customer type among the parked must exceed that of the baseline.
    `monthly_day`: day of the month on which the month before is diagnosed."""

    rulebook: ClassVar[str] = "funnel.diagnosis"

    parked_share: float = Field(default=0.4, gt=0, le=1)
    parked_least: int = Field(default=10, ge=1)
    dwell_share: float = Field(default=0.25, gt=0, le=1)
    least_cases: int = Field(default=10, ge=1)
    cause_share: float = Field(default=0.3, gt=0, le=1)
    overload_deals: int = Field(default=40, ge=1)
    mix_shift: float = Field(default=0.2, gt=0, le=1)
    examples: int = Field(default=20, ge=0, le=1000)
    monthly_day: int = Field(default=1, ge=1, le=28)
    suggestions: Mapping[CauseWord, str] = SUGGESTIONS


@dataclass(frozen=True, slots=True)
class Stays:
    """What happened in one stage in a period. `days` of every stay that ended in it or lasted beyond it; `seconds` by
    the plain clock over the same stays."""

    stage_key: str
    entered: int = 0
    left: int = 0
    advanced: int = 0
    parked: int = 0
    days: Sequence[float] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Parked:
    """One deal parked in the stage, with what the diagnosis looks at. `contacts` since it came there."""

    opportunity_id: str
    owner_id: str
    customer_type: str
    contacts: int
    effective: int
    pending: bool
    unmet: bool


@dataclass(frozen=True, slots=True)
class Cause:
    cause: CauseWord
    share: float
    opportunity_ids: Sequence[str] = field(default_factory=tuple)


def sticking(rules: DiagnosisRules, stages: Sequence[Stays]) -> tuple[str, str]:
    """The stage that stands out and the rule that says so; both empty when none does."""
    parked = sum(stage.parked for stage in stages)
    fullest = max(stages, key=lambda stage: stage.parked, default=None)
    if fullest and fullest.parked >= rules.parked_least and fullest.parked >= rules.parked_share * parked:
        return fullest.stage_key, "parked_share"
    spent = sum(stage.seconds for stage in stages)
    longest = max(stages, key=lambda stage: stage.seconds, default=None)
    if longest and spent and longest.seconds >= rules.dwell_share * spent:
        return longest.stage_key, "dwell_share"
    return "", ""


def causes(
    rules: DiagnosisRules, parked: Sequence[Parked], load: Mapping[str, int], mix: Mapping[str, float]
) -> list[Cause]:
    """The likely causes, most likely first. `load`: open deals by seller; `mix`: share of each customer type among the
    deals of the baseline, empty where there were none."""
    if not parked:
        return []
    found = [
        _cause("no_follow_up", parked, [one for one in parked if not one.contacts]),
        _cause("empty_contacts", parked, [one for one in parked if one.contacts and not one.effective]),
        _cause("slow_approval", parked, [one for one in parked if one.pending]),
        _cause("unmet_evidence", parked, [one for one in parked if one.effective and one.unmet and not one.pending]),
        _cause("overload", parked, [one for one in parked if load.get(one.owner_id, 0) > rules.overload_deals]),
        _cause("mix_shift", parked, _shifted(rules, parked, mix)),
    ]
    likely = sorted((one for one in found if one.share >= rules.cause_share), key=lambda one: -one.share)
    return likely or [_cause("unknown", parked, parked)]


def _shifted(rules: DiagnosisRules, parked: Sequence[Parked], mix: Mapping[str, float]) -> list[Parked]:
    if not mix:
        return []
    share = {kind: sum(one.customer_type == kind for one in parked) / len(parked) for kind in mix} | {
        one.customer_type: sum(other.customer_type == one.customer_type for other in parked) / len(parked)
        for one in parked
    }
    return [one for one in parked if share[one.customer_type] - mix.get(one.customer_type, 0.0) > rules.mix_shift]


def _cause(cause: CauseWord, parked: Sequence[Parked], showing: Sequence[Parked]) -> Cause:
    return Cause(cause, len(showing) / len(parked), [one.opportunity_id for one in showing])


def change(now: int, before: int) -> float | None:
    """-0.35 for -35 %; None where there is nothing to compare with."""
    return (now - before) / before if before else None


def mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def quantile(values: Sequence[float], share: float) -> float | None:
    """Between the two nearest of the sorted values, as PostgreSQL's percentile_cont has it."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
