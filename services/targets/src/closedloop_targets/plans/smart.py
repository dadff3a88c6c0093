"""The SMART check (S1): five letters, each with what was found and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.currency import coins
from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets import amounts
from closedloop_targets.metrics.rules import Metric

Letter = Literal["specific", "measurable", "achievable", "relevant", "time_bound"]


class SmartRules(Rules):
    """What counts as achievable."""

    rulebook: ClassVar[str] = "targets.smart"

    # Growth over the same period of the year before that history alone carries; 1.0 is a doubling.
    growth_limit: float = Field(default=1.0, ge=0, le=100)
    # Beyond it, done and open pipeline together must reach this share of the amount.
    pipeline_coverage: float = Field(default=1.0, gt=0, le=100)
    # What one child may have of its parent's amount, padding aside.
    parent_share: float = Field(default=1.0, gt=0, le=100)
    # Whether a target is let through, as unproven, where nothing is known to hold it against.
    accept_without_history: bool = True


@dataclass(frozen=True, slots=True)
class Parent:
    """The target above, of the same metric: its holder's name, period and amount."""

    holder: str
    period: str
    minor: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a target before it is one. Amounts in minor units or millionths.

    `holder` is the holder's name, `serves` the parent target or the strategy in words, `period` its code; empty:
    missing.
    """

    holder: str
    metric: Metric | None
    minor: int | None
    currency: str
    growth_ratio: float | None
    period: str
    serves: str
    # Without padding; the amount itself where nothing is said.
    base_minor: int | None = None
    parent: Parent | None = None
    # Amounts as its sentence names them, where they are several.
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the amount is held against: the base period, what is done, and open deals that close in the period. Of
    metrics that are not summed up the means."""

    base_period: str = ""
    base_minor: int | None = None
    done_minor: int = 0
    pipeline_minor: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    name: str
    value: float
    unit: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    letter: Letter
    passed: bool
    statement: str
    evidence: tuple[Evidence, ...] = ()
    # Passed for want of anything to hold it against.
    unproven: bool = False


def check(draft: Draft, facts: Facts, rules: SmartRules) -> tuple[Finding, ...]:
    """One finding per letter, in the order of the word."""
    return (
        _specific(draft),
        _measurable(draft, facts),
        _achievable(draft, facts, rules),
        relevant(draft.serves),
        Finding("time_bound", bool(draft.period), f"for {draft.period}" if draft.period else "names no period"),
    )


def relevant(serves: str) -> Finding:
    return Finding("relevant", bool(serves), serves or "serves no parent target and no strategy")


def failed(findings: tuple[Finding, ...]) -> list[Letter]:
    return [finding.letter for finding in findings if not finding.passed]


def initials(letters: list[Letter]) -> str:
    """For `ErrorInfo.metadata`: "S,M"."""
    return ",".join(letter[0].upper() for letter in letters)


def told(findings: tuple[Finding, ...]) -> dict[str, str]:
    """The evidence of the letters that fail, for `ErrorInfo.metadata`: {"evidence_history": "1000 CNY: actuals of …"}."""
    return {
        f"evidence_{one.name}": f"{one.value:.15g} {one.unit}: {one.text}"
        for finding in findings
        if not finding.passed
        for one in finding.evidence
    }


def _specific(draft: Draft) -> Finding:
    missing = [what for what, there in (("whom it is for", draft.holder), ("a metric", draft.metric)) if not there]
    if missing:
        return Finding("specific", False, f"does not say {' nor '.join(missing)}")
    return Finding("specific", True, f"{draft.metric.name if draft.metric else ''} of {draft.holder}")


def _measurable(draft: Draft, facts: Facts) -> Finding:
    if draft.minor is None:
        if draft.growth_ratio is not None:
            base = facts.base_period or "the year before"
            return Finding(
                "measurable", False, f"{draft.growth_ratio:+.0%} of nothing: no actuals of {base}; say an amount"
            )
        if draft.rivals:
            return Finding("measurable", False, f"names {' and '.join(draft.rivals)}; say which amount is meant")
        return Finding("measurable", False, "has no amount")
    if draft.metric is not None and (draft.metric.kind == "money") is not bool(draft.currency):
        return Finding(
            "measurable", False, f"{draft.metric.name} is not measured in {draft.currency or 'plain numbers'}"
        )
    if draft.minor <= 0:
        return Finding("measurable", False, "an amount is more than nothing")
    unit = "" if draft.currency else _unit(draft)
    return Finding("measurable", True, f"{amounts.words(draft.minor, draft.currency)} {unit}".strip())


