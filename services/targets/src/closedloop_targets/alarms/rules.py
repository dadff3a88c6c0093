"""When a deviation is a warning, who ranks as its cause, and whether an action worked (S8, S13, S14, S102)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules
from closedloop_targets.aggregation import SUM, Manner

Light = Literal["none", "blue", "yellow", "red"]
LIGHTS: tuple[Light, ...] = ("none", "blue", "yellow", "red")
# Of what is warned of without steps.
Warned = Literal["blue", "yellow", "red"]


class AlarmRules(Rules):
    """Colours of a week, the floor of a quarter, and how an alarm is answered and checked."""

    rulebook: ClassVar[str] = "targets.alarms"

    # Off the forecast either way: up to the first none, then blue, yellow, and red beyond the last.
    blue_beyond: float = Field(default=0.05, ge=0, le=10)
    yellow_beyond: float = Field(default=0.10, ge=0, le=10)
    red_beyond: float = Field(default=0.20, ge=0, le=10)
    # Weeks in a row under the weekly target that are red whatever the deviation (S13).
    red_after_weeks: int = Field(default=2, ge=1, le=52)
    # The least light that raises an alarm.
    raise_from: Light = "blue"
    # A quarter whose done lies below this share of what was asked by then raises the alarm (S8) …
    attainment_floor: float = Field(default=0.6, gt=0, le=1)
    # … once so many of its weeks are over.
    attainment_after_weeks: int = Field(default=4, ge=1, le=13)
    attainment_light: Warned = "red"
    # Of targets whose holder or owner is gone (S5).
    orphaned_light: Warned = "yellow"
    # Weeks before the last one that are measured again, for actuals that come late.
    measured_again: int = Field(default=4, ge=0, le=52)
    # ISO weekday and hour of the company's day at which the week before is measured.
    weekday: int = Field(default=1, ge=1, le=7)
    hour: int = Field(default=7, ge=0, le=23)
    # From the raise to the first answer.
    response: ClockSetting = ClockSetting(hours=24, warn_at=0.5)
    escalations: int = Field(default=3, ge=0, le=20)
    # Days from an answer to the check of its effect.
    check_after_days: int = Field(default=14, ge=1, le=366)
    # The latest a check may be set to.
    check_within_days: int = Field(default=366, ge=1, le=3660)
    # An action worked if the deviation shrank by this share of itself, or its light went out.
    effect_at_least: float = Field(default=0.2, ge=0, le=1)
    # Holder-weeks without which before and after are not compared.
    comparison_sample: int = Field(default=8, ge=2, le=10000)
    # Of the interval of the change.
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    # Metrics that are watched; the catalogue's main one when empty.
    metrics: tuple[str, ...] = ()

    def model_post_init(self, context: object, /) -> None:
        if not self.blue_beyond <= self.yellow_beyond <= self.red_beyond:
            raise ValueError("blue comes before yellow, and yellow before red")


class CauseRules(Rules):
    """What counts as how much of a cause (S8). Scores run from 0 to 1; their shares make the ranking."""

    rulebook: ClassVar[str] = "targets.causes"

    # Growth over the year before that is wholly unrealistic; half of it scores half.
    unrealistic_growth: float = Field(default=0.5, gt=0, le=100)
    # What a pipeline that carries the whole target takes away of that; one that carries half takes half as much.
    pipeline_relief: float = Field(default=0.5, ge=0, le=1)
    # Mean distance of people from their team's mean that is wholly uneven.
    uneven_spread: float = Field(default=0.27, gt=0, le=10)
    # People without whom nothing is said of evenness.
    least_heads: int = Field(default=2, ge=2, le=1000)
    # Hours from an event to our knowing, or from a warning to its answer, that are wholly late.
    late_hours: float = Field(default=42, gt=0, le=10000)
    # Days back in which a process metric must have been measured; some are once a month.
    tracked_days: int = Field(default=35, ge=1, le=366)
    weights: dict[str, float] = Field(
        default={"unrealistic_target": 1.0, "uneven_allocation": 1.0, "untracked_process": 1.0, "late_feedback": 1.0},
        max_length=8,
    )


def deviation(actual: int, reference: int) -> float:
    """Actual over reference, less 1; all of it where nothing was expected and something came."""
    if reference:
        return actual / reference - 1
    return 1.0 if actual else 0.0


def light(actual: int, reference: int, weeks_under: int, rules: AlarmRules, manner: Manner = SUM) -> Light:
    """Off the forecast either way, of what does not add up on the worse side; exact at the edges. Too many weeks under the
    target are red."""
    if weeks_under >= rules.red_after_weeks:
        return "red"
    if not manner.adds_up and manner.short(actual, reference) <= 0:
        return "none"
    steps = (Decimal(str(step)) for step in (rules.blue_beyond, rules.yellow_beyond, rules.red_beyond))
    off = abs(actual - reference)
    if not reference:
        return "red" if off else "none"
    return LIGHTS[sum(off > step * abs(reference) for step in steps)]


def warns(found: Light, rules: AlarmRules) -> bool:
    return found != "none" and LIGHTS.index(found) >= LIGHTS.index(rules.raise_from)


def low(done: int, expected: int, weeks_over: int, rules: AlarmRules, manner: Manner = SUM) -> bool:
    """Less than the floor of what was asked by now, after enough weeks."""
    if manner.lower_is_better:
        done, expected = expected, done
    return weeks_over >= rules.attainment_after_weeks and done < Decimal(str(rules.attainment_floor)) * expected


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a holder that missed; None: not known. Ratios, hours, counts."""

    growth: float | None = None
    carried: float | None = None
    spread: float | None = None
    heads: int = 0
    tracked: int = 0
    trackable: int = 0
    actions_done: int = 0
    actions_planned: int = 0
    feedback_hours: float | None = None
    response_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """`numbers` are (name, value, unit)."""

    cause: str
    share: float
    explanation: str
    numbers: tuple[tuple[str, float, str], ...]


