"""Who is asked, what, and which answers contradict a log (S46)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from hashlib import sha256
from math import floor
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules


class QuestionRule(Part):
    """One question. A "score" is 1 to `highest` and part of satisfaction; a "choice" is one of `choices`. An answer of
    `against` contradicts a log of one of `kinds` (any when empty) that says one of `attitudes` (any when empty)."""

    text: str = Field(min_length=1, max_length=500)
    kind: Literal["score", "choice", "text"]
    highest: int = Field(default=5, ge=2, le=10)
    choices: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    attitudes: tuple[str, ...] = ()
    contradiction: str = Field(default="", max_length=500)

    def fits(self, value: str) -> bool:
        if self.kind == "score":
            return value.isascii() and value.isdigit() and 1 <= int(value) <= self.highest
        return self.kind == "text" or value in self.choices


QUESTIONS: dict[str, QuestionRule] = {
    "contacted": QuestionRule(
        text="我们的销售近期是否与您沟通过?",
        kind="choice",
        choices=("yes", "no"),
        against=("no",),
        contradiction="客户说没有沟通过",
    ),
    "in_person": QuestionRule(
        text="是否当面沟通?",
        kind="choice",
        choices=("yes", "no"),
        against=("no",),
        kinds=("visit", "meeting", "demo"),
        contradiction="客户说没有见面",
    ),
    "satisfaction": QuestionRule(
        text="您对这次沟通满意吗? (1-5)",
        kind="score",
        against=("1", "2"),
        attitudes=("warm", "committed"),
        contradiction="日志称客户态度积极, 客户并不满意",
    ),
    "remarks": QuestionRule(text="您还想说什么?", kind="text"),
}


class SurveyRules(Rules):
    """`ratio` of completed contacts of `contact_kinds` is drawn every Monday at `hour` for the week before, when
    `weekly`; an answer is taken until `expires`; of a sample nothing is said before
    `least_answers`. `subject` and `letter` go to the contact with the questions."""

    rulebook: ClassVar[str] = "funnel.surveys"

    ratio: float = Field(default=0.1, gt=0, le=1)
    contact_kinds: tuple[str, ...] = ("visit", "call", "meeting", "demo")
    weekly: bool = True
    hour: time = time(8)
    expires: ClockSetting = ClockSetting(days=14, calendar="plain")
    least_answers: int = Field(default=5, ge=2, le=100_000)
    questions: dict[str, QuestionRule] = QUESTIONS
    subject: str = Field(default="您对我们的沟通满意吗?", min_length=1, max_length=200)
    letter: str = Field(default="您好, 请用一分钟告诉我们:", min_length=1, max_length=5000)


def sample(population: Mapping[str, Iterable[str]], ratio: float, seed: int) -> list[str]:
    """The drawn ids; the same for the same population, ratio and seed, in whatever order it comes.

    Systematic sampling over the sellers (Madow 1949): of n contacts each seller gives floor(n x ratio) or one more, n x
    ratio in expectation, and all together the ratio to within one. Which of his contacts is decided by a hash.
    """
    reached, drawn = Random(seed).random(), []
    for owner in sorted(population):
        ids = sorted(population[owner], key=lambda one: sha256(f"{seed}/{one}".encode()).digest())
        before = floor(reached)
        reached += len(ids) * ratio
        drawn += ids[: floor(reached) - before]
    return sorted(drawn)


def satisfaction(questions: Mapping[str, QuestionRule], answers: Mapping[str, str]) -> float | None:
    """0..1 over the scores given; None without any."""
    shares = [
        (int(value) - 1) / (questions[key].highest - 1)
        for key, value in answers.items()
        if questions[key].kind == "score"
    ]
    return sum(shares) / len(shares) if shares else None


def contradictions(
    questions: Mapping[str, QuestionRule], answers: Mapping[str, str], kind: str, attitude: str
) -> Sequence[str]:
    """What the answers contradict in a log of that kind and attitude, in words."""
    found = []
    for key, value in answers.items():
        rule = questions[key]
        applies = (not rule.kinds or kind in rule.kinds) and (not rule.attitudes or attitude in rule.attitudes)
        if applies and value in rule.against:
            found.append(rule.contradiction or f"{rule.text} {value}")
    return found
