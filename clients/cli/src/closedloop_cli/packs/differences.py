"""What differs between two bodies, named so that a person finds it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from closedloop_cli import shapes

# By what records in a list are told apart; the first word that all of them have.
NAMES = ("key", "name", "code", "id", "kind", "title")
LONGEST = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` and `after` as they are shown; "–" where there is none."""

    path: str
    before: str
    after: str


def between(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Leaf by leaf; records in lists by their names, so that one inserted is one difference."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from between(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return
    named = _named(before, after)
    if named is None:
        yield Difference(path, _shown(before), _shown(after))
        return
    for key in dict.fromkeys([*named[0], *named[1]]):
        yield from between(named[0].get(key), named[1].get(key), f"{path}[{key}]")
    both = [key for key in named[0] if key in named[1]], [key for key in named[1] if key in named[0]]
    if both[0] != both[1]:
        yield Difference(path, _shown(both[0]), _shown(both[1]))


def _named(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Both lists by the names of their records; None where a record has no name of its own."""
    if not isinstance(before, list) or not isinstance(after, list):
        return None
    records = [*before, *after]
    if not records or not all(isinstance(record, dict) for record in records):
        return None
    for word in NAMES:
        found = [{str(record.get(word, "")): record for record in records} for records in (before, after)]
        if len(found[0]) == len(before) and len(found[1]) == len(after) and not any("" in one for one in found):
            return found[0], found[1]
    return None


def _shown(value: Any) -> str:
    text = "–" if value is None else json.dumps(shapes.whole(value), ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
