"""Which lessons a step needs, and when a lesson counts as applied (S86, S88)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules


class LessonRules(Rules):
    """At one step `most_at_once` lessons are offered, none longer than `longest_minutes`, none again within `again_days`
    to who has been through it. An offer holds for `open_for`. `pass_ratio` of its questions are to be answered right.
    An open breaker offers lessons of `breaker_abilities`. A lesson applied earns `points`."""

    rulebook: ClassVar[str] = "funnel.lessons"

    most_at_once: int = Field(default=2, ge=0, le=20)
    longest_minutes: float = Field(default=5, gt=0, le=600)
    again_days: int = Field(default=180, ge=0, le=3660)
    open_for: ClockSetting = ClockSetting(days=30, calendar="plain")
    pass_ratio: float = Field(default=0.6, ge=0, le=1)
    breaker_abilities: tuple[str, ...] = ("needs", "closing")
    points: int = Field(default=3, ge=0, le=1000)
    review_task_kind: str = Field(default="confirmation", min_length=1, max_length=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What decides where a lesson is offered; empty collections: everywhere."""

    id: str
    minutes: float
    customer_types: Collection[str] = ()
    industries: Collection[str] = ()
    stage_keys: Collection[str] = ()
    product_ids: Collection[str] = ()
    ability_keys: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a deal stands; `stage` as "<pipeline>/<stage>", `opened`: it has just begun."""

    customer_type: str = ""
    industry: str = ""
    stage: str = ""
    product_ids: Collection[str] = ()
    opened: bool = False


def chosen(rules: LessonRules, step: Step, lessons: Sequence[Lesson], had: Collection[str]) -> list[str]:
    """Ids of the lessons for the step, the best first: made for its stage; where a deal opens, also those made for such a
    deal whatever the stage. The more it is made for it the better, the shorter the better."""
    fitting = [
        (-_made_for(lesson, step), lesson.minutes, lesson.id)
        for lesson in lessons
        if lesson.id not in had and lesson.minutes <= rules.longest_minutes and _applies(lesson, step)
    ]
    return [id_ for _, _, id_ in sorted(fitting)[: rules.most_at_once]]


def _dimensions(lesson: Lesson, step: Step) -> list[tuple[Collection[str], bool]]:
    return [
        (lesson.stage_keys, step.stage in lesson.stage_keys),
        (lesson.customer_types, step.customer_type in lesson.customer_types),
        (lesson.industries, step.industry in lesson.industries),
        (lesson.product_ids, bool(set(step.product_ids) & set(lesson.product_ids))),
    ]


def _made_for(lesson: Lesson, step: Step) -> int:
    return sum(fits for _, fits in _dimensions(lesson, step))


def _applies(lesson: Lesson, step: Step) -> bool:
    if any(named and not fits for named, fits in _dimensions(lesson, step)):
        return False
    return bool(lesson.stage_keys) or (step.opened and _made_for(lesson, step) > 0)


def for_breaker(rules: LessonRules, lessons: Sequence[Lesson], had: Collection[str]) -> list[str]:
    """Lessons that train what a seller of empty visits lacks."""
    fitting = [
        (lesson.minutes, lesson.id)
        for lesson in lessons
        if lesson.id not in had and set(lesson.ability_keys) & set(rules.breaker_abilities)
    ]
    return [id_ for _, id_ in sorted(fitting)[: rules.most_at_once]]


def right(questions: Sequence[tuple[str, str]], answers: Sequence[str]) -> float | None:
    """Share of the questions answered right; spaces and case do not count. None without questions."""
    if not questions:
        return None

    def plain(text: str) -> str:
        return "".join(text.casefold().split())

    hits = sum(plain(given) == plain(asked[1]) for asked, given in zip(questions, answers, strict=False))
    return hits / len(questions)


def shown(
    applied: Collection[str], heard: Mapping[str, str], risks: Collection[str], answers: Mapping[str, Collection[str]]
) -> str:
    """The sentence that shows a lesson applied, empty if none does. `heard`: sentence by key of what a conversation has
    (risk phrases aside), `risks`: risk phrases heard; `answers`: by objection the risks of leaving it unanswered: one
    that was dodged shows nothing."""
    for key in sorted(applied):
        if key in heard and not set(answers.get(key, ())) & set(risks):
            return heard[key]
    return ""