def rank(signs: Signs, rules: CauseRules) -> list[Ranked]:
    """The likeliest first, each with the numbers it rests on. Shares sum to 1; nothing speaks for anything: even shares."""
    scored = [_unrealistic(signs, rules), _uneven(signs, rules), _untracked(signs), _late(signs, rules)]
    weighed = [(score * rules.weights.get(cause, 1.0), cause, said, numbers) for cause, score, said, numbers in scored]
    total = sum(score for score, *_ in weighed)
    even = 1 / len(weighed)
    ordered = sorted(weighed, key=lambda one: -one[0])
    return [Ranked(cause, score / total if total else even, said, numbers) for score, cause, said, numbers in ordered]


Scored = tuple[str, float, str, tuple[tuple[str, float, str], ...]]


def _unrealistic(signs: Signs, rules: CauseRules) -> Scored:
    cause = "unrealistic_target"
    if signs.growth is not None:
        score = _clamp(signs.growth / rules.unrealistic_growth)
        said = f"the target is {signs.growth:+.0%} on the year before; {rules.unrealistic_growth:+.0%} counts as wholly unrealistic"
        numbers: tuple[tuple[str, float, str], ...] = (("growth", signs.growth, "1"),)
        if signs.carried is not None:
            score *= 1 - _clamp(signs.carried) * rules.pipeline_relief
            said += f"; done and pipeline carry {signs.carried:.0%}"
            numbers += (("carried", signs.carried, "1"),)
        return cause, score, said, numbers
    if signs.carried is not None:
        said = f"no history; done and pipeline carry {signs.carried:.0%} of the target"
        return cause, _clamp(1 - signs.carried), said, (("carried", signs.carried, "1"),)
    return cause, 0.0, "neither history nor pipeline to hold it against", ()


def _uneven(signs: Signs, rules: CauseRules) -> Scored:
    if signs.spread is None or signs.heads < rules.least_heads:
        return "uneven_allocation", 0.0, "too few people to compare", (("heads", signs.heads, "1"),)
    said = (
        f"{signs.heads} people lie {signs.spread:.0%} off their mean on average; "
        f"{rules.uneven_spread:.0%} counts as wholly uneven"
    )
    numbers = (("spread", signs.spread, "1"), ("heads", signs.heads, "1"))
    return "uneven_allocation", _clamp(signs.spread / rules.uneven_spread), said, numbers


def _untracked(signs: Signs) -> Scored:
    if not signs.trackable and not signs.actions_planned:
        return "untracked_process", 0.0, "no process metric is asked for", ()
    gaps, said, numbers = [], [], []
    if signs.trackable:
        gaps.append(1 - signs.tracked / signs.trackable)
        said.append(f"{signs.tracked} of {signs.trackable} process metrics were measured")
        numbers += [("tracked", float(signs.tracked), "1"), ("trackable", float(signs.trackable), "1")]
    if signs.actions_planned:
        gaps.append(1 - min(signs.actions_done / signs.actions_planned, 1))
        said.append(f"{signs.actions_done} of {signs.actions_planned} planned actions were done")
        numbers += [
            ("actions_done", float(signs.actions_done), "1"),
            ("actions_planned", float(signs.actions_planned), "1"),
        ]
    return "untracked_process", sum(gaps) / len(gaps), "; ".join(said), tuple(numbers)


def _late(signs: Signs, rules: CauseRules) -> Scored:
    known = [hours for hours in (signs.feedback_hours, signs.response_hours) if hours is not None]
    if not known:
        return "late_feedback", 0.0, "nothing was recorded and no warning answered yet", ()
    said, numbers = [], []
    if signs.feedback_hours is not None:
        said.append(f"results are known {signs.feedback_hours:.0f} h after they happen")
        numbers.append(("feedback", signs.feedback_hours, "h"))
    if signs.response_hours is not None:
        said.append(f"warnings are answered after {signs.response_hours:.1f} h")
        numbers.append(("response", signs.response_hours, "h"))
    said.append(f"{rules.late_hours:.0f} h count as wholly late")
    return "late_feedback", _clamp(max(known) / rules.late_hours), "; ".join(said), tuple(numbers)


def _clamp(value: float) -> float:
    return min(max(value, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Effect:
    """`worked` None: it cannot be said."""

    worked: bool | None
    before: float
    after: float
    verdict: str


def effect(before: float, after: float | None, out: bool, rules: AlarmRules) -> Effect:
    """`after` None: no week was measured since; `out`: its light went out."""
    if after is None:
        return Effect(None, before, before, "cannot say: no week was measured since the answer")
    least = f"{rules.effect_at_least:.0%}"
    if out or abs(after) <= abs(before) * (1 - rules.effect_at_least):
        return Effect(True, before, after, f"the deviation went from {before:+.1%} to {after:+.1%}: the action worked")
    return Effect(
        False, before, after, f"the deviation went from {before:+.1%} to {after:+.1%}, which is not {least} less"
    )
