"""Works out one cascade: members, the past that weighs, products, nodes, cells. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import cast

from closedloop.targets.v1 import cascade_pb2 as pb
from closedloop.targets.v1.metrics_pb2 import Amount
from closedloop.targets.v1.plans_pb2 import Holder, Padding
from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, amounts, ledger
from closedloop_targets.aggregation import Manner
from closedloop_targets.book.model import Target
from closedloop_targets.cascade import handing, members, profiles, rules, spread, store
from closedloop_targets.cascade.apportion import apportion, integers
from closedloop_targets.cascade.rules import CascadeDefaults, Given, Key, LevelRule, Member, Method, Node
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar, Grain, Period
from closedloop_targets.products.rules import ProductRules


@dataclass(frozen=True, slots=True)
class Branch:
    """One product's way down, or the whole target's where products are not told apart."""

    product_id: str
    base: int
    weight: Fraction
    share: float
    rounding: int
    nodes: list[Node]


@dataclass(frozen=True, slots=True)
class Split:
    """A cascade as it came out. `method` is the one among products, None where the target was not split by them."""

    target: Target
    branches: list[Branch]
    method: Method | None
    step: int
    grains: tuple[Grain, ...]
    period: Period
    spreader: spread.Spreader
    course: profiles.Course
    # Named layers by the kind of the nodes they are put on.
    padding: Mapping[str, Sequence[Padding]]
    manner: Manner

    def layers(self, kind: str) -> Sequence[Padding]:
        return self.padding[kind] if kind in self.padding else self.padding.get("", ())

    def cells(
        self, targets: Sequence[Target], calendar_of: Callable[[str], str]
    ) -> list[tuple[str, list[Period], list[int]]]:
        """Of the target that was split and of what came of it, which stands parents first."""
        pieces = [
            spread.Piece(
                one.id,
                one.parent_id,
                self.period,
                one.minor,
                self.step,
                calendar_of(one.unit_id),
                one.unit_id,
                profile=one.product_id if one.product_id in self.course.products else "",
                adds_up=self.manner.adds_up,
            )
            for one in (self.target, *targets)
        ]
        return list(self.spreader.tree(pieces, self.grains, {}))


async def work_out(call: Call, reader: Reader | Transaction, target: Target, asked: pb.CascadeRules) -> Split:
    """Three or four round trips, whatever the size of the tree. Raises the reasons of RunCascade."""
    if target.holder_kind != "unit":
        raise errors.FailedPrecondition("NO_CHILDREN", "a person passes nothing on")
    defaults, calendar = call.rules(CascadeDefaults), call.rules(FiscalCalendar)
    metric = call.rules(MetricRules).metric(target.metric)
    manner, step = aggregation.manner(metric), metric.step
    given = _given(asked, target, defaults, step, manner)
    excluded = frozenset(key(holder) for holder in asked.excluded)
    root = members.below(call.org, target.holder_id, defaults.carriers, excluded)
    _check_holders(call, asked, root)
    period = periods.parse(target.period, calendar)
    past = _Past(call, reader, target, period, root, {rule.method for rule in given.levels_rules})
    branches, method = await _products(call, reader, asked, target, period, given)
    if not manner.adds_up:
        branches = [replace(branch, base=target.base_minor, rounding=0) for branch in branches]
    given_to = {branch.product_id: replace(given, pins={} if manner.adds_up else given.pins) for branch in branches}
    for holder, pin in given.pins.items() if manner.adds_up else ():
        # A pin is what a holder gets of all products together; each carries its part of it.
        weights = [branch.base for branch in branches]
        parts = apportion(pin, weights if any(weights) else [1] * len(weights), step)
        for branch, part in zip(branches, parts, strict=True):
            held = given_to[branch.product_id]
            given_to[branch.product_id] = replace(held, pins={**held.pins, holder: part})
    split: list[Branch] = []
    for branch in branches:
        await past.load(branch.product_id)
        allowed, history = given_to[branch.product_id], past.of(branch.product_id)
        nodes = (
            rules.cascade(root, branch.base, allowed, history)
            if manner.adds_up
            else handing.hand_down(root, branch.base, allowed, history, manner)
        )
        split.append(Branch(branch.product_id, branch.base, branch.weight, branch.share, branch.rounding, nodes))
    grains = defaults.cut([period_shapes.grain(one) for one in asked.time.grains])
    course = profiles.AS_IT_IS
    if manner.adds_up:
        products = [branch.product_id for branch in branches if branch.product_id]
        course = await profiles.course(call, reader, asked.time, target, period, products)
    spreader = spread.Spreader(
        calendar,
        lambda day, unit: call.calendars.is_workday(day, "business", unit),
        course.whole,
        course.products,
    )
    padding = {rule.kind: rule.padding for rule in asked.tree}
    return Split(target, split, method, step, grains, period, spreader, course, padding, manner)


def key(holder: Holder) -> Key:
    return ("unit", holder.unit_id) if holder.HasField("unit_id") else ("person", holder.person_id)


def method_name(value: pb.AllocationMethod.ValueType, default: Method) -> Method:
    if not value:
        return default
    return cast("Method", pb.AllocationMethod.Name(value).removeprefix("ALLOCATION_METHOD_").lower())


def _given(asked: pb.CascadeRules, target: Target, defaults: CascadeDefaults, step: int, manner: Manner) -> Given:
    levels = tuple(
        LevelRule(
            kind=rule.kind,
            method=method_name(rule.method, defaults.method),
            weights={key(one.holder): Fraction(one.weight.value) for one in rule.weights},
            fallback=method_name(rule.fallback, defaults.fallback),
            padding=tuple(layer.ratio for layer in rule.padding),
        )
        for rule in asked.tree
    )
    if any(rule.fallback != "even" for rule in levels):
        raise errors.InvalidArgument(
            "FALLBACK_INVALID", "who has no history shares by heads", {"rules.tree": "fallback"}
        )
    if len({rule.kind for rule in levels}) < len(levels):
        raise errors.InvalidArgument(
            "KIND_REPEATED", "at most one rule per kind", {"rules.tree": "a kind stands twice"}
        )
    # Padding asks for more; where less is better, it is what takes away.
    if any((-sum(rule.padding) if manner.lower_is_better else sum(rule.padding)) < -1 for rule in levels):
        raise errors.InvalidArgument(
            "PADDING_BELOW_NOTHING", "the layers of a level take away more than everything", {"rules.tree": "padding"}
        )
    if not any(rule.kind == "" for rule in levels):
        levels += (LevelRule("", defaults.method, {}, defaults.fallback),)
    pins = {key(pin.holder): _minor(pin.amount, target, "rules.pins.amount") for pin in asked.pins}
    if any(amount < 0 for amount in pins.values()):
        raise errors.InvalidArgument("PIN_NEGATIVE", "a pin is not negative", {"rules.pins": "negative"})
    rounding = _minor(asked.rounding, target, "rules.rounding") if asked.HasField("rounding") else step
    if rounding <= 0 or rounding % step:
        raise errors.InvalidArgument(
            "ROUNDING_INVALID", "rounding is a multiple of the smallest amount", {"rules.rounding": "not one"}
        )
    return Given(levels, pins, asked.levels, rounding, step)


def _check_holders(call: Call, asked: pb.CascadeRules, root: Member) -> None:
    """Nobody is named in vain: what is pinned lies below, what is left out exists, and each is named once.

    Raises InvalidArgument HOLDER_UNKNOWN or HOLDER_REPEATED."""
    there = {member.key for member in members.flat(root)}
    wrong = {
        f"rules.pins[{at}].holder": f"{pin.holder.unit_id or pin.holder.person_id} gets nothing of {root.key[1]}"
        for at, pin in enumerate(asked.pins)
        if key(pin.holder) not in there
    } | {
        f"rules.excluded[{at}]": f"there is no {one.unit_id or one.person_id}"
        for at, one in enumerate(asked.excluded)
        if call.org.unit(one.unit_id) is None and call.org.person(one.person_id) is None
    }
    if wrong:
        raise errors.InvalidArgument("HOLDER_UNKNOWN", "rules name who gets nothing of this target", wrong)
    named = {"rules.pins": [key(pin.holder) for pin in asked.pins]} | {
        f"rules.tree[{at}].weights": [key(one.holder) for one in rule.weights] for at, rule in enumerate(asked.tree)
    }
    twice = {field: "a holder stands twice" for field, keys in named.items() if len(set(keys)) < len(keys)}
    if twice:
        raise errors.InvalidArgument("HOLDER_REPEATED", "who is named twice gets which of the two?", twice)


def _minor(amount: Amount, target: Target, field: str) -> int:
    quantity = amounts.read(amount, field)
    if quantity.currency != target.currency:
        raise errors.InvalidArgument(
            "WRONG_KIND_OF_AMOUNT", f"the target is in {target.currency or 'plain numbers'}", {field: "unit"}
        )
    return quantity.minor


async def _products(
    call: Call, reader: Reader | Transaction, asked: pb.CascadeRules, target: Target, period: Period, given: Given
) -> tuple[list[Branch], Method | None]:
    if not asked.HasField("product") or target.product_id:
        return [Branch("", target.base_minor, Fraction(1), 1.0, 0, [])], None
    rule = asked.product
    method = method_name(rule.method, "even")
    weights = {one.product_id: Fraction(one.weight.value) for one in rule.weights}
    wanted = list(rule.product_ids) or list(weights)
    sold = await store.products(reader, wanted, target.product_line, period.start)
    if missing := sorted({*wanted, *weights} - {product for product, _ in sold}):
        raise errors.FailedPrecondition(
            "PRODUCT_NOT_FOUND", f"nothing of {', '.join(missing[:10])} belongs to what the target is about"
        )
    span = (
        periods.year_before(period, call.rules(FiscalCalendar))
        if method == "history"
        else periods.trailing_year(period)
    )
    questions = [
        ledger.Asked(
            "unit", target.holder_id, target.metric, span.start, span.end, product, target.product_line, target.segment
        )
        for product, _ in sold
    ]
    counted = ledger.figures if aggregation.of(call, target.metric).adds_up else ledger.weights
    past = await counted(call, reader, questions)
    stages = call.rules(ProductRules)
    known = [
        (product, None if minor is None else Fraction(minor), Fraction(stages.weight(stage)))  # type: ignore[arg-type]
        for (product, stage), minor in zip(sold, past, strict=True)
    ]
    shares = rules.product_shares(known, method, weights, by_stage=rule.weigh_by_stage)
    total = sum((share.weight for share in shares), Fraction(0))
    bases = apportion(target.base_minor, integers([share.weight for share in shares]), given.rounding)
    branches = []
    for share, base in zip(shares, bases, strict=True):
        exact = target.base_minor * share.weight / total
        branches.append(
            Branch(share.product_id, base, share.weight, float(share.weight / total), base - int(exact), [])
        )
    return branches, method


class _Past:
    """What members did, by method and product."""

    def __init__(
        self,
        call: Call,
        reader: Reader | Transaction,
        target: Target,
        period: Period,
        root: Member,
        methods: set[Method],
    ) -> None:
        self._call, self._reader, self._target, self._period = call, reader, target, period
        self._members = members.flat(root)
        self._methods = methods - {"even", "custom"}
        self._known: dict[tuple[str, Method], dict[Key, Fraction]] = {}

    async def load(self, product_id: str) -> None:
        for method in sorted(self._methods):
            if (product_id, method) not in self._known:
                self._known[product_id, method] = await self._measure(method, product_id)

    def of(self, product_id: str) -> rules.History:
        return lambda method, holder: self._known.get((product_id, method), {}).get(holder)

    async def _measure(self, method: Method, product_id: str) -> dict[Key, Fraction]:
        """One question per member and product, answered in one round trip."""
        calendar = self._call.rules(FiscalCalendar)
        span = (
            periods.year_before(self._period, calendar) if method == "history" else periods.trailing_year(self._period)
        )
        products: Mapping[str, Fraction] = {product_id or self._target.product_id: Fraction(1)}
        if method == "product_weighted":
            ids = [one for one in products if one]
            weights = self._call.rules(ProductRules)
            sold = await store.products(self._reader, ids, self._target.product_line, self._period.start)
            products = {product: Fraction(weights.weight(stage)) for product, stage in sold}  # type: ignore[arg-type]
        asked: list[tuple[Key, Fraction, ledger.Asked]] = [
            (member.key, weight, self._ask(member.key, span, product))
            for member in self._members
            for product, weight in products.items()
        ]
        found: dict[Key, Fraction] = {}
        for (holder, weight, _), done in zip(asked, await self._done([one for _, _, one in asked]), strict=True):
            if done is not None:
                found[holder] = found.get(holder, Fraction(0)) + Fraction(done) * weight
        return found

    async def _done(self, asked: Sequence[ledger.Asked]) -> Sequence[int | Decimal | None]:
        """What weighs: how much was done; of a mean what it rests on, because who is good does not count for more."""
        if aggregation.of(self._call, self._target.metric).adds_up:
            return await ledger.figures(self._call, self._reader, asked)
        return await ledger.weights(self._call, self._reader, asked)

    def _ask(self, holder: Key, span: Period, product_id: str) -> ledger.Asked:
        target = self._target
        return ledger.Asked(
            holder[0], holder[1], target.metric, span.start, span.end, product_id, target.product_line, target.segment
        )
