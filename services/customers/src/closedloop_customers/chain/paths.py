"""Who can introduce us: the strongest paths from us to a person (S36)."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from closedloop_customers.chain.rules import ChainRules

# "contact:<id>" of theirs, "person:<id>" of ours.
End = str


@dataclass(frozen=True, slots=True)
class Tie:
    one: End
    other: End
    kind: str
    strength: float


@dataclass(frozen=True, slots=True)
class Path:
    """`ends` from us to the person; `ties` between them."""

    ends: tuple[End, ...]
    ties: tuple[Tie, ...]
    strength: float


def faded(strength: float, renewed: datetime, now: datetime, rules: ChainRules) -> float:
    age = max((now - renewed).total_seconds() / 86400, 0.0)
    return float(min(max(strength * 0.5 ** (age / rules.half_life_days), 0.0), 1.0))


def strongest(
    ties: Iterable[Tie], goal: End, *, starts: Collection[End], longest: int, most: int, patience: int = 100_000
) -> list[Path]:
    """Paths from any of `starts` to `goal` of at most `longest` ties, the strongest first; no person twice in a path,
    none of `starts` but at the beginning.

    Best first by the product of strengths: what is taken from the heap cannot be beaten later. Gives up after looking at
    `patience` beginnings of paths, with what it has found."""
    around: dict[End, dict[End, Tie]] = defaultdict(dict)
    for tie in ties:
        for here, there in ((tie.one, tie.other), (tie.other, tie.one)):
            if there not in around[here] or around[here][there].strength < tie.strength:
                around[here][there] = tie
    found: list[Path] = []
    heap: list[tuple[float, tuple[End, ...], tuple[Tie, ...]]] = [(-1.0, (goal,), ())]
    while heap and len(found) < most and patience > 0:
        patience -= 1
        negative, ends, used = heapq.heappop(heap)
        if ends[-1] in starts and used:
            found.append(Path(ends[::-1], used[::-1], -negative))
            continue
        if len(used) == longest:
            continue
        for there, tie in around[ends[-1]].items():
            if there not in ends and tie.strength > 0:
                heapq.heappush(heap, (negative * tie.strength, (*ends, there), (*used, tie)))
    return found
