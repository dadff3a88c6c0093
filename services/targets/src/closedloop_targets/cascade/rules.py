"""One target down the tree: who gets what, by which method, exact at every node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets.book.model import padded
from closedloop_targets.cascade.apportion import apportion, integers
from closedloop_targets.periods.rules import Grain

Method = Literal["even", "history", "trailing_twelve_months", "custom", "product_weighted"]
Key = tuple[Literal["unit", "person"], str]
# What a holder did, by the method's measure; None: nothing known.
History = Callable[[Method, Key], Fraction | None]

REP = "rep"
# Warnings look at weeks (S13, S14): whatever grains somebody asks for, this one is there.
WATCHED: Grain = "week"


class CascadeDefaults(Rules):
    """Who carries targets, and how a cascade is run where nobody said otherwise."""

    rulebook: ClassVar[str] = "targets.cascade"

    # People with one of these roles get targets.
    carriers: frozenset[str] = frozenset({"rep"})
    method: Method = "even"
    fallback: Method = "even"
    grains: tuple[Grain, ...] = Field(default=("month", "fortnight", "week"), min_length=1)

    def model_post_init(self, context: object, /) -> None:
        if "custom" in self.grains or len(set(self.grains)) < len(self.grains):
            raise ValueError("what a target is spread over are calendar periods, each grain once")

    def cut(self, asked: Sequence[Grain] = ()) -> tuple[Grain, ...]:
        """The grains of a target's cells: those asked for, else the rulebook's, and the watched one."""
        return tuple(dict.fromkeys((*(asked or self.grains), WATCHED)))


@dataclass(frozen=True, slots=True)
class Member:
    """A node that may receive. `kind` is the unit's level, "rep" for a person; `heads` the carriers at and below it."""

    key: Key
    unit_id: str
    kind: str
    heads: int
    children: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelRule:
    """How nodes of one kind share; `kind` empty: every kind without a rule of its own."""

    kind: str
    method: Method
    weights: Mapping[Key, Fraction]
    fallback: Method
    padding: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """`pins` fix base amounts, `levels` 0 goes down to the people, `rounding` is what amounts are multiples of."""

    levels_rules: tuple[LevelRule, ...]
    pins: Mapping[Key, int]
    levels: int
    rounding: int
    step: int

    def rule(self, kind: str) -> LevelRule:
        named = {rule.kind: rule for rule in self.levels_rules}
        return named.get(kind) or named.get("") or LevelRule(kind, "even", {}, "even")


@dataclass(frozen=True, slots=True)
class Node:
    """What one member got. `parent` is a position in the list of nodes; None: the target that was split."""

    key: Key
    unit_id: str
    parent: int | None
    level: int
    base: int
    amount: int
    method: Method
    fell_back: bool
    pinned: bool
    weight: Fraction
    share: float
    rounding: int


# The children of one node with what each got: of the member, its position, the level below it and its base.
Sharing = Callable[[Member, int | None, int, int], Iterable[tuple[Member, Node]]]


def cascade(root: Member, base: int, given: Given, history: History) -> list[Node]:
    """Level by level, parents first. The children's bases sum to their parent's base at every node.

    Raises FailedPrecondition NO_CHILDREN, WEIGHT_MISSING, WEIGHT_NOT_POSITIVE or PINS_EXCEED_TARGET.
    """
    return level_by_level(
        root, base, given, lambda member, parent, level, amount: _share(member, parent, level, amount, given, history)
    )


def level_by_level(root: Member, base: int, given: Given, share: Sharing) -> list[Node]:
    """Everybody below, parents first. Raises FailedPrecondition NO_CHILDREN, and what `share` raises."""
    if not any(child.heads or child.key in given.pins for child in root.children) and not _by_other_weights(
        root, given
    ):
        raise errors.FailedPrecondition("NO_CHILDREN", f"nobody below {root.key[1]} carries targets")
    nodes: list[Node] = []
    ahead: list[tuple[Member, int | None, int, int]] = [(root, None, 1, base)]
    while ahead:
        following: list[tuple[Member, int | None, int, int]] = []
        for member, parent, level, amount in ahead:
            for child, node in share(member, parent, level, amount):
                nodes.append(node)
                if child.children and (not given.levels or level < given.levels):
                    following.append((child, len(nodes) - 1, level + 1, node.base))
        ahead = following
    return nodes


def _by_other_weights(root: Member, given: Given) -> bool:
    return any(given.rule(child.kind).method == "custom" for child in root.children)


def _share(
    member: Member, parent: int | None, level: int, amount: int, given: Given, history: History
) -> Iterable[tuple[Member, Node]]:
    """One node among its children, in the order of their keys."""
    children = sorted(member.children, key=lambda child: child.key)
    pinned = {child.key: given.pins[child.key] for child in children if child.key in given.pins}
    rest = amount - sum(pinned.values())
    free = [child for child in children if child.key not in pinned]
    if rest < 0 or (rest and not free):
        raise errors.FailedPrecondition(
            "PINS_EXCEED_TARGET",
            f"pins below {member.key[1]} leave {rest} of {amount}, which nobody can take",
            holder_id=member.key[1],
        )
    shares = _shares(member, rest, free, given, history)
    for child in children:
        rule = given.rule(child.kind)
        if child.key in pinned:
            base, weight, exact, fell_back = (
                pinned[child.key],
                Fraction(pinned[child.key]),
                Fraction(pinned[child.key]),
                False,
            )
        elif child.key in shares:
            base, weight, exact, fell_back = shares[child.key]
        else:
            continue
        node = Node(
            key=child.key,
            unit_id=child.unit_id,
            parent=parent,
            level=level,
            base=base,
            amount=padded(base, rule.padding, given.step),
            method=rule.fallback if fell_back else rule.method,
            fell_back=fell_back,
            pinned=child.key in pinned,
            weight=weight,
            share=float(exact / amount) if amount else 0.0,
            rounding=base - int(exact),
        )
        yield child, node


