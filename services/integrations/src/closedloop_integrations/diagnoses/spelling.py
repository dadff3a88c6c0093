"""Words of English that are written wrong, told by a dictionary."""

from __future__ import annotations

import re

from spellchecker import SpellChecker

from closedloop_integrations.diagnoses.rules import DiagnosisRules

_WORD = re.compile(r"[A-Za-z]+")


class Speller:
    """The dictionary is read when it is first asked."""

    def __init__(self, rules: DiagnosisRules) -> None:
        self._shortest = rules.shortest_word
        self._dictionary: SpellChecker | None = None

    def meant(self, value: str) -> str:
        """The value with its misspelled words put right; empty where nothing is wrong, or nobody knows better.

        Words with a capital inside are names of things, and a word without a neighbour in the dictionary is left alone."""
        if not value.isascii():
            return ""
        corrected = _WORD.sub(lambda found: self._correct(found[0]), value)
        return corrected if corrected != value else ""

    def _correct(self, word: str) -> str:
        if len(word) < self._shortest or not (word.islower() or word.istitle()):
            return word
        if self._dictionary is None:
            self._dictionary = SpellChecker(language="en", distance=1)
        lower = word.lower()
        if lower in self._dictionary:
            return word
        known = self._dictionary
        near = known.candidates(lower) or set()
        best = max(near - {lower}, key=lambda each: (known[each], each), default="")
        return (best.title() if word.istitle() else best) or word
