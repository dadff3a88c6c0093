"""Lines that a mail program has broken, and that are one to their reader (RFC 3676, and what is wrapped without saying so)."""

from __future__ import annotations

import re
import unicodedata

# Stands in for a broken line's end; as long as that, and in no text that was tidied.
BREAK = "\x1f"
_WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60"
_BETWEEN_WIDE = re.compile(rf"(?<=[{_WIDE}]){BREAK}(?=[{_WIDE}])")
_FIRST_WORD = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]+")
_LABEL = re.compile(r"\S{1,8}[:：]")
_QUOTED = re.compile(r"(>*) ?(.*)", re.S)
# Chinese lines end a letter or two early, so that no stop begins the next.
_EARLY = 4
# Of what stands behind a sentence, in characters.
LOOK_AHEAD = 12


def unflowed(text: str, *, delete_space: bool) -> str:
    """A text of `format=flowed` in the lines that were written; those that quote keep their marks."""
    lines: list[list[str]] = []
    open_depth = -1
    for line in text.replace("\r\n", "\n").split("\n"):
        found = _QUOTED.fullmatch(line)
        marks, said = (found[1], found[2]) if found else ("", line)
        if open_depth != len(marks):
            lines.append([f"{marks} "] if marks else [])
        open_depth = len(marks) if said.endswith(" ") and said != "-- " else -1
        lines[-1].append(said[:-1] if open_depth >= 0 and delete_space else said)
    return "\n".join(map("".join, lines))


def marked(text: str, least_columns: int) -> str:
    """Of the same length, with BREAK for the line ends at which the next word had no room any more."""
    lines = text.split("\n")
    widths = [_columns(line) for line in lines]
    found = [lines[0]]
    widest = 0
    for number in range(1, len(lines)):
        if number == 1 or not lines[number - 1].strip():
            widest = _widest(widths, number - 1 if lines[number - 1].strip() else number)
        word = _FIRST_WORD.match(lines[number])
        room = widest - widths[number - 1]
        full = word is not None and (
            room - _EARLY < _columns(word[0]) if re.match(f"[{_WIDE}]", word[0]) else room < 1 + _columns(word[0])
        )
        soft = widest >= least_columns and bool(lines[number - 1].strip()) and full
        found += [BREAK if soft else "\n", lines[number]]
    return "".join(found)


def joined(sentence: str) -> str:
    """As it is read: nothing between letters of Chinese, a space elsewhere."""
    return _BETWEEN_WIDE.sub("", sentence).replace(BREAK, " ")


def goes_on(rest: str) -> bool:
    """Whether what stands behind a sentence without a stop may be its next line: Chinese, and no label of its own."""
    if not rest.startswith("\n"):
        return False
    line = rest[1:].partition("\n")[0]
    return bool(re.match(f"[{_WIDE}]", line)) and not _LABEL.match(line)


def _widest(widths: list[int], start: int) -> int:
    """Of the lines from there to the next empty one."""
    widest, at = 0, start
    while at < len(widths) and widths[at]:
        widest, at = max(widest, widths[at]), at + 1
    return widest


def _columns(text: str) -> int:
    text = text.rstrip()
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
