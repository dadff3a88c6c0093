"""A mean down the tree: nobody has a part of it, everybody is asked for what their parent is."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from closedloop_targets.aggregation import Manner
from closedloop_targets.book.model import padded
from closedloop_targets.cascade.rules import Given, History, Key, Member, Node, level_by_level, weigh


def hand_down(root: Member, value: int, given: Given, history: History, manner: Manner) -> list[Node]:
    """Parents first. A pin is another value for its holder and whoever is below; weights say what each counts in the mean.

    Raises FailedPrecondition NO_CHILDREN, WEIGHT_MISSING or WEIGHT_NOT_POSITIVE.
    """

    def asked(member: Member, parent: int | None, level: int, amount: int) -> Iterable[tuple[Member, Node]]:
        weights = _weights(member, given, history)
        total = sum((weight for weight, _ in weights.values()), Fraction(0))
        for child in sorted(member.children, key=lambda child: child.key):
            if child.key not in weights:
                continue
            rule, (weight, fell_back) = given.rule(child.kind), weights[child.key]
            pinned = child.key in given.pins
            base = given.pins[child.key] if pinned else amount
            yield (
                child,
                Node(
                    key=child.key,
                    unit_id=child.unit_id,
                    parent=parent,
                    level=level,
                    base=base,
                    amount=padded(base, rule.padding, given.step, lower_is_better=manner.lower_is_better),
                    method=rule.fallback if fell_back else rule.method,
                    fell_back=fell_back,
                    pinned=pinned,
                    weight=weight,
                    share=float(weight / total) if total else 0.0,
                    rounding=0,
                ),
            )

    return level_by_level(root, value, given, asked)


def _weights(member: Member, given: Given, history: History) -> dict[Key, tuple[Fraction, bool]]:
    """What children count in their parent's mean, and whether the fallback says so. Where levels that follow rules of
    their own stand side by side, heads decide between them; who is pinned without carrying anything counts as one head."""
    groups: dict[str, list[Member]] = {}
    for child in member.children:
        groups.setdefault(given.rule(child.kind).kind, []).append(child)
    found: dict[Key, tuple[Fraction, bool]] = {}
    for children in groups.values():
        rule = given.rule(children[0].kind)
        weighed = weigh(member, children, rule, history)
        pinned = [child.key for child in children if child.key in given.pins and child.key not in weighed]
        if len(groups) > 1 and weighed:
            heads = sum(child.heads for child in children) or len(children)
            total = sum((weight for weight, _ in weighed.values()), Fraction(0))
            weighed = {key: (weight * heads / total, fell_back) for key, (weight, fell_back) in weighed.items()}
        found |= weighed | {key: (Fraction(1), True) for key in pinned}
    return found
