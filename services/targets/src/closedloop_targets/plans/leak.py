"""Where a plan leaks (S4): per level, per node and per head."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

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


def levels(nodes: Sequence[Node]) -> list[Level]:
    """From the top down. What the level above had to pass on is everything of it that a unit holds."""
    by_depth: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        by_depth[node.depth].append(node)
    depths = sorted(by_depth)
    if not depths:
        return []
    top = sum(node.minor for node in by_depth[depths[0]])
    signed = {leak.node.id: leak.difference for leak in leaks(nodes) if leak.node.exception == "signed"}
    found = [_level(by_depth[depths[0]], top, top, 0)]
    for above, depth in pairwise(depths):
        received = sum(node.minor for node in by_depth[above] if node.holder_kind == "unit")
        excepted = sum(signed.get(node.id, 0) for node in by_depth[above])
        found.append(_level(by_depth[depth], received, top, excepted))
    return found


def leaks(nodes: Sequence[Node]) -> list[Leak]:
    """Nodes with children, the largest absolute difference first."""
    passed: Counter[str] = Counter()
    children: Counter[str] = Counter()
    for node in nodes:
        if node.parent_id is not None:
            passed[node.parent_id] += node.minor
            children[node.parent_id] += 1
    found = [Leak(node, passed[node.id], children[node.id]) for node in nodes if children[node.id]]
    return sorted(found, key=lambda leak: (-abs(leak.difference), leak.node.id))


def heads(nodes: Sequence[Node], fairness: Fairness, history: Mapping[str, int], farthest: int) -> Heads:
    """How far people's targets lie from a fair share of what reached the people.

    "even" shares all of it evenly, "even_in_team" each unit's among its people, "history" in proportion to `history`
    (person id to what they did; who has none counts as the mean of the others).
    """
    held: Counter[str] = Counter()
    unit_of: dict[str, str] = {}
    for node in nodes:
        if node.holder_kind == "person" and node.counts:
            held[node.holder_id] += node.minor
            unit_of[node.holder_id] = node.unit_id
    weights = _weights(list(held), fairness, history)
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


def _level(nodes: Sequence[Node], received: int, top: int, excepted: int) -> Level:
    passed = sum(node.minor for node in nodes)
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
        padding=sum(node.minor - node.base_minor for node in nodes),
        excepted=excepted,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
