"""An answer held against the rubric, criterion by criterion, each grade with the sentence that shows it (S91)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from closedloop_funnel.drills.rules import FULL, CriterionRule, DrillRules, ScenarioRule
from closedloop_funnel.talk.listening import ENDS, Ear, Hit, Said, Talk
from closedloop_funnel.talk.rules import Phrase

SENTENCE = re.compile(rf"[^{re.escape(ENDS)}]+[{re.escape(ENDS)}]*")
CLAUSE = re.compile(r"[^，,、]+[，,、]*")
NEVER = "never"


@dataclass(frozen=True, slots=True)
class Graded:
    """`grade` 0..100; `sentence` is empty where nothing was said that shows it."""

    key: str
    grade: float
    comment: str
    sentence: str = ""


class Examiner:
    """A rulebook made ready."""

    def __init__(self, rules: DrillRules) -> None:
        self.rules = rules
        self._ears = {key: Ear(dict(_phrases(one))) for key, one in rules.scenarios.items()}

    def grade(self, key: str, text: str, risks: Mapping[str, str]) -> list[Graded]:
        """Of the criteria of which something is heard; the others are a person's. `risks`: risk phrases that the talk reader heard
        in the answer, each with its sentence. Too short an answer meets nothing."""
        criteria = self.rules.scenarios[key].criteria
        if _letters(text) < self.rules.shortest_answer:
            return [Graded(name, 0.0, "too little was said") for name in criteria]
        sentences = [match[0] for match in SENTENCE.finditer(text)]
        whole = self._listen(key, sentences)
        # A word or two between commas says nothing, however well chosen.
        full = self._listen(key, [self._without_loose_words(one) for one in sentences])
        judged = (_graded(name, one, whole, full, risks) for name, one in criteria.items())
        return [one for one in judged if one is not None]

    def _listen(self, key: str, sentences: Sequence[str]) -> dict[str, list[Hit]]:
        talk = Talk([Said("seller", one) for one in sentences], self.rules.longest_sentence)
        return self._ears[key].listen(talk, self.rules.grading_seconds)[0]

    def _without_loose_words(self, sentence: str) -> str:
        least = self.rules.shortest_clause
        return "".join(match[0] for match in CLAUSE.finditer(sentence) if _letters(match[0]) >= least)


def _graded(
    name: str,
    criterion: CriterionRule,
    whole: Mapping[str, list[Hit]],
    full: Mapping[str, list[Hit]],
    risks: Mapping[str, str],
) -> Graded | None:
    if criterion.risk in risks:
        return Graded(name, 0.0, f"heard: {criterion.risk}", risks[criterion.risk])
    if never := whole.get(f"{name}/{NEVER}"):
        return Graded(name, 0.0, "said what must not be said", never[0].sentence)
    for place, level in sorted(enumerate(criterion.levels), key=lambda one: -one[1].grade):
        if shown := full.get(f"{name}/{place}"):
            return Graded(name, level.grade, level.name, shown[0].sentence)
    if not criterion.silence_meets:
        return None
    return (
        Graded(name, 0.0, "nothing of it was said") if criterion.levels else Graded(name, FULL, "none of it was said")
    )


def _phrases(scenario: ScenarioRule) -> Iterator[tuple[str, Phrase]]:
    for name, criterion in scenario.criteria.items():
        if criterion.never is not None:
            yield f"{name}/{NEVER}", criterion.never
        for place, level in enumerate(criterion.levels):
            yield f"{name}/{place}", level.heard


def _letters(text: str) -> int:
    return len(re.sub(r"\W", "", text))


_examiners: list[Examiner] = []


def examiner(rules: DrillRules) -> Examiner:
    """Made ready once for each version of the rulebook; the two last used are kept."""
    for one in _examiners:
        if one.rules is rules:
            return one
    _examiners[:] = [Examiner(rules), *_examiners[:1]]
    return _examiners[0]
