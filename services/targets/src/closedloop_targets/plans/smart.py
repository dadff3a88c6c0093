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
    # Whether a holder without any history is believed.
    accept_without_history: bool = True


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


@dataclass(frozen=True, slots=True)
class Facts:
    """What the amount is held against: the base period, what is done, and open deals that close in the period."""

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
    if draft.metric.aggregation != "sum":
        return Finding("achievable", True, f"{draft.metric.name} is not summed up; history sets it no limit")
    evidence = _evidence(draft, facts)
    carried = facts.done_minor + facts.pipeline_minor
    covered = carried >= rules.pipeline_coverage * draft.minor
    if facts.base_minor is None or facts.base_minor <= 0:
        if covered or rules.accept_without_history:
            return Finding("achievable", True, "no history to hold it against; nothing speaks against it", evidence)
        return Finding("achievable", False, "no history, and the pipeline does not carry it", evidence)
    growth = draft.minor / facts.base_minor - 1
    if growth <= rules.growth_limit:
        said = f"{growth:+.1%} over {facts.base_period}, up to {rules.growth_limit:+.0%} is believed"
        return Finding("achievable", True, said, evidence)
    if covered:
        said = f"{growth:+.1%} over {facts.base_period}, and the pipeline carries {carried / draft.minor:.0%} of it"
        return Finding("achievable", True, said, evidence)
    said = (
        f"{growth:+.1%} over {facts.base_period} is more than {rules.growth_limit:+.0%}, and the pipeline carries only "
    )
    return Finding("achievable", False, f"{said}{carried / draft.minor:.0%} of it", evidence)


def _evidence(draft: Draft, facts: Facts) -> tuple[Evidence, ...]:
    scale = coins(draft.currency) if draft.currency else amounts.MILLIONTHS
    unit = _unit(draft)
    found = []
    if facts.base_minor is not None:
        found.append(Evidence("history", facts.base_minor / scale, unit, f"actuals of {facts.base_period}"))
        if facts.base_minor > 0 and draft.minor is not None:
            found.append(Evidence("growth", draft.minor / facts.base_minor - 1, "1", f"against {facts.base_period}"))
    found.append(Evidence("done", facts.done_minor / scale, unit, "actuals of the period so far"))
    found.append(
        Evidence("pipeline", facts.pipeline_minor / scale, unit, "open opportunities that close in the period")
    )
    return tuple(found)


def _unit(draft: Draft) -> str:
    return draft.currency or (draft.metric.unit if draft.metric else "")
