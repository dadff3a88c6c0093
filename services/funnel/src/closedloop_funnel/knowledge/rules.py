"""How knowledge is found: words of any language without a dictionary, and how well it fits where one stands (S85)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class KnowledgeRules(Rules):
    """A word counts by where it stands (`title`, `summary`, `body`) and by how rare it is; one in more than `common` of
    all articles does not count. Then customer type, industry and stage: what is made for them is worth so much more,
    what is made for others `misfit` of it."""

    rulebook: ClassVar[str] = "funnel.knowledge"

    title: float = Field(default=1.0, gt=0, le=1)
    summary: float = Field(default=0.4, gt=0, le=1)
    body: float = Field(default=0.2, gt=0, le=1)
    common: float = Field(default=0.5, gt=0, le=1)
    most_terms: int = Field(default=40, ge=1, le=500)
    customer_type_fits: float = Field(default=0.5, ge=0, le=10)
    industry_fits: float = Field(default=0.5, ge=0, le=10)
    stage_fits: float = Field(default=0.5, ge=0, le=10)
    misfit: float = Field(default=0.4, gt=0, le=1)
    snippet_characters: int = Field(default=120, ge=20, le=1000)


# Runs of Chinese characters, and words of letters and digits.
RUN = re.compile(r"[\u3400-\u9fff]+|[^\W_\u3400-\u9fff]+")
LONGEST_WORD = 64
# What PostgreSQL keeps of a document: positions up to here, so many of a word.
LAST_PLACE, PLACES = 16_383, 255


def terms(text: str) -> list[str]:
    """Pairs of neighbouring Chinese characters, and other words whole; in order, with repetitions."""
    found = []
    for run in RUN.findall(text.casefold()):
        if run[0] < "\u3400" or run[0] > "\u9fff":
            found.append(run[:LONGEST_WORD])
        elif len(run) == 1:
            found.append(run)
        else:
            found += [run[at : at + 2] for at in range(len(run) - 1)]
    return found


def document(title: str, summary: str, body: str) -> str:
    """A tsvector as PostgreSQL reads it."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    at = 0
    for weight, text in (("A", title), ("B", summary), ("C", body)):
        for term in terms(text):
            at = min(at + 1, LAST_PLACE)
            if len(places[term]) < PLACES:
                places[term].append(f"{at}{weight}")
    return " ".join(f"{quoted(term)}:{','.join(where)}" for term, where in places.items())


def quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def snippet(wanted: Iterable[str], text: str, most: int) -> str:
    """The part of the text, `most` characters at the longest, that has the most of the wanted words; the beginning where
    none is in it."""
    asked = set(wanted)
    best, best_hits, sentence_ends = text[:most], 0, re.compile(r"(?<=[。！？!?\n])")
    for sentence in sentence_ends.split(text):
        hits = len(asked & set(terms(sentence)))
        if hits > best_hits:
            best, best_hits = sentence, hits
    return best.strip()[:most]


QUESTION, ANSWER = re.compile(r"^Q[:：]\s*(.+)$", re.MULTILINE), re.compile(r"^A[:：]\s*(.+)\n?", re.MULTILINE)


def questions(body: str) -> list[tuple[str, str]]:
    """Questions of a lesson with their answers: a line "Q: …" and after it a line "A: …"."""
    found = []
    for part in re.split(r"(?m)^(?=Q[:：])", body):
        asked, answered = QUESTION.search(part), ANSWER.search(part)
        if asked and answered:
            found.append((asked[1].strip(), answered[1].strip()))
    return found


def without_answers(body: str) -> str:
    return ANSWER.sub("", body)
