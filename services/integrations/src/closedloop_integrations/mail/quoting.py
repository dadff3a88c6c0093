"""Cuts a mail's text into what the sender wrote now, and his signature; history quoted below is dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part

Phrase = Annotated[str, Field(min_length=1, max_length=60)]
Phrases = Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=100)]

GAP = "…"
_DELIMITER = re.compile(r"^--[ \t]?$|^[ \t]*[—_]{3,}[ \t]*$|^[ \t]*-{3,}[ \t]*$", re.M)
_RULE = re.compile(r"^[ \t]*_{10,}[ \t]*$", re.M)
_ADDRESS_OR_NUMBER = r"@|https?://|\bwww\.|(?:\+?\d[\d ()-]{6,}\d)"
_NO_NEWLINE = re.compile(r"[^\n]")
_SENTENCE_END = re.compile(r"[。！？!?]\s*$|[a-z]\.\s*$")


class QuotingRules(Part):
    """The words by which mail programs and people set apart what is not written now; letters of either case."""

    # "On Tue, 3 Apr 2012, at 4:19 PM, bob wrote:", also broken over lines.
    wrote: Phrases = ("wrote",)
    # The same where the verb comes last in one line, as in Chinese.
    wrote_last: Phrases = ("写道", "来信", "寫道")
    # Between dashes, above what is quoted.
    separators: Phrases = ("Original Message", "Forwarded message", "原始邮件", "转发邮件", "原邮件")
    # Names of header fields; three such lines among five are a quoted header.
    headers: Phrases = (
        *("From", "Sent", "Date", "To", "Cc", "Subject"),
        *("发件人", "发送时间", "发送日期", "日期", "时间", "收件人", "抄送", "主题"),
    )
    # Lines that a device adds; "…" stands for its name.
    devices: Phrases = ("Sent from my …", "Get Outlook for …", "发自我的…", "来自我的…", "从…发送")
    # Alone in a line: what follows is a signature.
    farewells: Phrases = (
        *("best", "best regards", "best wishes", "kind", "kind regards", "kind wishes"),
        *("warm", "warm regards", "warm wishes", "regards", "cheers"),
        *("sincerely", "sincerely yours", "yours sincerely", "yours truly"),
        *("此致", "敬礼", "祝好", "顺祝商祺", "谨启", "敬上"),
        *("祝工作顺利", "祝商祺", "祝安好", "祝您工作顺利", "祝您商祺", "祝您安好"),
    )
    # Before a colon, in a signature that nothing else sets apart.
    contact_labels: Phrases = (
        *("电话", "手机", "邮箱", "地址", "传真", "微信"),
        *("Tel", "Mobile", "Phone", "Fax", "Email", "E-mail"),
    )
    # A signature is so many lines at most; one that nothing sets apart has none wider than this, in characters.
    signature_lines: int = Field(default=10, ge=2, le=50)
    signature_width: int = Field(default=60, ge=20, le=200)

    @cached_property
    def introductions(self) -> tuple[re.Pattern[str], ...]:
        return (
            re.compile(
                rf"^[ \t]*On\b[^\n]{{3,200}}(?:\n[^\n]{{0,200}}){{0,2}}\b(?:{_any(self.wrote)}):[ \t]*$", re.I | re.M
            ),
            re.compile(rf"^[^\n]{{0,120}}(?:{_any(self.wrote_last)})[：:][ \t]*$", re.I | re.M),
            re.compile(rf"^[ \t]*-{{2,}}[ \t]*(?:{_any(self.separators)})[ \t]*-{{2,}}.*$", re.I | re.M),
            _RULE,
        )

    @cached_property
    def header_line(self) -> re.Pattern[str]:
        return re.compile(rf"^[ \t>]*\**(?:{_any(self.headers)})\**[ \t]*[:：]", re.I)

    @cached_property
    def device(self) -> re.Pattern[str]:
        return re.compile(rf"^[ \t]*(?:{'|'.join(_device(line) for line in self.devices)})[ \t]*$", re.I | re.M)

    @cached_property
    def farewell(self) -> re.Pattern[str]:
        return re.compile(rf"^[ \t]*(?:{_any(self.farewells)})[ \t]*[,，!！.。]?[ \t]*$", re.I | re.M)

    @cached_property
    def contact_line(self) -> re.Pattern[str]:
        return re.compile(rf"{_ADDRESS_OR_NUMBER}|(?:{_any(self.contact_labels)})[ \t]*[:：.]", re.I)


def _any(phrases: tuple[str, ...]) -> str:
    return "|".join(re.escape(phrase) for phrase in phrases)


def _device(line: str) -> str:
    """A name between two words is a short one: such a line may be somebody's sentence."""
    before, gap, after = line.partition(GAP)
    name = ("[^\\n]{2,20}" if after else "[^\\n]{2,40}") if gap else ""
    return re.escape(before) + name + re.escape(after)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written now; the signature below it, empty where none was recognised."""

    text: str
    signature: str


def cut(text: str, rules: QuotingRules) -> Written:
    """Never loses everything: where only history is found, the text stays whole."""
    fresh = _without_history(text, rules)
    if not fresh.strip():
        return Written(text.strip(), "")
    return _without_signature(fresh.strip("\n"), rules)


def _without_history(text: str, rules: QuotingRules) -> str:
    starts = [found.start() for pattern in rules.introductions for found in pattern.finditer(text)]
    lines = text.split("\n")
    position = 0
    for number, line in enumerate(lines):
        following = [other for other in lines[number : number + 5] if rules.header_line.match(other)]
        # A quoted header is several such lines in a row; one alone may be somebody's sentence.
        if rules.header_line.match(line) and len(following) >= 3:
            starts.append(position)
            break
        position += len(line) + 1
    # Answers written below the quotation come after it, so a beginning that holds nothing is no beginning.
    first = len(text) - len(text.lstrip(" \t\n>"))
    start = min((start for start in starts if start > first), default=len(text))
    kept = [line for line in text[:start].split("\n") if not line.lstrip().startswith(">")]
    return "\n".join(kept)


def _start_of_last_lines(text: str, most: int) -> int:
    """Where the last `most` lines begin; empty ones at the very end do not count."""
    position = len(text.rstrip("\n"))
    for _ in range(most):
        position = text.rfind("\n", 0, max(position, 0))
        if position < 0:
            return 0
    return position + 1


def _without_signature(text: str, rules: QuotingRules) -> Written:
    if device := rules.device.search(text):
        return Written(text[: device.start()].strip(), text[device.start() :].strip())
    # Looked at once: a mail of nothing but delimiters must not be counted through for each of them.
    first, last_lines = len(text) - len(text.lstrip()), _start_of_last_lines(text, rules.signature_lines)
    for pattern in (_DELIMITER, rules.farewell):
        for found in pattern.finditer(text):
            below = _NO_NEWLINE.search(text, found.end())
            if found.start() > first and (below is None or below.start() >= last_lines):
                signature = text[found.end() :] if pattern is _DELIMITER else text[found.start() :]
                return Written(text[: found.start()].strip(), signature.strip())
    body, gap, last = text.rpartition("\n\n")
    lines = [line for line in last.split("\n") if line.strip()]
    looks = 2 <= len(lines) <= rules.signature_lines and all(
        len(line) <= rules.signature_width and not _SENTENCE_END.search(line) for line in lines
    )
    if gap and body.strip() and looks and any(rules.contact_line.search(line) for line in lines):
        return Written(body.strip(), last.strip())
    return Written(text.strip(), "")
