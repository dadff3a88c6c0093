"""How healthy a month's targets are: share decomposed, actions done over planned, causes that people confirmed (S19)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets.aggregation import SUM, Manner

Dimension = Literal["unit", "product_line", "metric", "level", "person"]


class HealthRules(Rules):
    """What counts as missed, and below what something is suggested."""

    rulebook: ClassVar[str] = "targets.health"

    # A month's target is missed below this share of it.
    missed_below: float = Field(default=0.95, gt=0, le=1)
    execution_floor: float = Field(default=0.8, ge=0, le=1)
    accuracy_floor: float = Field(default=0.7, ge=0, le=1)
    # Confirmed causes without which nothing is said of how accurate the ranking is.
    accuracy_sample: int = Field(default=5, ge=1, le=10000)


@dataclass(frozen=True, slots=True)
class Node:
    """One target in force. Amounts in minor units or millionths; `level` is the unit's kind, "rep" for a person.

    `asked` and `done` are of the month, `done` None where nothing was measured of what does not add up; `ranked` and
    `confirmed` the causes of the holder's miss of this metric."""

    id: str
    parent_id: str | None
    holder_kind: str
    holder_id: str
    unit_id: str
    level: str
    metric: str
    currency: str
    product_line: str
    counts: bool
    minor: int
    base_minor: int
    excepted: bool
    asked: int
    done: int | None
    actions_planned: int
    actions_done: int
    actions_verified: int
    ranked: str = ""
    confirmed: str = ""
    # What it counts in the mean of its siblings, where its metric is one; None where nobody said.
    weight: Fraction | None = None
    manner: Manner = SUM


@dataclass(frozen=True, slots=True)
class CauseCount:
    cause: str
    ranked: int
    confirmed: int
    agreed: int
    share: float


@dataclass(frozen=True, slots=True)
class Figures:
    """`decomposed` 1 when all of it reached people; `execution`, `accuracy` and `attainment` None without anything to tell."""

    decomposed: float
    leaking: int
    excepted: int
    planned: int
    done: int
    verified: int
    causes: tuple[CauseCount, ...]
    missed: int
    attributed: int
    held: int
    accuracy: float | None
    attainment: float | None

    @property
    def execution(self) -> float | None:
        return self.done / self.planned if self.planned else None

    @property
    def health(self) -> float:
        """The mean of what is known; for the order of slices alone."""
        known = [1 - min(abs(1 - self.decomposed), 1.0), self.execution, self.accuracy]
        if self.attainment is not None:
            known.append(min(max(self.attainment, 0.0), 1.0))
        told = [one for one in known if one is not None]
        return sum(told) / len(told)