Share = tuple[int, Fraction, Fraction, bool]


def _shares(
    member: Member, amount: int, children: Sequence[Member], given: Given, history: History
) -> dict[Key, Share]:
    """(base, weight, exact share, fell back) by key; who weighs nothing is left out."""
    groups: dict[str, list[Member]] = {}
    for child in children:
        rule = given.rule(child.kind)
        # Nodes of two levels under one node that follow different rules: heads decide between the levels.
        groups.setdefault(rule.kind or "", []).append(child)
    names = sorted(groups)
    heads = [sum(child.heads for child in groups[name]) for name in names]
    if len(names) > 1 and not any(heads):
        heads = [len(groups[name]) for name in names]
    parts = apportion(amount, heads, given.rounding) if len(names) > 1 else [amount] * len(names)
    found: dict[Key, Share] = {}
    for name, part in zip(names, parts, strict=True):
        rule = given.rule(groups[name][0].kind)
        weighed = weigh(member, groups[name], rule, history)
        if not weighed:
            if part:
                raise errors.FailedPrecondition(
                    "WEIGHT_NOT_POSITIVE", f"nobody below {member.key[1]} has a positive weight"
                )
            continue
        keys = sorted(weighed)
        weights = [weighed[key][0] for key in keys]
        total = sum(weights, Fraction(0))
        bases = apportion(part, integers(weights), given.rounding)
        for key, weight, base in zip(keys, weights, bases, strict=True):
            found[key] = (base, weight, part * weight / total, weighed[key][1])
    return found


def weigh(
    member: Member, children: Sequence[Member], rule: LevelRule, history: History
) -> dict[Key, tuple[Fraction, bool]]:
    """Positive weights by key, and whether the fallback gave them."""
    if rule.method == "even":
        return {child.key: (Fraction(child.heads), False) for child in children if child.heads}
    if rule.method == "custom":
        missing = [child.key[1] for child in children if child.key not in rule.weights]
        if missing:
            raise errors.FailedPrecondition("WEIGHT_MISSING", f"no weight is given for {', '.join(missing[:10])}")
        if any(rule.weights[child.key] < 0 for child in children):
            raise errors.FailedPrecondition("WEIGHT_NOT_POSITIVE", f"a weight below {member.key[1]} is negative")
        return {child.key: (rule.weights[child.key], False) for child in children if rule.weights[child.key] > 0}
    known = {
        child.key: past for child in children if (past := history(rule.method, child.key)) is not None and past > 0
    }
    heads = sum(child.heads for child in children if child.key in known)
    # Without a history one weighs what the others weigh per head; where nobody has one, heads alone count.
    per_head = sum(known.values(), Fraction(0)) / heads if heads else Fraction(1)
    weighed = {key: (past, False) for key, past in known.items()}
    for child in children:
        if child.key not in known and child.heads:
            weighed[child.key] = (per_head * child.heads, True)
    return weighed


@dataclass(frozen=True, slots=True)
class ProductShare:
    product_id: str
    weight: Fraction


def product_shares(
    products: Sequence[tuple[str, Fraction | None, Fraction]],
    method: Method,
    given: Mapping[str, Fraction],
    *,
    by_stage: bool,
) -> list[ProductShare]:
    """`products` are (id, past, life-cycle weight), past None where there is none (S16).

    Raises FailedPrecondition NO_CHILDREN, WEIGHT_MISSING or WEIGHT_NOT_POSITIVE.
    """
    if not products:
        raise errors.FailedPrecondition("NO_CHILDREN", "no product of the scope is sold")
    if method == "custom" and (missing := [product for product, _, _ in products if product not in given]):
        raise errors.FailedPrecondition("WEIGHT_MISSING", f"no weight is given for {', '.join(missing[:10])}")
    known = [past for _, past, _ in products if past is not None and past > 0]
    mean = sum(known, Fraction(0)) / len(known) if known else Fraction(1)
    shares = []
    for product, past, stage in sorted(products):
        weight = Fraction(1)
        if method == "custom":
            weight = given[product]
        elif method != "even":
            weight = past if past is not None and past > 0 else mean
        if method == "product_weighted" or by_stage:
            weight *= stage
        if weight < 0:
            raise errors.FailedPrecondition("WEIGHT_NOT_POSITIVE", f"product {product} weighs less than nothing")
        if weight:
            shares.append(ProductShare(product, weight))
    if not shares:
        raise errors.FailedPrecondition("WEIGHT_NOT_POSITIVE", "no product has a positive weight")
    return shares