def _achievable(draft: Draft, facts: Facts, rules: SmartRules) -> Finding:
    if draft.minor is None or draft.minor <= 0 or draft.metric is None:
        return Finding("achievable", False, "cannot be said without an amount")
    evidence = _evidence(draft, facts)
    if refusal := _beyond(draft, draft.minor, draft.metric, rules):
        return Finding("achievable", False, refusal, evidence)
    carried = facts.done_minor + facts.pipeline_minor if draft.metric.adds_up else 0
    covered = carried >= rules.pipeline_coverage * draft.minor
    carries = f"done and pipeline carry {carried / draft.minor:.0%} of it"
    if facts.base_minor is not None and facts.base_minor > 0:
        growth = _growth(draft.metric, draft.minor, facts.base_minor)
        said = f"{growth:+.1%} over {facts.base_period}"
        if growth <= rules.growth_limit:
            return Finding("achievable", True, f"{said}, up to {rules.growth_limit:+.0%} is believed", evidence)
        if covered:
            return Finding("achievable", True, f"{said}, and {carries}", evidence)
        if not _healthy(draft.metric, draft.minor):
            limit = f"{said} is more than {rules.growth_limit:+.0%}"
            summed = f", and {carries}" if draft.metric.adds_up else ""
            return Finding("achievable", False, limit + summed, evidence)
    if covered:
        return Finding("achievable", True, f"no history, but {carries}", evidence)
    if _healthy(draft.metric, draft.minor):
        return Finding("achievable", True, f"within what is healthy: {draft.metric.healthy}", evidence)
    if draft.parent is not None and draft.parent.minor > 0 and draft.metric.adds_up:
        share = _base(draft) / draft.parent.minor
        said = f"no history; {share:.1%} of the parent target of {draft.parent.holder}"
        return Finding("achievable", rules.accept_without_history, said, evidence)
    if carried:
        return Finding("achievable", rules.accept_without_history, f"no history; {carries}", evidence)
    said = "cannot be said: there is no history, pipeline or parent target to hold it against"
    return Finding("achievable", rules.accept_without_history, said, evidence, unproven=rules.accept_without_history)


def _beyond(draft: Draft, minor: int, metric: Metric, rules: SmartRules) -> str:
    """Why there cannot be so much; empty: there can."""
    bound = metric.bound
    if bound is not None and minor > bound * amounts.MILLIONTHS:
        return f"{amounts.words(minor, draft.currency)} is more than {bound}, the most there can be of {metric.name}"
    if draft.parent is None or not metric.adds_up:
        return ""
    base, above = _base(draft), draft.parent
    if base <= rules.parent_share * above.minor:
        return ""
    limit = "" if rules.parent_share == 1 else f"{rules.parent_share:.0%} of "
    return (
        f"{amounts.words(base, draft.currency)} is more than {limit}the parent target of {above.holder}, "
        f"{amounts.words(above.minor, draft.currency)}"
    )


def _base(draft: Draft) -> int:
    return (draft.minor or 0) if draft.base_minor is None else draft.base_minor


def _growth(metric: Metric, minor: int, before: int) -> float:
    """How much better than before; half the hours are twice as good."""
    return before / minor - 1 if metric.lower_is_better else minor / before - 1


def _healthy(metric: Metric, minor: int) -> bool:
    """Whether it asks for no more than the catalogue calls healthy."""
    if metric.healthy is None:
        return False
    healthy = metric.healthy * amounts.MILLIONTHS
    return minor >= healthy if metric.lower_is_better else minor <= healthy


def _evidence(draft: Draft, facts: Facts) -> tuple[Evidence, ...]:
    scale = coins(draft.currency) if draft.currency else amounts.MILLIONTHS
    unit, metric = _unit(draft), draft.metric
    summed = metric is None or metric.adds_up
    actuals = "actuals" if summed else "mean"
    found = []
    if facts.base_minor is not None:
        found.append(Evidence("history", facts.base_minor / scale, unit, f"{actuals} of {facts.base_period}"))
        if facts.base_minor > 0 and draft.minor and metric is not None:
            growth = _growth(metric, draft.minor, facts.base_minor)
            found.append(Evidence("growth", growth, "1", f"against {facts.base_period}"))
    if summed:
        found.append(Evidence("done", facts.done_minor / scale, unit, "actuals of the period so far"))
        pipeline = "open opportunities that close in the period"
        found.append(Evidence("pipeline", facts.pipeline_minor / scale, unit, pipeline))
    if draft.parent is not None:
        above = draft.parent
        found.append(Evidence("parent", above.minor / scale, unit, f"target of {above.holder}, {above.period}"))
        if summed and above.minor > 0:
            found.append(Evidence("parent_share", _base(draft) / above.minor, "1", "of the parent target"))
    if metric is not None and metric.healthy is not None:
        found.append(Evidence("healthy", float(metric.healthy), unit, f"healthy {metric.name}"))
    if metric is not None and metric.bound is not None:
        found.append(Evidence("most", float(metric.bound), unit, "the most there can be"))
    return tuple(found)


def _unit(draft: Draft) -> str:
    return draft.currency or (draft.metric.unit if draft.metric else "")
