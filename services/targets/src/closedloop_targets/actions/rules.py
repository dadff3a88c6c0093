"""Which actions there are, how many carry a target, and what they moved (S15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Part, Rules

Warned = Literal["blue", "yellow", "red"]


class ActionKind(Part):
    """`unit_keys` are the funnel's action units that prove it; `verification` empty: nothing proves it, nobody may bind it."""

    code: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    name: str
    verification: str = "activity"
    unit_keys: tuple[str, ...] = ()
    result_metric: str = "won_value"


class ActionRules(Rules):
    """The catalogue, the least number of actions per target, and from which sample on a claim is made."""

    rulebook: ClassVar[str] = "targets.actions"

    kinds: tuple[ActionKind, ...] = (
        ActionKind(
            code="needs_diagnosis", name="需求诊断 Needs diagnosis", unit_keys=("needs_diagnosis", "needs_report")
        ),
        ActionKind(
            code="competitor_comparison", name="竞品对比 Competitor comparison", unit_keys=("competitor_comparison",)
        ),
        ActionKind(code="custom_demo", name="定制演示 Custom demo", unit_keys=("custom_demo",)),
        ActionKind(
            code="key_visit", name="重点拜访 Key visit", unit_keys=("visit",), result_metric="new_opportunities"
        ),
        ActionKind(
            code="proposal", name="定制方案 Custom proposal", verification="document", unit_keys=("custom_proposal",)
        ),
        ActionKind(code="coaching", name="辅导 Coaching", verification="leader"),
        ActionKind(
            code="joint_visit", name="陪访 Joint visit", unit_keys=("visit",), result_metric="new_opportunities"
        ),
        ActionKind(code="pipeline_review", name="商机评审 Pipeline review", verification="leader"),
    )
    # Verifiable actions that a target must be bound to: one that nobody passes on, and one whose owner leads those below.
    minimum: int = Field(default=3, ge=0, le=100)
    minimum_of_leaders: int = Field(default=3, ge=0, le=100)
    # Bound when a version is published to targets nobody bound anything to; empty: everybody binds their own.
    usual: tuple[str, ...] = ("needs_diagnosis", "competitor_comparison", "custom_demo")
    usual_of_leaders: tuple[str, ...] = ("coaching", "joint_visit", "pipeline_review")
    usual_quantity: int = Field(default=1, ge=1, le=1000)
    # Days either side of an action's day on which an activity proves it, and days after it until it is missed.
    match_days: int = Field(default=14, ge=0, le=366)
    grace_days: int = Field(default=3, ge=0, le=366)
    # Share of due actions done below which the holder is warned, once so many were due.
    behind_below: float = Field(default=0.5, ge=0, le=1)
    behind_after: int = Field(default=3, ge=1, le=1000)
    behind_light: Warned = "yellow"
    # Targets either side without which nothing is claimed.
    least_sample: int = Field(default=10, ge=2, le=10000)
    # Of the interval of a lift.
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    # The hour of the company's day at which days are closed.
    hour: int = Field(default=5, ge=0, le=23)

    @model_validator(mode="before")
    @classmethod
    def _catalogue_of_before(cls, given: Any) -> Any:
        """A company's own catalogue that lacks what leaders usually do, from before anybody asked it of them, asks nothing."""
        if not isinstance(given, dict) or {"usual_of_leaders", "minimum_of_leaders"} & given.keys():
            return given
        kinds = given.get("kinds")
        if not isinstance(kinds, list | tuple):
            return given
        codes = {one.get("code") if isinstance(one, dict) else getattr(one, "code", "") for one in kinds}
        usual = set(cls.model_fields["usual_of_leaders"].default)
        return given if usual <= codes else {**given, "usual_of_leaders": (), "minimum_of_leaders": 0}

    def model_post_init(self, context: object, /) -> None:
        codes = [kind.code for kind in self.kinds]
        if len(set(codes)) != len(codes):
            raise ValueError("a kind stands in the catalogue once")
        if unknown := {*self.usual, *self.usual_of_leaders} - set(codes):
            raise ValueError(f"unknown kinds among the usual ones: {', '.join(sorted(unknown))}")
        for leads in (False, True):
            if self.usual_for(leads) and len(self.usual_for(leads)) < self.least(leads):
                raise ValueError("the usual actions are fewer than a target must have")

    def least(self, leads: bool) -> int:
        """Of a target, by whether its owner leads those it was passed on to."""
        return self.minimum_of_leaders if leads else self.minimum

    def usual_for(self, leads: bool) -> tuple[str, ...]:
        return self.usual_of_leaders if leads else self.usual

    def kind(self, code: str) -> ActionKind:
        """Raises InvalidArgument UNKNOWN_ACTION_KIND and FailedPrecondition NOT_VERIFIABLE."""
        found = next((kind for kind in self.kinds if kind.code == code), None)
        if found is None:
            raise errors.InvalidArgument(
                "UNKNOWN_ACTION_KIND", f"targets.actions knows no {code!r}", {"bindings.kind": "unknown"}
            )
        if not found.verification:
            raise errors.FailedPrecondition("NOT_VERIFIABLE", f"nothing proves that {code} was done")
        return found


