"""One write under load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True, slots=True)
class Write:
    """An RPC, the script that calls it, and its callers' tokens; `told` is what the script learns of the turn with this
    number besides: turns share a database, so each has keys of its own."""

    name: str
    method: str
    script: str
    tokens: Sequence[str]
    told: Callable[[int], Mapping[str, object]]
    turns: Iterator[int] = field(default_factory=count)
