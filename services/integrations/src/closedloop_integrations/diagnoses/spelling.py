"""Words of English that are written wrong, told by a dictionary."""

from __future__ import annotations

import re

from rapidfuzz import fuzz
from spellchecker import SpellChecker

from closedloop_integrations.diagnoses.rules import DiagnosisRules

_WORD = re.compile(r"[A-Za-z]+")
# The dictionary writes as in America; what these make of a word is how it is written there. Both are right.
_BRITISH = tuple(
    (re.compile(pattern), american)
    for pattern, american in (
        (r"is(?=(?:e[drs]?|ing|ations?|ational)$)", "iz"),
        (r"ys(?=(?:e[drs]?|ing)$)", "yz"),
        (r"our", "or"),
        (r"re(?=s?$)", "er"),
        (r"ence(?=s?$)", "ense"),
        (r"ll(?=(?:ed|ing|ers?|ery)$)", "l"),
        (r"ellery$", "elry"),
        (r"mme(?=s?$)", "m"),
        (r"ogue(?=s?$)", "og"),
        (r"inium", "inum"),
        (r"[ao]e", "e"),
    )
)


class Speller:
    """The dictionaries are read when they are first asked."""

    def __init__(self, rules: DiagnosisRules) -> None:
        self._rules = rules
        self._read: dict[str, SpellChecker] = {}

    def meant(self, value: str) -> str:
        """The value with its misspelled words put right; empty where nothing is wrong, or nobody knows better.

        Words with a capital inside are names of things, and a word without a neighbour in the dictionary is left alone."""
        if not value.isascii():
            return ""
        corrected = _WORD.sub(lambda found: self._correct(found[0]), value)
        return corrected if corrected != value else ""

    def _correct(self, word: str) -> str:
        if len(word) < self._rules.shortest_word or not (word.islower() or word.istitle()):
            return word
        known, lower = self._dictionary("en"), word.lower()
        if lower in known:
            return word
        near = (known.candidates(lower) or set()) - {lower}
        best = max(near, key=lambda each: (known[each], each), default="")
        if not best or known[best] < self._rules.usual_word or self._right(lower):
            return word
        # A capital is a name until it is as good as the word: Globex is no Globe.
        if word.istitle() and fuzz.ratio(lower, best) < self._rules.name_likeness * 100:
            return word
        return best.title() if word.istitle() else best

    def _right(self, word: str) -> bool:
        """Whether it is the British way to write a word, or one of another language."""
        known = self._dictionary("en")
        if any(other != word and other in known for other in (each.sub(us, word) for each, us in _BRITISH)):
            return True
        return any(word in self._dictionary(language) for language in self._rules.other_languages)

    def _dictionary(self, language: str) -> SpellChecker:
        if language not in self._read:
            self._read[language] = SpellChecker(language=language, distance=1)
        return self._read[language]