@dataclass(frozen=True, slots=True)
class Effect:
    """Mean completion with the action done as planned and without; lift and interval None where the sample is too small."""

    with_count: int
    without_count: int
    with_mean: float | None
    without_mean: float | None
    lift: float | None
    lower: float | None
    upper: float | None
    verdict: str


METHOD = "difference of means, Welch's t (statsmodels CompareMeans), {confidence:.0%} interval"


def effect(done: Sequence[float], not_done: Sequence[float], least: int, confidence: float) -> Effect:
    """Completions of targets either side. An observation, not a proof of cause; it refuses to claim on too few, and where
    nothing varies, for then nobody knows how far chance reaches.

    The library is imported by the first claim (0.7 s, 155 MB): not in the loop that answers others."""
    with_mean = fmean(done) if done else None
    without_mean = fmean(not_done) if not_done else None
    counts = (len(done), len(not_done))
    if min(counts) < max(least, 2) or with_mean is None or without_mean is None:
        said = f"cannot say: {counts[0]} targets with and {counts[1]} without, {least} of each are needed"
        return Effect(*counts, with_mean, without_mean, None, None, None, said)
    if min(done) == max(done) and min(not_done) == max(not_done):
        said = f"cannot say: neither the {counts[0]} targets with nor the {counts[1]} without differ among themselves"
        return Effect(*counts, with_mean, without_mean, None, None, None, said)
    from statsmodels.stats.weightstats import CompareMeans

    lift = with_mean - without_mean
    compared = CompareMeans.from_data(list(done), list(not_done))
    lower, upper = (float(edge) for edge in compared.tconfint_diff(alpha=1 - confidence, usevar="unequal"))
    sample = f"{counts[0]} with, {counts[1]} without; {lower:+.1%} to {upper:+.1%}"
    if lower > 0:
        said = f"completion is {lift:.1%} higher where it was done ({sample})"
    elif upper < 0:
        said = f"completion is {-lift:.1%} lower where it was done ({sample})"
    else:
        said = f"no difference that can be told from chance ({sample})"
    return Effect(*counts, with_mean, without_mean, lift, lower, upper, said)


@dataclass(frozen=True, slots=True)
class Provable:
    """An action that an activity may prove; `subject` empty: whatever it was about."""

    id: str
    owner_id: str
    kind: str
    date: date
    subject: str


@dataclass(frozen=True, slots=True)
class Proof:
    """An activity that was no false check-in, and the kinds it may prove, each once."""

    activity_id: str
    owner_id: str
    kinds: list[str]
    subjects: list[str]
    day: date
    at: datetime


def matched(actions: Sequence[Provable], proofs: Sequence[Proof], days: int) -> dict[str, str]:
    """The activity that proves each action, by action. The closest pair goes first: that about the action's own subject,
    then that of the nearest day; equal ones by day and id, so that the order in which anything was heard says nothing."""
    waiting: dict[tuple[str, str], list[Provable]] = {}
    for one in actions:
        waiting.setdefault((one.owner_id, one.kind), []).append(one)
    pairs = sorted(
        (one.subject == "", abs((one.date - proof.day).days), one.date, one.id, proof.day, proof.activity_id, kind)
        for proof in proofs
        for kind in proof.kinds
        for one in waiting.get((proof.owner_id, kind), ())
        if abs((one.date - proof.day).days) <= days and (not one.subject or one.subject in proof.subjects)
    )
    found: dict[str, str] = {}
    used: set[tuple[str, str]] = set()
    for *_, action, _, activity, kind in pairs:
        if action not in found and (activity, kind) not in used:
            found[action] = activity
            used.add((activity, kind))
    return found