class Tree:
    """The nodes of a month, and what of each reached people."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self._children: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            if node.parent_id is not None:
                self._children[node.parent_id].append(node)
        self._reached: dict[str, int] = {}
        for node in reversed(self._top_down()):
            below = [(self._reached[child.id], child.weight) for child in self._children[node.id]]
            below = below if node.manner.adds_up else [part for part in below if part[0]]
            # A person's own parts by product are the person's, too.
            reached = node.manner.together(below) if below else 0
            self._reached[node.id] = node.base_minor if node.holder_kind == "person" else reached

    def figures(self, some: Collection[Node], rules: HealthRules) -> Figures:
        ids = {node.id for node in some}
        counted = [node for node in some if node.counts]
        tops = [node for node in counted if node.parent_id not in ids]
        missed = [node for node in counted if _missed(node, rules)]
        leaking = [node for node in some if self.missing(node)]
        told = [node for node in missed if node.confirmed]
        agreed = sum(node.confirmed == node.ranked for node in told)
        decomposed = _by_metric(tops, lambda node: (self._reached[node.id], node.base_minor), most=1.0)
        return Figures(
            decomposed=1.0 if decomposed is None else decomposed,
            leaking=len(leaking),
            excepted=sum(node.excepted for node in leaking),
            planned=sum(node.actions_planned for node in some),
            done=sum(node.actions_done for node in some),
            verified=sum(node.actions_verified for node in some),
            causes=_causes(missed),
            missed=len(missed),
            attributed=len(told),
            held=len(counted),
            accuracy=agreed / len(told) if told else None,
            attainment=_by_metric(tops, lambda node: (node.done, node.asked)),
        )

    def missing(self, node: Node) -> int:
        """What its children lack; negative when they have too much, 0 at leaves."""
        below = [(child.base_minor, child.weight) for child in self._children[node.id]]
        return node.manner.missing(node.base_minor, node.manner.together(below)) if below else 0

    def _top_down(self) -> list[Node]:
        ids = {node.id for node in self.nodes}
        ordered = [node for node in self.nodes if node.parent_id not in ids]
        for node in ordered:
            ordered.extend(self._children[node.id])
        return ordered


def slices(nodes: Iterable[Node], dimension: Dimension, child_of: Mapping[str, str]) -> dict[str, list[Node]]:
    """Nodes by the value of a dimension. `child_of` names for each unit the one, a level below the unit asked for, it is
    part of; what belongs to the unit itself is in no slice of units."""
    keys: dict[Dimension, Callable[[Node], str]] = {
        "unit": lambda node: child_of.get(node.unit_id, ""),
        "product_line": lambda node: node.product_line,
        "metric": lambda node: node.metric,
        "level": lambda node: node.level,
        "person": lambda node: node.holder_id if node.holder_kind == "person" else "",
    }
    found: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        if key := keys[dimension](node):
            found[key].append(node)
    return found


def suggestions(tree: Tree, found: Figures, named: Mapping[str, Figures], rules: HealthRules) -> list[str]:
    """What to do first, with numbers; nothing where nothing is amiss."""
    said = []
    if unsigned := found.leaking - found.excepted:
        worst = max(
            (node for node in tree.nodes if not node.excepted),
            key=lambda node: abs(tree.missing(node)) / max(node.base_minor, 1),
        )
        share = tree.missing(worst) / max(worst.base_minor, 1)
        passes = (
            f"passes on {1 - share:.1%}" if worst.manner.adds_up else f"asks those below for {1 - share:.1%} of its own"
        )
        said.append(f"{unsigned} targets do not sum and nobody signed for it; {worst.holder_id} {passes}: cascade anew")
    if found.decomposed < 1 and not unsigned:
        said.append(f"{found.decomposed:.1%} of the targets' value reached people: cascade the rest down to them")
    if found.execution is not None and found.execution < rules.execution_floor:
        worst_slice = _least(named, lambda one: one.execution)
        where = f"; {worst_slice[0]} did {worst_slice[1]:.0%}" if worst_slice else ""
        said.append(f"{found.done} of {found.planned} planned actions were done ({found.execution:.0%}){where}")
    if unexplained := found.missed - found.attributed:
        said.append(f"{unexplained} of {found.missed} missed targets have no confirmed cause: answer the warnings")
    if (
        found.accuracy is not None
        and found.attributed >= rules.accuracy_sample
        and found.accuracy < rules.accuracy_floor
    ):
        said.append(
            f"the first-ranked cause was confirmed for {found.accuracy:.0%} of {found.attributed}: "
            "weigh the causes anew (targets.causes)"
        )
    if found.attributed:
        top = max(found.causes, key=lambda one: one.confirmed)
        said.append(f"{top.cause.replace('_', ' ')} explains {top.confirmed} of {found.attributed} misses: begin there")
    return said


def _least(named: Mapping[str, Figures], of: Callable[[Figures], float | None]) -> tuple[str, float] | None:
    known = [(value, name) for name, one in named.items() if (value := of(one)) is not None]
    return (min(known)[1], min(known)[0]) if known else None


def _causes(missed: Sequence[Node]) -> tuple[CauseCount, ...]:
    ranked = Counter(node.ranked for node in missed if node.ranked)
    confirmed = Counter(node.confirmed for node in missed if node.confirmed)
    agreed = Counter(node.confirmed for node in missed if node.confirmed and node.confirmed == node.ranked)
    # The word of people counts before the system's.
    settled = Counter(node.confirmed or node.ranked for node in missed if node.confirmed or node.ranked)
    total = sum(settled.values())
    return tuple(
        CauseCount(cause, ranked[cause], confirmed[cause], agreed[cause], settled[cause] / total)
        for cause in sorted(ranked.keys() | confirmed.keys(), key=lambda cause: (-settled[cause], cause))
    )


def _missed(node: Node, rules: HealthRules) -> bool:
    if node.asked <= 0 or node.done is None:
        return False
    done, asked = (node.asked, node.done) if node.manner.lower_is_better else (node.done, node.asked)
    return done < rules.missed_below * asked


def _by_metric(
    tops: Sequence[Node], of: Callable[[Node], tuple[int | None, int]], most: float | None = None
) -> float | None:
    """The mean over metrics of part over whole: yuan and visits do not add up. None without a whole.

    Of a metric that does not add up it is the mean of what each top attained, `most` at the most: to be stricter than
    one's own target makes good for nobody."""
    parts: dict[tuple[str, str], list[int]] = {}
    apart: dict[tuple[str, str], list[float]] = {}
    for node in tops:
        part, whole = of(node)
        key = (node.metric, node.currency)
        if node.manner.adds_up:
            sums = parts.setdefault(key, [0, 0])
            sums[0] += part or 0
            sums[1] += whole
        elif part is not None and whole:
            attained = node.manner.attained(part, whole) or 0.0
            if most is not None:
                # Nothing that reached anybody is not a mean of nothing.
                attained = min(attained, most) if part else 0.0
            apart.setdefault(key, []).append(attained)
    ratios = [part / whole for part, whole in parts.values() if whole]
    ratios += [fmean(each) for each in apart.values()]
    return fmean(ratios) if ratios else None
