"""Where a plan leaks (S4): per level, per node and per head. Of what does not add up, what is passed on is the mean of
those below, and a leak is what is looser."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from closedloop_targets.aggregation import SUM, Manner

Fairness = Literal["even", "history", "even_in_team"]


@dataclass(frozen=True, slots=True)
class Node:
    """One target. `kind` is the holding unit's, "rep" for a person; `exception` the state of its exception, if any."""

    id: str
    parent_id: str | None
    holder_kind: str
    holder_id: str
    unit_id: str
    owner_id: str
    kind: str
    depth: int
    minor: int
    base_minor: int
    counts: bool
    exception: str = ""
    # What it counts in the mean of its siblings; None where nobody said.
    weight: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """Differences are passed on less received: negative is a leak."""

    kind: str
    depth: int
    node_count: int
    received: int
    passed_on: int
    difference: int
    difference_ratio: float
    cumulative_ratio: float
    padding: int
    excepted: int


@dataclass(frozen=True, slots=True)
class Leak:
    node: Node
    passed_on: int
    child_count: int
    leaking: bool

    @property
    def difference(self) -> int:
        return self.passed_on - self.node.minor

    @property
    def difference_ratio(self) -> float:
        return _ratio(self.difference, self.node.minor)


@dataclass(frozen=True, slots=True)
class Share:
    person_id: str
    unit_id: str
    minor: int
    fair_minor: int
    deviation_ratio: float


@dataclass(frozen=True, slots=True)
class Heads:
    count: int
    lowest_ratio: float
    highest_ratio: float
    mean_absolute_ratio: float
    farthest: tuple[Share, ...]


def levels(nodes: Sequence[Node], manner: Manner = SUM) -> list[Level]:
    """From the top down. What the level above had to pass on is everything of it that a unit holds."""
    by_depth: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        by_depth[node.depth].append(node)
    depths = sorted(by_depth)
    if not depths:
        return []
    weights = _whole_weights(by_depth, depths)

    def together(some: Iterable[Node], *, base: bool = False) -> int:
        found = [(node.base_minor if base else node.minor, weights[node.id]) for node in some]
        return manner.together(found) if found else 0

    def padding(some: Sequence[Node]) -> int:
        return together(some) - together(some, base=True)

    top = together(by_depth[depths[0]])
    leaking = {leak.node.id: leak for leak in leaks(nodes, manner) if leak.leaking}
    found = [_level(by_depth[depths[0]], top, top, top, 0, padding(by_depth[depths[0]]))]
    for above, depth in pairwise(depths):
        received = together(node for node in by_depth[above] if node.holder_kind == "unit")
        passed = together(by_depth[depth])
        here = [leaking[node.id] for node in by_depth[above] if node.id in leaking]
        signed = [leak for leak in here if leak.node.exception == "signed"]
        excepted = sum(leak.difference for leak in signed)
        if not manner.adds_up:
            excepted = passed - received if signed and len(signed) == len(here) else 0
        found.append(_level(by_depth[depth], received, passed, top, excepted, padding(by_depth[depth])))
    return found


def leaks(nodes: Sequence[Node], manner: Manner = SUM) -> list[Leak]:
    """Nodes with children, the largest absolute difference first."""
    children: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.parent_id is not None:
            children[node.parent_id].append(node)
    found = []
    for node in nodes:
        if below := children.get(node.id):
            passed = manner.together([(child.minor, child.weight) for child in below])
            found.append(Leak(node, passed, len(below), manner.missing(node.minor, passed) != 0))
    return sorted(found, key=lambda leak: (-abs(leak.difference), leak.node.id))


def heads(
    nodes: Sequence[Node], fairness: Fairness, history: Mapping[str, int], farthest: int, manner: Manner = SUM
) -> Heads:
    """How far people's targets lie from a fair share of what reached the people.

    "even" shares all of it evenly, "even_in_team" each unit's among its people, "history" in proportion to `history`
    (person id to what they did; who has none counts as the mean of the others). Of what does not add up everybody's fair
    share is the mean, whatever their history.
    """
    parts: dict[str, list[tuple[int, Fraction | None]]] = defaultdict(list)
    unit_of: dict[str, str] = {}
    for node in nodes:
        if node.holder_kind == "person" and node.counts:
            parts[node.holder_id].append((node.minor, Fraction(1)))
            unit_of[node.holder_id] = node.unit_id
    held = {person: manner.together(found) for person, found in parts.items()}
    weights = _weights(list(held), fairness if manner.adds_up else "even", history)
    groups: dict[str, list[str]] = defaultdict(list)
    for person in held:
        groups[unit_of[person] if fairness == "even_in_team" else ""].append(person)
    shares: list[Share] = []
    for people in groups.values():
        total, weight = sum(held[person] for person in people), sum(weights[person] for person in people)
        for person in people:
            fair = total * weights[person] / weight
            deviation = held[person] / fair - 1 if fair else 0.0
            shares.append(Share(person, unit_of[person], held[person], round(fair), deviation))
    shares.sort(key=lambda share: (-round(abs(share.deviation_ratio), 9), share.person_id))
    ratios = [share.deviation_ratio for share in shares] or [0.0]
    mean = sum(map(abs, ratios)) / len(ratios)
    return Heads(len(shares), min(ratios), max(ratios), mean, tuple(shares[:farthest]))


def _weights(people: list[str], fairness: Fairness, history: Mapping[str, int]) -> dict[str, float]:
    if fairness != "history":
        return dict.fromkeys(people, 1.0)
    known = [history[person] for person in people if history.get(person, 0) > 0]
    mean = sum(known) / len(known) if known else 1.0
    return {person: float(max(history.get(person, 0), 0)) or mean for person in people}


def _whole_weights(by_depth: Mapping[int, Sequence[Node]], depths: Sequence[int]) -> dict[str, Fraction | None]:
    """What each node counts in the whole: its part among its siblings of what its parent counts; None where not known."""
    found: dict[str, Fraction | None] = {}
    for depth in depths:
        beside: dict[str | None, list[Fraction | None]] = defaultdict(list)
        for node in by_depth[depth]:
            beside[node.parent_id].append(node.weight)
        for node in by_depth[depth]:
            known = [weight for weight in beside[node.parent_id] if weight is not None]
            above = found.get(node.parent_id or "", Fraction(1))
            whole = sum(known, Fraction(0)) if len(known) == len(beside[node.parent_id]) else Fraction(0)
            alone = len(beside[node.parent_id]) == 1
            share = Fraction(1) if alone else (node.weight or Fraction(0)) / whole if whole else None
            found[node.id] = None if share is None or above is None else above * share
    return found


def _level(nodes: Sequence[Node], received: int, passed: int, top: int, excepted: int, padding: int) -> Level:
    kinds = Counter(node.kind for node in nodes)
    return Level(
        kind=min(kinds, key=lambda kind: (-kinds[kind], kind)),
        depth=nodes[0].depth,
        node_count=len(nodes),
        received=received,
        passed_on=passed,
        difference=passed - received,
        difference_ratio=_ratio(passed - received, received),
        cumulative_ratio=_ratio(passed - top, top),
        padding=padding,
        excepted=excepted,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
