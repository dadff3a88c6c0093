"""Cuts a mail's text into what the sender wrote now, and his signature; history quoted below is dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass

# "On Tue, 3 Apr 2012, at 4:19 PM, bob wrote:", also broken over lines; the same in Chinese clients.
_INTRODUCTIONS = (
    re.compile(r"^[ \t]*On\b[^\n]{3,200}(?:\n[^\n]{0,200}){0,2}\bwrote:[ \t]*$", re.I | re.M),
    re.compile(r"^[^\n]{0,120}(?:写道|来信|寫道)[：:][ \t]*$", re.M),
    re.compile(
        r"^[ \t]*-{2,}[ \t]*(?:Original Message|Forwarded message|原始邮件|转发邮件|原邮件)[ \t]*-{2,}.*$", re.I | re.M
    ),
    re.compile(r"^[ \t]*_{10,}[ \t]*$", re.M),
)
_HEADER_LINE = re.compile(
    r"^[ \t>]*\**(From|Sent|Date|To|Cc|Subject|发件人|发送时间|发送日期|日期|时间|收件人|抄送|主题)\**[ \t]*[:：]", re.I
)
_DEVICE = re.compile(
    r"^[ \t]*(?:Sent from my [^\n]{2,40}|Get Outlook for [^\n]{2,20}|"
    r"发自我的[^\n]{2,30}|来自我的[^\n]{2,30}|从[^\n]{2,20}发送)[ \t]*$",
    re.I | re.M,
)
_DELIMITER = re.compile(r"^--[ \t]?$|^[ \t]*[—_]{3,}[ \t]*$|^[ \t]*-{3,}[ \t]*$", re.M)
_FAREWELL = re.compile(
    r"^[ \t]*(?:(?:best|kind|warm)(?: regards| wishes)?|regards|sincerely(?: yours)?|yours (?:sincerely|truly)|cheers|"
    r"此致|敬礼|祝好|顺祝商祺|谨启|敬上|祝(?:您)?(?:工作顺利|商祺|安好))[ \t]*[,，!！.。]?[ \t]*$",
    re.I | re.M,
)
_CONTACT_LINE = re.compile(
    r"@|https?://|\bwww\.|(?:\+?\d[\d ()-]{6,}\d)|(?:电话|手机|邮箱|地址|传真|微信|Tel|Mobile|Phone|Fax|E-?mail)[ \t]*[:：.]",
    re.I,
)
_NO_NEWLINE = re.compile(r"[^\n]")
_SENTENCE_END = re.compile(r"[。！？!?]\s*$|[a-z]\.\s*$")
MOST_LINES = 10


@dataclass(frozen=True, slots=True)
class Written:
    """What was written now; the signature below it, empty where none was recognised."""

    text: str
    signature: str


def cut(text: str) -> Written:
    """Never loses everything: where only history is found, the text stays whole."""
    fresh = _without_history(text)
    if not fresh.strip():
        return Written(text.strip(), "")
    return _without_signature(fresh.strip("\n"))


def _without_history(text: str) -> str:
    starts = [found.start() for pattern in _INTRODUCTIONS for found in pattern.finditer(text)]
    lines = text.split("\n")
    position = 0
    for number, line in enumerate(lines):
        following = [other for other in lines[number : number + 5] if _HEADER_LINE.match(other)]
        # A quoted header is several such lines in a row; one alone may be somebody's sentence.
        if _HEADER_LINE.match(line) and len(following) >= 3:
            starts.append(position)
            break
        position += len(line) + 1
    # Answers written below the quotation come after it, so a beginning that holds nothing is no beginning.
    first = len(text) - len(text.lstrip(" \t\n>"))
    start = min((start for start in starts if start > first), default=len(text))
    kept = [line for line in text[:start].split("\n") if not line.lstrip().startswith(">")]
    return "\n".join(kept)


def _start_of_last_lines(text: str) -> int:
    """Where the last MOST_LINES lines begin; empty ones at the very end do not count."""
    position = len(text.rstrip("\n"))
    for _ in range(MOST_LINES):
        position = text.rfind("\n", 0, max(position, 0))
        if position < 0:
            return 0
    return position + 1


def _without_signature(text: str) -> Written:
    if device := _DEVICE.search(text):
        return Written(text[: device.start()].strip(), text[device.start() :].strip())
    # Looked at once: a mail of nothing but delimiters must not be counted through for each of them.
    first, last_lines = len(text) - len(text.lstrip()), _start_of_last_lines(text)
    for pattern in (_DELIMITER, _FAREWELL):
        for found in pattern.finditer(text):
            below = _NO_NEWLINE.search(text, found.end())
            if found.start() > first and (below is None or below.start() >= last_lines):
                signature = text[found.end() :] if pattern is _DELIMITER else text[found.start() :]
                return Written(text[: found.start()].strip(), signature.strip())
    body, gap, last = text.rpartition("\n\n")
    lines = [line for line in last.split("\n") if line.strip()]
    looks = 2 <= len(lines) <= MOST_LINES and all(len(line) <= 60 and not _SENTENCE_END.search(line) for line in lines)
    if gap and body.strip() and looks and any(_CONTACT_LINE.search(line) for line in lines):
        return Written(body.strip(), last.strip())
    return Written(text.strip(), "")
