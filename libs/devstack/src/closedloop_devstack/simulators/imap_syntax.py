"""How IMAP writes things down (RFC 3501): commands into tokens, sequence sets, dates."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

CHINA = ZoneInfo("Asia/Shanghai")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# An atom may hold one bracket group with spaces inside: BODY.PEEK[HEADER.FIELDS (DATE FROM)]<0.100>
_TOKEN = re.compile(
    rb"""\s*(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\r\n]|\\["\\])*)"|\{(?P<literal>\d+)\+?\}\r\n"""
    rb"""|(?P<atom>[^\s()\["{]*\[[^\]]*\][^\s()]*|[^\s()"{]+))"""
)


class BadCommand(Exception):
    """The client said something that is not IMAP, or not the part of it that is served here."""


def tokens(line: bytes) -> list[object]:
    """The arguments of a command: strings, and lists for what stood in parentheses. Literals follow their `{n}`."""
    stack: list[list[object]] = [[]]
    at = 0
    while line[at:].strip():
        found = _TOKEN.match(line, at)
        if found is None:
            raise BadCommand("cannot read the arguments")
        at = found.end()
        if found["open"]:
            stack.append([])
        elif found["close"]:
            if len(stack) == 1:
                raise BadCommand("a parenthesis too many")
            done = stack.pop()
            stack[-1].append(done)
        elif found["literal"] is not None:
            size = int(found["literal"])
            stack[-1].append(line[at : at + size].decode("utf-8", "replace"))
            at += size
        elif found["quoted"] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", found["quoted"]).decode("utf-8", "replace"))
        else:
            stack[-1].append(found["atom"].decode("utf-8", "replace"))
    if len(stack) != 1:
        raise BadCommand("a parenthesis is missing")
    return stack[0]


def text(value: object) -> str:
    if not isinstance(value, str):
        raise BadCommand("a string was expected")
    return value


def quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def number_set(value: object, largest: int) -> Callable[[int], bool]:
    """`1,3:5,8:*` as a test of numbers; `*` is `largest`, and 8:* holds `largest` even when that is below 8."""
    ranges = []
    for part in text(value).split(","):
        if not re.fullmatch(r"(\d+|\*)(:(\d+|\*))?", part):
            raise BadCommand(f"{part} is no sequence set")
        ends = [largest if end == "*" else int(end) for end in part.split(":")]
        ranges.append((min(ends), max(ends)))
    return lambda number: any(low <= number <= high for low, high in ranges)


def internal_date(moment: datetime) -> str:
    local = moment.astimezone(CHINA)
    return f'"{local.day:2d}-{MONTHS[local.month - 1]}-{local:%Y %H:%M:%S %z}"'


def day(value: object) -> date:
    found = re.fullmatch(r"(\d{1,2})-([A-Za-z]{3})-(\d{4})", text(value))
    if not found or found[2].title() not in MONTHS:
        raise BadCommand(f"{value} is no date")
    try:
        return date(int(found[3]), MONTHS.index(found[2].title()) + 1, int(found[1]))
    except ValueError as error:
        raise BadCommand(f"{value} is no date") from error
