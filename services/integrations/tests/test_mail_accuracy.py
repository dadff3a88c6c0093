"""How well facts are read out of mails, against labelled ones: precision and recall of every kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from labelled_mails import KINDS, Labelled, mails

from closedloop_integrations.mail.facts import facts_in
from closedloop_integrations.mail.mime import parse
from closedloop_integrations.mail.quoting import cut
from closedloop_integrations.mail.rules import MailRules, nature_of

RULES = MailRules(reading_seconds=5)


def stated(raw: bytes) -> list[tuple[str, str]]:
    mail = parse(raw)
    return [(fact.kind, fact.sentence) for fact in facts_in(cut(mail.text).text, nature_of(mail, RULES), RULES)]


def measure(labelled: Iterable[Labelled]) -> tuple[Counter[tuple[str, str, str]], list[str]]:
    """By language, kind and "right", "wrong" or "missed"; and what went wrong, for who mends the patterns.

    Right is a fact only with the sentence that states it."""
    counts: Counter[tuple[str, str, str]] = Counter()
    errors: list[str] = []
    for mail in labelled:
        found, missing = stated(mail.raw), list(mail.states)
        for kind, sentence in found:
            match = next((one for one in missing if one[0] == kind and sentence in one[1]), None)
            counts[mail.language, kind, "right" if match else "wrong"] += 1
            if match:
                missing.remove(match)
            else:
                errors.append(f"wrong  {kind}: {sentence}")
        for kind, sentence in missing:
            counts[mail.language, kind, "missed"] += 1
            errors.append(f"missed {kind}: {sentence}")
    return counts, errors


def rates(counts: Counter[tuple[str, str, str]], kind: str, language: str = "") -> tuple[float, float, int]:
    """Precision, recall and how often it is stated."""

    def of(outcome: str) -> int:
        return sum(n for (spoken, k, o), n in counts.items() if k == kind and o == outcome and language in ("", spoken))

    right, wrong, missed = of("right"), of("wrong"), of("missed")
    return right / max(right + wrong, 1), right / max(right + missed, 1), right + missed
