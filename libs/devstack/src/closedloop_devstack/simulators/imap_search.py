"""SEARCH keys (RFC 3501, 6.4.4) into tests of messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from closedloop_devstack.simulators.imap_syntax import CHINA, BadCommand, day, number_set, text
from closedloop_devstack.simulators.mailboxes import StoredMessage


class Numbered(NamedTuple):
    """A message with its sequence number in a session."""

    number: int
    stored: StoredMessage


Test = Callable[[Numbered], bool]

_FLAGS = ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")


def search(criteria: list[object], last: Numbered | None) -> Test:
    """A test of messages out of search keys; `last` is the newest message, to which `*` refers."""
    rest = list(criteria)
    tests = []
    while rest:
        tests.append(_key(rest, last))
    if not tests:
        raise BadCommand("no search key")
    return lambda message: all(test(message) for test in tests)


def _key(rest: list[object], last: Numbered | None) -> Test:
    head = rest.pop(0)
    if isinstance(head, list):
        return search(head, last)
    name = text(head).upper()
    if re.match(r"[\d*]", name):
        numbers = number_set(name, last.number if last else 0)
        return lambda message: numbers(message.number)
    if name in ("ALL", "OLD"):
        return lambda _: True
    if name in ("NEW", "RECENT"):
        return lambda _: False
    if name.removeprefix("UN") in _FLAGS:
        flag, wanted = "\\" + name.removeprefix("UN").title(), not name.startswith("UN")
        return lambda message: (flag in message.stored.flags) is wanted
    if name == "NOT":
        inner = _key(_more(rest, name), last)
        return lambda message: not inner(message)
    if name == "OR":
        left, right = _key(_more(rest, name), last), _key(_more(rest, name), last)
        return lambda message: left(message) or right(message)
    value = _more(rest, name).pop(0)
    if name == "UID":
        uids = number_set(value, last.stored.uid if last else 0)
        return lambda message: uids(message.stored.uid)
    if name in ("KEYWORD", "UNKEYWORD"):
        keyword = text(value)
        return lambda message: (keyword in message.stored.flags) is (name == "KEYWORD")
    if name in ("SINCE", "BEFORE", "ON", "SENTSINCE", "SENTBEFORE", "SENTON"):
        return _dated(name, day(value))
    if name in ("LARGER", "SMALLER") and text(value).isdigit():
        size, sign = int(text(value)), 1 if name == "LARGER" else -1
        return lambda message: sign * len(message.stored.raw) > sign * size
    if name == "HEADER":
        return _contains(text(value), text(_more(rest, name).pop(0)))
    if name in ("FROM", "TO", "CC", "BCC", "SUBJECT"):
        return _contains(name, text(value))
    if name in ("BODY", "TEXT"):
        words = text(value).casefold()
        return lambda message: words in _searched(message.stored, whole=name == "TEXT")
    raise BadCommand(f"search key {name} is not served")


def _more(rest: list[object], name: str) -> list[object]:
    if not rest:
        raise BadCommand(f"{name} wants an argument")
    return rest


def _dated(name: str, wanted: date) -> Test:
    def test(message: Numbered) -> bool:
        if name.startswith("SENT"):
            try:
                moment = parsedate_to_datetime(str(message.stored.message["date"]))
            except (TypeError, ValueError):
                return False
            found = moment.date()
        else:
            found = message.stored.received.astimezone(CHINA).date()
        kind = name.removeprefix("SENT")
        return found >= wanted if kind == "SINCE" else found < wanted if kind == "BEFORE" else found == wanted

    return test


def _contains(header: str, words: str) -> Test:
    return lambda message: any(
        words.casefold() in str(value).casefold() for value in message.stored.message.get_all(header, [])
    )


def _searched(stored: StoredMessage, *, whole: bool) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in stored.message.items()) if whole else ""
    return f"{headers}\n{stored.text or stored.raw.decode('utf-8', 'replace')}".casefold()
