"""Facts are read out of sentences, by the patterns of `integrations.mail` and within its time limit."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import regex
import structlog

from closedloop_integrations.mail import wrapping
from closedloop_integrations.mail.phrases import FactKind, FactRule
from closedloop_integrations.mail.rules import MailRules

log = structlog.get_logger(__name__)

# A longer stretch without a full stop is no sentence, and patterns stay cheap.
_SENTENCE = re.compile(r"[^。！？!?；;\n.]+(?:\.(?!\s|$)[^。！？!?；;\n.]*)*[。！？!?；;.]?")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.A)
_PHONE = re.compile(
    r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)|(?<!\d)0\d{2,3}-\d{7,8}(?!\d)|\+\d[\d -]{8,16}\d"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something said, with the sentence that says it: `text[offset : offset + len(sentence)] == sentence`."""

    kind: FactKind
    sentence: str
    offset: int
    confidence: float
    rule: str
    person_name: str = ""
    person_address: str = ""
    values: dict[str, str] = field(default_factory=dict)


def facts_in(text: str, nature: str, rules: MailRules) -> list[Fact]:
    """In the order of the text; of several rules of one kind in one sentence the surest counts. Bulk mail says nothing.

    A sentence that was broken into lines is read as one, and a name at the end of a line that may go on in the next is none."""
    if nature not in ("personal", "auto_reply"):
        return []
    compiled = [(rule, regex.compile(rule.pattern)) for rule in rules.facts]
    found: list[Fact] = []
    give_up = time.monotonic() + rules.reading_seconds
    for offset, sentence in sentences(wrapping.marked(text, rules.wrapped_from), rules.longest_sentence):
        if time.monotonic() > give_up:
            break
        end = offset + len(sentence)
        written, read = text[offset:end], wrapping.joined(sentence)
        torn = wrapping.goes_on(text[end : end + wrapping.LOOK_AHEAD])
        best: dict[str, Fact] = {}
        for rule, pattern in compiled:
            fact = _fact(read, offset, rule, pattern, nature, rules, give_up)
            if fact is None or (torn and fact.person_name and read.endswith(fact.person_name)):
                continue
            fact = replace(fact, sentence=written)
            if rule.kind not in best or best[rule.kind].confidence < fact.confidence:
                best[rule.kind] = fact
        found += best.values()
    return found


def sentences(text: str, longest: int) -> Iterator[tuple[int, str]]:
    """Sentences with their offsets, without white space around them."""
    for found in _SENTENCE.finditer(text):
        sentence = found[0].strip()
        if sentence and len(sentence) <= longest:
            yield found.start() + len(found[0]) - len(found[0].lstrip()), sentence


def _holds(text: str, words: tuple[str, ...]) -> bool:
    """English words as whole ones and in any case ("another" is no "not"); Chinese and endings ("n't") wherever they stand."""
    return any(
        re.search(rf"(?<![a-z]){re.escape(word.strip())}(?![a-z])", text, re.I)
        if word.strip().isalpha() and word.isascii()
        else word in text
        for word in words
    )


def _fact(
    sentence: str,
    offset: int,
    rule: FactRule,
    pattern: regex.Pattern[str],
    nature: str,
    rules: MailRules,
    give_up: float,
) -> Fact | None:
    left = give_up - time.monotonic()
    if left <= 0:
        return None
    try:
        match = pattern.search(sentence, timeout=left)
    except TimeoutError:
        log.warning("a pattern takes too long, the rest of the mail is not read", rule=rule.name)
        return None
    if match is None or _holds(sentence, rules.open_words):
        return None
    before_and_in = sentence[max(0, match.start() - 6) : match.end()]
    if not rule.by_denial and _holds(before_and_in, rules.negations):
        return None
    groups = {name: value.strip() for name, value in match.groupdict().items() if value and value.strip()}
    person = groups.pop("person", "")
    address, phone = _ADDRESS.search(sentence), _PHONE.search(sentence)
    if rule.kind in ("new_contact", "contact_detail"):
        groups |= {"email": address[0]} if address else {}
        groups |= {"phone": phone[0]} if phone else {}
    confidence = rule.confidence * (rules.automatic_factor if nature == "auto_reply" else 1.0)
    if confidence < rules.least_confidence:
        return None
    about = address[0].casefold() if address and rule.kind == "new_contact" else ""
    return Fact(rule.kind, sentence, offset, round(confidence, 4), rule.name, person, about, groups)
