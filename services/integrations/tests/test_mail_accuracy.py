"""How well facts are read out of mails, against labelled ones: precision and recall of every kind."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path

import pytest

from closedloop_integrations.mail.facts import facts_in
from closedloop_integrations.mail.mime import parse
from closedloop_integrations.mail.quoting import cut
from closedloop_integrations.mail.rules import MailRules, nature_of

from .labelled_mails import KINDS, Labelled, mails

RULES = MailRules(reading_seconds=5)


def stated(raw: bytes) -> list[tuple[str, str]]:
    mail = parse(raw)
    return [
        (fact.kind, fact.sentence)
        for fact in facts_in(cut(mail.text, RULES.quoting).text, nature_of(mail, RULES), RULES)
    ]


def measure(labelled: Iterable[Labelled]) -> tuple[Counter[tuple[str, str, str]], list[str]]:
    """By language, kind and "right", "wrong" or "missed"; and what went wrong, for who mends the patterns.

    Right is a fact only with the sentence that states it."""
    counts: Counter[tuple[str, str, str]] = Counter()
    errors: list[str] = []
    for mail in labelled:
        found, missing = stated(mail.raw), list(mail.states)
        for kind, written in found:
            sentence = _in_one_line(written, mail.language)
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


def _in_one_line(sentence: str, language: str) -> str:
    return sentence.replace("\n", " " if language == "en" else "")


def rates(counts: Counter[tuple[str, str, str]], kind: str, language: str = "") -> tuple[float, float, int]:
    """Precision, recall and how often it is stated."""

    def of(outcome: str) -> int:
        return sum(n for (spoken, k, o), n in counts.items() if k == kind and o == outcome and language in ("", spoken))

    right, wrong, missed = of("right"), of("wrong"), of("missed")
    return right / max(right + wrong, 1), right / max(right + missed, 1), right + missed


# What the held-out mails came to, less one or two in a kind: (precision, recall).
FLOORS = {
    "job_change": (0.95, 0.79),
    "left_company": (0.95, 0.6),
    "new_contact": (0.95, 0.79),
    "new_project": (0.65, 0.64),
    "absence": (0.95, 0.85),
    "contact_detail": (0.95, 0.95),
}


@pytest.mark.mission("S32")
def test_facts_nobody_mended_the_patterns_by_are_read_as_well_as_the_manual_says() -> None:
    labelled = list(mails("held_out", 1))
    assert len({mail.raw for mail in labelled}) == 200
    counts, errors = measure(labelled)
    for kind in KINDS:
        precision, recall, stated_ = rates(counts, kind)
        assert stated_ >= 25
        assert precision >= FLOORS[kind][0], (kind, precision, errors)
        assert recall >= FLOORS[kind][1], (kind, recall, errors)


def wrapped(raw: bytes, columns: int = 72) -> bytes:
    """As programs do that send plain text: at spaces, and Chinese, which takes two columns, between any letters."""
    message = message_from_bytes(raw)
    lines = message.get_payload(decode=True).decode().split("\n")
    broken: list[str] = []
    for line in lines:
        if line.startswith(">") or line.isascii():
            broken += [line] if line.startswith(">") else textwrap.wrap(line, columns) or [""]
            continue
        start, width = 0, 0
        for at, letter in enumerate(line):
            wide = 1 if letter.isascii() else 2
            if width + wide > columns:
                broken.append(line[start:at])
                start, width = at, 0
            width += wide
        broken.append(line[start:])
    for name in ("Content-Type", "Content-Transfer-Encoding"):
        del message[name]
    message.set_payload("\n".join(broken), "utf-8")
    return message.as_bytes()


# Of the held-out mails as above, broken into lines of 72 columns: an address that is torn in two is none.
WRAPPED_FLOORS = FLOORS | {"contact_detail": (0.95, 0.9)}


@pytest.mark.mission("S32")
def test_mails_broken_into_lines_are_read_as_the_whole_ones() -> None:
    labelled = [replace(mail, raw=wrapped(mail.raw)) for mail in mails("held_out", 1)]
    counts, errors = measure(labelled)
    for kind in KINDS:
        precision, recall, _ = rates(counts, kind)
        assert precision >= WRAPPED_FLOORS[kind][0], (kind, precision, errors)
        assert recall >= WRAPPED_FLOORS[kind][1], (kind, recall, errors)


@pytest.mark.mission("S32")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("您好，我已经从学校离\n职，以后请联系王小\n明，电话13812345678。", []),
        ("新的联系人是王小明\n电话：13812345678", ["王小明"]),
        (
            "因为学校内部的工作安排有所调整，这些事情请找我的同事，今后请与王小\n明对接，电话13812345678。",
            ["王小明"],
        ),
    ],
)
def test_a_name_is_not_torn_by_the_end_of_a_line(text: str, names: list[str]) -> None:
    found = facts_in(text, "personal", RULES)
    assert [fact.person_name for fact in found if fact.person_name] == names
    assert all(text[fact.offset :].startswith(fact.sentence) for fact in found)


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, "a.\n" * 66_000, "中文\n" * 66_000], ids=["empty", "short", "chinese"]
)
def test_no_text_holds_its_reader(text: str) -> None:
    began = time.thread_time()
    facts_in(text, "personal", MailRules())
    assert time.thread_time() - began < 3.0


def test_flowed_text_is_read_in_the_lines_that_were_written() -> None:
    head = b"From: a@b.cn\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8; format=flowed"
    said = b"I have taken over as head of \r\nprocurement from January.\r\n> quoted \r\n> on\r\n  stuffed\r\n-- \r\nWang\r\n"
    assert parse(head + b"\r\n\r\n" + said).text.split("\n") == [
        "I have taken over as head of procurement from January.",
        "> quoted on",
        " stuffed",
        "--",
        "Wang",
    ]
    chinese = "我已经从学校离 \r\n职。\r\n".encode()
    assert parse(head + b"; delsp=yes\r\n\r\n" + chinese).text == "我已经从学校离职。"


@pytest.mark.mission("S32")
def test_practice_mails_stay_read() -> None:
    counts, errors = measure(mails("practice", 2))
    for kind in KINDS:
        precision, recall, _ = rates(counts, kind)
        assert precision >= 0.98, (kind, precision, errors)
        assert recall >= 0.94, (kind, recall, errors)


@pytest.mark.mission("S32")
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("I left a comment in the document.", []),
        ("I am about to start the meeting.", []),
        ("本周五是我在公司的最后一天。", ["left_company"]),
        ("If we plan to buy projectors, I will let you know.", []),
        ("I have moved to another team as IT director.", ["job_change"]),
        ("I won't be in the office before Monday.", ["absence"]),
    ],
)
def test_what_used_to_be_misread(text: str, kinds: list[str]) -> None:
    assert [fact.kind for fact in facts_in(text, "personal", RULES)] == kinds


@pytest.mark.mission("S32")
def test_real_mails_that_state_nothing(data_folder: Path) -> None:
    samples = sorted((data_folder / "mail").glob("*.eml"))
    assert len(samples) == 6
    assert {path.name: found for path in samples if (found := stated(path.read_bytes()))} == {}
    survey = (data_folder / "mail" / "signature_1.txt").read_text(errors="replace")
    assert facts_in(survey, "personal", RULES) == []
