"""What stands in the way of publishing a draft."""

from __future__ import annotations

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call
from closedloop_targets import aggregation
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Plan, Target
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import carrying, drafting, planned, rules, smart
from closedloop_targets.plans.rules import Obstacle


async def find(call: Call, reader: Reader | Transaction, plan: Plan, number: int) -> list[Obstacle]:
    """Six round trips, whatever the size of the version."""
    targets = await target_store.of_version(reader, plan.id, number)
    if not targets:
        return [Obstacle("PLAN_EMPTY", "", f"version {number} has no targets")]
    found = _closed(call, targets) + await _foreign(call, reader, plan, targets)
    found += [
        Obstacle("OWNER_MISSING", one.id, f"nobody answers for {_who(call, one)}")
        for one in targets
        if not one.owner_id
    ]
    found += _mixed(call, targets)
    if plan.must_sum:
        params = {"plan_id": plan.id, "number": number, **aggregation.manners(call)}
        for row in await reader.all(target_store.NOT_SUMMING, params):
            missing, name = row["missing"], drafting.name_of((row["holder_kind"], row["holder_id"]), call.org)
            said = rules.lacks(missing, row["currency"], aggregation.of(call, row["metric"]))
            found.append(Obstacle("PLAN_DOES_NOT_SUM", row["id"], f"{name}: {said}"))
    # A share that was rounded to nothing is no target anybody set; of a mean somebody set it.
    asked = [
        one for one in targets if one.minor or one.cascade_id is None or not aggregation.of(call, one.metric).adds_up
    ]
    for target, findings in (await checks(call, reader, plan, asked)).items():
        if failed := smart.failed(findings):
            said = "; ".join(finding.statement for finding in findings if not finding.passed)
            found.append(Obstacle("TARGETS_NOT_SMART", target, f"not {', '.join(failed)}: {said}"))
    return found + await carrying.obstacles(call, reader, plan, number)


def _mixed(call: Call, targets: list[Target]) -> list[Obstacle]:
    """Whose parent's metric was changed since, or that come from before anybody asked."""
    by_id = {one.id: one for one in targets}
    pairs = [(one, by_id[one.parent_id]) for one in targets if one.parent_id in by_id]
    return [
        Obstacle("PARENT_OF_OTHER_METRIC", one.id, f"{_who(call, one)}: {one.metric} adds nothing up to {above.metric}")
        for one, above in pairs
        if one.metric != above.metric
    ]


async def _foreign(call: Call, reader: Reader | Transaction, plan: Plan, targets: list[Target]) -> list[Obstacle]:
    """The books are kept in the company's money: without a rate boards would hold dollars against yuan (U16)."""
    if not any(one.currency for one in targets) or await planned.rate(call, reader, plan) is not None:
        return []
    said = f"no rate is known from {plan.currency} to {call.home.currency} on {plan.start_date}, in which the books are"
    return [Obstacle("PLAN_CURRENCY_FOREIGN", "", said)]


async def checks(
    call: Call, reader: Reader | Transaction, plan: Plan, targets: list[Target]
) -> dict[str, tuple[smart.Finding, ...]]:
    """The SMART findings of targets that are there, by id. Three round trips."""
    calendar, metrics, allowed = call.rules(FiscalCalendar), call.rules(MetricRules), call.rules(smart.SmartRules)
    questions: list[drafting.Question | None] = []
    for one in targets:
        period = periods.parse(one.period, calendar)
        scope = (one.product_id, one.product_line, one.segment)
        before = periods.year_before(period, calendar)
        questions.append(((one.holder_kind, one.holder_id), one.metric, period, before, scope))
    parents = {one.id: one for one in targets}
    missing = {one.parent_id for one in targets if one.parent_id} - parents.keys()
    parents |= await target_store.by_id(call, reader, sorted(missing)) if missing else {}
    evidence = await drafting.facts(call, reader, questions, await planned.rate(call, reader, plan))
    found = {}
    for one, facts in zip(targets, evidence, strict=True):
        strategy = one.strategy or plan.strategy
        draft = smart.Draft(
            holder=_who(call, one),
            metric=metrics.find(one.metric),
            minor=one.minor,
            currency=one.currency,
            growth_ratio=None,
            period=one.period,
            serves="serves its parent target"
            if one.parent_id
            else f"serves the strategy: {strategy}"
            if strategy
            else "",
            base_minor=one.base_minor,
            parent=drafting.above(parents.get(one.parent_id or ""), metrics.find(one.metric), call.org),
        )
        found[one.id] = smart.check(draft, facts, allowed)
    return found


def _closed(call: Call, targets: list[Target]) -> list[Obstacle]:
    org = call.org
    found = []
    for one in targets:
        holder = org.unit(one.holder_id) if one.holder_kind == "unit" else org.person(one.holder_id)
        if holder is None or not holder.active:
            found.append(Obstacle("UNIT_CLOSED", one.id, f"{one.holder_kind} {one.holder_id} is no more"))
    return found


def _who(call: Call, target: Target) -> str:
    return drafting.name_of((target.holder_kind, target.holder_id), call.org)
