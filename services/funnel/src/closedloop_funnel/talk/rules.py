"""What is listened for in a conversation, and what it is worth; the catalogues are beside it (S48, S49)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, TypeVar

import regex
from pydantic import Field, field_validator, model_validator

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_funnel.talk import objections, risks, signals
from closedloop_funnel.talk.phrases import Catalogue

Kind = TypeVar("Kind", bound=Part)
Light = Literal["none", "yellow", "red"]


class Phrase(Part):
    """Said when one of `words` or `patterns` is in a sentence that has none of `unless`. Latin words match whole words;
    letters' case does not count. A pattern sees one utterance."""

    words: tuple[str, ...] = Field(default=(), max_length=300)
    patterns: tuple[str, ...] = Field(default=(), max_length=50)
    unless: tuple[str, ...] = Field(default=(), max_length=100)

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if len(pattern) > 1000:
                raise ValueError("a pattern has 1000 characters at the most")
            try:
                regex.compile(pattern)
            except regex.error as error:
                raise ValueError(f"not a pattern: {error}") from error
        return patterns

    @field_validator("words", "unless")
    @classmethod
    def _say_something(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() and len(word) <= 100 for word in words):
            raise ValueError("a word has 1 to 100 characters")
        return words


class KeywordRule(Part):
    name: str = Field(min_length=1, max_length=200)
    heard: Phrase


class Reply(Part):
    """An answer to an objection; better than others in one of `stages`, for one of `customer_types`."""

    text: str = Field(min_length=1, max_length=2000)
    stages: tuple[str, ...] = ()
    customer_types: tuple[str, ...] = ()


class ObjectionRule(Part):
    """What a customer says against; `replies` best first."""

    name: str = Field(min_length=1, max_length=200)
    heard: Phrase
    replies: tuple[Reply, ...] = Field(min_length=1)
    confidence: float = Field(default=0.8, gt=0, le=1)

    def reply(self, stage: str, customer_type: str) -> str:
        """The first that fits best: stage and type, one of them, else none named."""

        def fit(reply: Reply) -> int:
            given = ((reply.stages, stage), (reply.customer_types, customer_type))
            return sum((value in wanted) - 3 * (value not in wanted) for wanted, value in given if wanted)

        return max(self.replies, key=fit).text


class SignalRule(Part):
    """What a customer's sentence says of his intent (above 0 drawn near, below 0 turned away) or of leaving us."""

    name: str = Field(min_length=1, max_length=200)
    heard: Phrase
    weight: float = Field(ge=-1, le=1)


class RiskRule(Part):
    """One risk phrase. "said": the seller says `heard`. "unprompted": he does before the customer raised `objection`.
    "unanswered": the customer says `heard` or raises `objection`, and the seller's next `within` turns have no `answer`.
    "missing": somebody says `heard`, the moment at which it was due, and nobody `answer` within as many turns of it."""

    name: str = Field(min_length=1, max_length=200)
    shape: Literal["said", "unprompted", "unanswered", "missing"]
    heard: Phrase = Phrase()
    answer: Phrase = Phrase()
    objection: str = ""
    within: int = Field(default=2, ge=1, le=50)
    confidence: float = Field(default=0.7, gt=0, le=1)


class TalkRules(Rules):
    """A conversation has at most `longest_characters` in `longest_hours`; reading it takes at most `reading_seconds`, then
    patterns still to be tried are left out and the reading says so. One key is heard `most_hearings` times at the most. A
    report's share takes `report_least` conversations, a precision as many that were reviewed."""

    rulebook: ClassVar[str] = "funnel.talk"

    longest_characters: int = Field(default=500_000, ge=1_000, le=5_000_000)
    longest_hours: float = Field(default=24, gt=0, le=168)
    reading_seconds: float = Field(default=3.0, gt=0, le=10)
    most_hearings: int = Field(default=20, ge=1, le=1000)
    longest_sentence: int = Field(default=500, ge=20, le=5000)
    keywords: dict[str, KeywordRule] = Field(default_factory=lambda: _made(KeywordRule, signals.KEYWORDS))
    objections: dict[str, ObjectionRule] = Field(default_factory=lambda: _made(ObjectionRule, objections.OBJECTIONS))
    intents: dict[str, SignalRule] = Field(default_factory=lambda: _made(SignalRule, signals.INTENTS))
    # Weights above 0: the chance that a customer who says it leaves, as the company judges it.
    churn: dict[str, SignalRule] = Field(default_factory=lambda: _made(SignalRule, signals.CHURN))
    risks: dict[str, RiskRule] = Field(default_factory=lambda: _made(RiskRule, risks.RISKS))
    churn_yellow: float = Field(default=0.4, ge=0, le=1)
    churn_red: float = Field(default=0.7, ge=0, le=1)
    # Evidence that counts for neither side: the larger, the more must be said before intent leaves the middle.
    intent_prior: float = Field(default=1.0, gt=0, le=100)
    # A trend is drawn through this many conversations.
    trend_least: int = Field(default=3, ge=2, le=100)
    trend_month_days: float = Field(default=30.4375, gt=0)
    report_least: int = Field(default=5, ge=1, le=100_000)

    @model_validator(mode="after")
    def _agree(self) -> TalkRules:
        strange = {risk.objection for risk in self.risks.values()} - {"", *self.objections}
        if strange:
            raise ValueError(f"no objection {sorted(strange)[0]}")
        if self.churn_red < self.churn_yellow:
            raise ValueError("red begins below yellow")
        return self


def _made(kind: type[Kind], given: Catalogue) -> dict[str, Kind]:
    return {key: kind.model_validate(value) for key, value in given.items()}


def intent(weights: Iterable[float], prior: float) -> float:
    """-1 turned away .. 1 ready to buy: what speaks for less what speaks against, over all and the prior."""
    heard = list(weights)
    return sum(heard) / (sum(map(abs, heard)) + prior)


def churn_ratio(weights: Iterable[float]) -> float:
    """That at least one of the signals means it, as if they were independent."""
    stays = 1.0
    for weight in weights:
        stays *= 1 - max(weight, 0.0)
    return 1 - stays


def churn_light(rules: TalkRules, ratio: float) -> Light:
    if ratio >= rules.churn_red:
        return "red"
    return "yellow" if ratio >= rules.churn_yellow else "none"


def slope(points: Sequence[tuple[float, float]], least: int) -> float | None:
    """Least squares through (months, intent); None with too few points, or all at one time."""
    if len(points) < least:
        return None
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else None
