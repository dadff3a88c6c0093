"""Items that came by a signed webhook, as messages of the contract. Runs in the api."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from closedloop_chassis import bulk

# Deeper than any item is.
DEPTH = 20

Item = TypeVar("Item", bound=Message)


def read(
    texts: Sequence[str], make: Callable[[], Item], complete: Callable[[Item], None]
) -> tuple[list[tuple[int, Item]], dict[int, str]]:
    """Those that keep the contract's rules, with their positions; and "REASON: message" of the others, by position.

    `complete` adds what a sender may leave out."""
    parsed: list[tuple[int, Item]] = []
    broken: dict[int, str] = {}
    for position, text in enumerate(texts):
        item = make()
        try:
            json_format.Parse(text, item, ignore_unknown_fields=True, max_recursion_depth=DEPTH)
        except (json_format.ParseError, ValueError, RecursionError) as error:
            broken[position] = f"ITEM_UNREADABLE: {error}"
            continue
        complete(item)
        parsed.append((position, item))
    sound, unsound = bulk.sift(item for _, item in parsed)
    for fault in unsound:
        broken[parsed[fault.row][0]] = f"{fault.reason}: {fault.field} {fault.message}"
    return [(parsed[at][0], item) for at, item in sound], broken
