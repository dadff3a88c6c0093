"""What of a catalogue is said where: words in one pass over the whole talk, patterns one after the other under a time limit."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import ahocorasick
import regex
import structlog

from closedloop_funnel.talk.rules import Phrase

log = structlog.get_logger(__name__)

ENDS = "。！？!?；;\n"


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance; `side` is seller, customer or other, times in milliseconds from the start."""

    side: str
    text: str
    start_ms: int = 0
    end_ms: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a phrase is said: which utterance, and the sentence of it."""

    index: int
    sentence: str


class Ear:
    """Phrases by name, made ready once for all talks."""

    def __init__(self, phrases: Mapping[str, Phrase]) -> None:
        self.phrases = phrases
        names: dict[str, set[str]] = {}
        for name, phrase in phrases.items():
            for word in phrase.words:
                names.setdefault(_folded(word), set()).add(name)
        self._words = ahocorasick.Automaton()
        for word, of in names.items():
            self._words.add_word(word, (len(word), tuple(sorted(of))))
        self._words.make_automaton()
        self._any = bool(names)
        self._unless = {name: tuple(map(_folded, phrase.unless)) for name, phrase in phrases.items()}
        self._patterns = [
            (name, regex.compile(pattern, regex.IGNORECASE))
            for name, phrase in phrases.items()
            for pattern in phrase.patterns
        ]

    def listen(self, talk: Talk, seconds: float) -> tuple[dict[str, list[Hit]], list[str]]:
        """Hits by phrase, in the order of the talk, one for each utterance; and the names of phrases whose pattern was cut
        short or not tried, because `seconds` were over."""
        found: dict[str, dict[int, Hit]] = {}
        for name, start, end in self._words_in(talk.folded):
            self._keep(found, talk, name, start, end)
        give_up, late = time.monotonic() + seconds, []
        for name, pattern in self._patterns:
            left = give_up - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                for match in pattern.finditer(talk.folded, timeout=left):
                    self._keep(found, talk, name, match.start(), match.end())
            except TimeoutError:
                log.warning("a pattern takes too long, it is left out", phrase=name)
                late.append(name)
        return {name: [hits[index] for index in sorted(hits)] for name, hits in found.items()}, sorted(set(late))

    def _words_in(self, text: str) -> Iterator[tuple[str, int, int]]:
        if not self._any:
            return
        for last, (length, names) in self._words.iter(text):
            start, end = last + 1 - length, last + 1
            if not (_inside_word(text, start) or _inside_word(text, end)):
                for name in names:
                    yield name, start, end

    def _keep(self, found: dict[str, dict[int, Hit]], talk: Talk, name: str, start: int, end: int) -> None:
        index = talk.index(start)
        if end > talk.starts[index + 1] or index in found.get(name, ()):
            return
        sentence = talk.sentence(start, end)
        if not any(word in _folded(sentence) for word in self._unless[name]):
            found.setdefault(name, {})[index] = Hit(index, sentence)


@dataclass(frozen=True)
class Talk:
    """A conversation as one text, a line for each utterance. Sentences are cut at `longest`, around what is heard."""

    said: Sequence[Said]
    longest: int

    @cached_property
    def text(self) -> str:
        return "\n".join(" ".join(one.text.splitlines()) for one in self.said) + "\n"

    @cached_property
    def folded(self) -> str:
        return _folded(self.text)

    @cached_property
    def starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.text.split("\n")[:-1])]

    def index(self, position: int) -> int:
        return bisect_right(self.starts, position) - 1

    def sentence(self, start: int, end: int) -> str:
        begins = max(self.text.rfind(mark, max(0, start - self.longest), start) for mark in ENDS) + 1
        begins = max(begins, end - self.longest, 0)
        stops = [at for mark in ENDS if (at := self.text.find(mark, end, begins + self.longest)) >= 0]
        stop = min(stops, default=begins + self.longest - 1) + 1
        return self.text[begins:stop].strip()[: self.longest]


def _folded(text: str) -> str:
    """Lower case, with every character where it was: a few grow in lower case and stay as they are."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c if len(c.lower()) != 1 else c.lower() for c in text)


def _inside_word(text: str, at: int) -> bool:
    """Whether a Latin word goes on across this place."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    return before.isascii() and before.isalnum() and after.isascii() and after.isalnum()
