"""From what a caller says of targets to what they would be: read, completed, held against history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.currency import coins
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.work import Call
from closedloop_targets import amounts, company, ledger
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import HolderKind, Plan, Target, TargetKey, grown, padded
from closedloop_targets.book.rates import rounded
from closedloop_targets.metrics.rules import Metric, MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar, Period
from closedloop_targets.plans import planned, smart, statement

Holder = tuple[HolderKind, str]


@dataclass(slots=True)
class Sketch:
    """A target as far as it was understood. Amounts in minor units or millionths; None: not known."""

    given: pb.TargetInput
    holder: Holder | None = None
    unit_id: str = ""
    owner_id: str = ""
    metric: Metric | None = None
    period: Period | None = None
    base_period: Period | None = None
    growth_ratio: float | None = None
    base_minor: int | None = None
    minor: int | None = None
    currency: str = ""
    parent: Target | None = None
    serves: str = ""
    # Amounts that its sentence names, where they are several.
    rivals: tuple[str, ...] = ()
    held: smart.Facts = field(default_factory=smart.Facts)
    findings: tuple[smart.Finding, ...] = ()

    @property
    def failed(self) -> list[smart.Letter]:
        return smart.failed(self.findings)

    def key(self) -> TargetKey:
        """Of a sketch that says whom, what and when."""
        assert self.holder is not None
        assert self.metric is not None
        assert self.period is not None
        scope = self.given.scope
        return TargetKey(
            *self.holder, self.metric.code, scope.product_id, scope.product_line, scope.segment, self.period.code
        )


@dataclass(slots=True)
class Neighbours:
    """Targets of the version that a new one may hang below or collide with."""

    by_id: dict[str, Target] = field(default_factory=dict)
    by_key: dict[TargetKey, Target] = field(default_factory=dict)
    by_source: dict[tuple[str, str], Target] = field(default_factory=dict)
    by_holder: dict[tuple[Any, ...], list[Target]] = field(default_factory=dict)

    def add(self, target: Target) -> None:
        self.by_id[target.id] = target
        self.by_key[target.key] = target
        if target.source_id:
            self.by_source[target.source, target.source_id] = target
        self.by_holder.setdefault(_line_of_business(target.key), []).append(target)

    def overlapping(self, key: TargetKey, period: Period, target_id: str, line: set[str]) -> Target | None:
        """One of the same holder, metric and scope whose days are partly these; not its own line, nor what lies below."""
        for other in self.by_holder.get(_line_of_business(key), ()):
            apart = other.end_date < period.start or other.start_date > period.end
            if not apart and other.id not in line and other.id != target_id and target_id not in self.line(other):
                return other
        return None

    def line(self, target: Target) -> set[str]:
        """What it hangs below, as far as it is known here."""
        found: set[str] = set()
        above = target.parent_id
        while above is not None and above not in found:
            found.add(above)
            above = self.by_id[above].parent_id if above in self.by_id else None
        return found


def _line_of_business(key: TargetKey) -> tuple[Any, ...]:
    return (key.holder_kind, key.holder_id, key.metric, key.product_id, key.product_line, key.segment)


async def neighbours(
    reader: Reader | Transaction, plan: Plan, number: int, sketches: Sequence[Sketch], org: OrgSnapshot
) -> Neighbours:
    """One round trip."""
    holders = {unit for one in sketches if one.holder for unit in org.ancestry(one.unit_id)}
    holders |= {one.holder[1] for one in sketches if one.holder}
    ids = {one.given.target_id for one in sketches} | {one.given.parent_id for one in sketches}
    params = {
        "plan_id": plan.id,
        "number": number,
        "holders": list(holders),
        "ids": [target_id for target_id in ids if target_id],
        "source_ids": [one.given.provenance.source_id for one in sketches if one.given.provenance.source_id],
    }
    found = Neighbours()
    for target in await reader.all(target_store.NEAR, params, into=Target):
        found.add(target)
    return found


def read(call: Call, inputs: Iterable[pb.TargetInput], plan: Plan | None) -> list[Sketch]:
    """Fills in what the words say. What cannot be found stays empty: SMART names it by its letter."""
    org = call.org
    within = plan_period(plan) if plan else None
    subtree = org.subtree(plan.unit_id) if plan else frozenset(org.units)
    names: list[tuple[str, Holder]] = [("", ("unit", ""))]
    given = list(inputs)
    if any(one.statement and not one.HasField("holder") for one in given):
        names += [(unit.name, ("unit", unit.id)) for unit in org.units.values() if unit.active and unit.id in subtree]
        names += [(p.name, ("person", p.id)) for p in org.people.values() if p.active and p.unit_id in subtree]
    return [_read(call, one, names, plan, within) for one in given]


def _read(
    call: Call, said: pb.TargetInput, names: list[tuple[str, Holder]], plan: Plan | None, within: Period | None
) -> Sketch:
    given = pb.TargetInput()
    given.CopyFrom(said)
    metrics, calendar = call.rules(MetricRules), call.rules(FiscalCalendar)
    money = plan.currency if plan else call.home.currency
    rivals: tuple[str, ...] = ()
    if given.statement:
        words = statement.read(given.statement, names, metrics, calendar, call.home.today(), within)
        rivals = words.rivals if given.WhichOneof("measure") is None else ()
        _complete(given, words, metrics, money)
    sketch = Sketch(given, metric=metrics.find(given.metric), rivals=rivals)
    try:
        sketch.period = periods.parse(given.period, calendar) if given.period else None
    except errors.InvalidArgument:
        sketch.period = None
    _find_holder(sketch, call.org)
    if given.HasField("amount"):
        quantity = amounts.read(given.amount, "target.amount")
        sketch.base_minor, sketch.currency = quantity.minor, quantity.currency
        if quantity.currency and plan and quantity.currency != plan.currency:
            raise errors.InvalidArgument(
                "CURRENCY_MISMATCH",
                f"the plan is in {plan.currency}, not in {quantity.currency}",
                {"target.amount": "currency"},
            )
    if given.HasField("growth"):
        sketch.growth_ratio = given.growth.ratio
        sketch.currency = money if sketch.metric is None or sketch.metric.kind == "money" else ""
    if sketch.period is not None:
        base = given.growth.base_period if given.HasField("growth") else ""
        sketch.base_period = periods.parse(base, calendar) if base else periods.year_before(sketch.period, calendar)
    for layer in given.padding:
        layer.author_id = layer.author_id or call.actor
    return sketch


def _complete(given: pb.TargetInput, words: statement.Reading[Holder], metrics: MetricRules, money: str) -> None:
    """Only what the caller left empty."""
    if not given.period and words.period is not None:
        given.period = words.period.code
    if not given.HasField("holder") and words.holder is not None and words.holder[1]:
        kind, holder_id = words.holder
        given.holder.CopyFrom(pb.Holder(unit_id=holder_id) if kind == "unit" else pb.Holder(person_id=holder_id))
    if not given.metric and words.metric is not None:
        given.metric = words.metric
    if given.WhichOneof("measure") is not None:
        return
    if words.growth_ratio is not None:
        given.growth.ratio = words.growth_ratio
    elif words.amount is not None:
        metric = metrics.find(given.metric)
        currency = (words.currency or money) if metric is None or metric.kind == "money" else ""
        scale = coins(currency) if currency else amounts.MILLIONTHS
        given.amount.CopyFrom(amounts.amount(int(words.amount * scale), currency))


def _find_holder(sketch: Sketch, org: OrgSnapshot) -> None:
    holder = sketch.given.holder
    if (unit := org.unit(holder.unit_id)) is not None:
        leader = org.manager_of(unit.id)
        sketch.holder, sketch.unit_id = ("unit", unit.id), unit.id
        sketch.owner_id = sketch.given.owner_id or (leader.id if leader else "")
    elif (person := org.person(holder.person_id)) is not None:
        sketch.holder, sketch.unit_id = ("person", person.id), person.unit_id
        sketch.owner_id = sketch.given.owner_id or person.id


async def hold_against(
    call: Call, reader: Reader | Transaction, sketches: Sequence[Sketch], near: Neighbours, plan: Plan | None
) -> None:
    """Finds parents, works out amounts and puts the findings of every letter into the sketches. Two round trips."""
    rate = await planned.rate(call, reader, plan) if plan else Fraction(1)
    evidence = await facts(call, reader, [_asked(one) for one in sketches], rate)
    for sketch, held in zip(sketches, evidence, strict=True):
        if sketch.growth_ratio is not None and held.base_minor is not None and sketch.metric is not None:
            sketch.base_minor = grown(held.base_minor, sketch.growth_ratio, sketch.metric.step)
        if sketch.base_minor is not None:
            step = sketch.metric.step if sketch.metric else 1
            lower = sketch.metric is not None and sketch.metric.lower_is_better
            layers = [layer.ratio for layer in sketch.given.padding]
            sketch.minor = padded(sketch.base_minor, layers, step, lower_is_better=lower)
        sketch.held = held
        hang(call, sketch, near, plan)


def hang(call: Call, sketch: Sketch, near: Neighbours, plan: Plan | None) -> None:
    """Looks for the parent, also among targets that have come meanwhile, and puts the findings of every letter."""
    sketch.parent = parent_of(sketch, near, call.org)
    sketch.serves = _serves(sketch, plan, call.org, call.rules(MetricRules))
    draft = smart.Draft(
        holder=name_of(sketch.holder, call.org),
        metric=sketch.metric,
        minor=sketch.minor,
        currency=sketch.currency,
        growth_ratio=sketch.growth_ratio,
        period=sketch.period.code if sketch.period else "",
        serves=sketch.serves,
        base_minor=sketch.base_minor,
        parent=above(sketch.parent, sketch.metric, call.org),
        rivals=sketch.rivals,
    )
    sketch.findings = smart.check(draft, sketch.held, call.rules(smart.SmartRules))


def above(parent: Target | None, metric: Metric | None, org: OrgSnapshot) -> smart.Parent | None:
    """A parent that measures the same."""
    if parent is None or metric is None or parent.metric != metric.code:
        return None
    name = name_of((parent.holder_kind, parent.holder_id), org)
    return smart.Parent(name, parent.period, parent.minor)


Question = tuple[Holder, str, Period, Period, tuple[str, str, str]]


def _asked(sketch: Sketch) -> Question | None:
    """(holder, metric, period, base period, scope) where all of it is known."""
    if sketch.holder is None or sketch.metric is None or sketch.period is None or sketch.base_period is None:
        return None
    scope = sketch.given.scope
    return (
        sketch.holder,
        sketch.metric.code,
        sketch.period,
        sketch.base_period,
        (scope.product_id, scope.product_line, scope.segment),
    )


async def facts(
    call: Call, reader: Reader | Transaction, questions: Sequence[Question | None], rate: Fraction | None
) -> list[smart.Facts]:
    """History, what is done and the pipeline of every question, in order. Two round trips.

    Money is turned into the plan's by `rate`, which turns the plan's into the books'; None: nobody can say."""
    metrics = call.rules(MetricRules)

    def turned(metric: str, minor: int | None) -> int | None:
        known = metrics.find(metric)
        if minor is None or known is None or known.kind != "money":
            return minor
        return rounded(minor / rate) if rate else None

    asked: list[ledger.Asked] = []
    wanted = [question for question in questions if question is not None]
    for (kind, holder_id), metric, period, base, scope in wanted:
        asked += [ledger.Asked(kind, holder_id, metric, span.start, span.end, *scope) for span in (base, period)]
    sums = iter(await ledger.figures(call, reader, asked))
    pipeline = await _pipeline(call, reader, wanted)
    found = {}
    for question, ahead in zip(wanted, pipeline, strict=True):
        base_minor, done = next(sums), next(sums)
        before, so_far, open_deals = (turned(question[1], minor) for minor in (base_minor, done or 0, ahead))
        found[id(question)] = smart.Facts(question[3].code, before, so_far or 0, open_deals or 0)
    return [found[id(question)] if question is not None else smart.Facts() for question in questions]


async def _pipeline(call: Call, reader: Reader | Transaction, questions: Sequence[Question]) -> list[int]:
    """Of the main metric alone: open deals say nothing of the others, nor of parts of the business."""
    main = call.rules(MetricRules).main
    asked = [(at, one) for at, one in enumerate(questions) if one[1] == main and not any(one[4])]
    if not asked:
        return [0] * len(questions)
    params = {
        "kinds": [one[0][0] for _, one in asked],
        "holders": [one[0][1] for _, one in asked],
        "starts": [one[2].start for _, one in asked],
        "ends": [one[2].end for _, one in asked],
        **company.closure(call.org, dict.fromkeys(one[0][1] for _, one in asked if one[0][0] == "unit")),
    }
    found = {row["position"]: row["minor"] for row in await reader.all(target_store.PIPELINE, params)}
    ahead = {at: found.get(number + 1, 0) for number, (at, _) in enumerate(asked)}
    return [ahead.get(at, 0) for at in range(len(questions))]


def parent_of(sketch: Sketch, near: Neighbours, org: OrgSnapshot) -> Target | None:
    """The one asked for, else the nearest above of the same metric, scope and period."""
    if sketch.given.parent_id:
        return near.by_id.get(sketch.given.parent_id)
    if sketch.holder is None or sketch.metric is None or sketch.period is None:
        return None
    key = sketch.key()
    above = list(org.ancestry(sketch.unit_id))[1 if key.holder_kind == "unit" else 0 :]
    lines = (TargetKey("unit", unit, *(getattr(key, name) for name in TargetKey.__slots__[2:])) for unit in above)
    return next((near.by_key[line] for line in lines if line in near.by_key), None)


def _serves(sketch: Sketch, plan: Plan | None, org: OrgSnapshot, metrics: MetricRules) -> str:
    if sketch.parent is not None:
        metric = metrics.find(sketch.parent.metric)
        name = metric.name if metric else sketch.parent.metric
        above = name_of((sketch.parent.holder_kind, sketch.parent.holder_id), org)
        return f"serves {above}: {name} {sketch.parent.period}"
    strategy = sketch.given.strategy or (plan.strategy if plan else "")
    return f"serves the strategy: {strategy}" if strategy else ""


def name_of(holder: Holder | None, org: OrgSnapshot) -> str:
    if holder is None:
        return ""
    known = org.unit(holder[1]) if holder[0] == "unit" else org.person(holder[1])
    return (known.name or known.id) if known else holder[1]


def plan_period(plan: Plan) -> Period:
    return Period(plan.period, "custom", plan.start_date, plan.end_date)


def kept_names(padding: Iterable[pb.Padding]) -> list[Mapping[str, Any]]:
    return [{"name": one.name, "ratio": one.ratio, "reason": one.reason, "author_id": one.author_id} for one in padding]
