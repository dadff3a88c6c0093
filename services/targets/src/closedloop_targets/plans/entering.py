"""A sketch becomes a target of a draft, or is refused with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from closedloop_chassis import errors, ids, provenance, structs
from closedloop_chassis.work import Call
from closedloop_targets.book import targets as target_store
from closedloop_targets.book import versions
from closedloop_targets.book.model import Plan, Target
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.plans import drafting, rules, smart
from closedloop_targets.plans.drafting import Neighbours, Sketch


def known(sketch: Sketch, near: Neighbours) -> Target | None:
    """The target that is meant: by id, else by provenance. Raises NotFound TARGET_NOT_FOUND."""
    given = sketch.given
    if given.target_id:
        found = near.by_id.get(given.target_id)
        if found is None:
            raise errors.NotFound("TARGET_NOT_FOUND", f"the draft has no target {given.target_id}")
        return found
    if given.provenance.source_id:
        return near.by_source.get((given.provenance.source, given.provenance.source_id))
    return None


def entered(call: Call, plan: Plan, number: int, sketch: Sketch, near: Neighbours, before: Target | None) -> Target:
    """`before` itself where nothing differs. Raises the reasons of SetTarget."""
    if sketch.failed:
        letters = smart.initials(sketch.failed)
        said = "; ".join(finding.statement for finding in sketch.findings if not finding.passed)
        raise errors.FailedPrecondition(
            "NOT_SMART", f"not {', '.join(sketch.failed)}: {said}", letters=letters, **smart.told(sketch.findings)
        )
    key, period, given = sketch.key(), sketch.period, sketch.given
    if period is None or sketch.minor is None or sketch.base_minor is None:
        raise errors.FailedPrecondition("NOT_SMART", "period and amount are needed", letters="M,T")
    rules.check_inside(drafting.plan_period(plan), period)
    if sketch.unit_id not in call.org.subtree(plan.unit_id):
        raise errors.FailedPrecondition("UNIT_OUTSIDE_PLAN", f"{sketch.unit_id} does not belong to {plan.unit_id}")
    if not sketch.owner_id or call.org.person(sketch.owner_id) is None:
        raise errors.FailedPrecondition(
            "OWNER_MISSING", f"nobody answers for it: {sketch.owner_id or key.holder_id} has no leader"
        )
    if given.parent_id and sketch.parent is None:
        raise errors.NotFound("TARGET_NOT_FOUND", f"the draft has no target {given.parent_id}")
    target_id = before.id if before else ids.new_id()
    parent = sketch.parent if sketch.parent is None or sketch.parent.id != target_id else None
    if parent is not None and parent.metric != key.metric:
        raise errors.FailedPrecondition(
            "PARENT_OF_OTHER_METRIC",
            f"{key.metric} adds nothing up to {parent.metric}; a parent measures the same",
            target_id=parent.id,
        )
    parents = {one.id: one.parent_id for one in near.by_id.values()}
    rules.check_line(target_id, parent.id if parent else None, parents)
    # Whoever took targets over may have two of one kind: what keeps its days and its holder overlaps as it did.
    moved = before is None or before.key != key
    if moved and (other := near.overlapping(key, period, target_id, _line(parent, parents))) is not None:
        raise errors.FailedPrecondition(
            "TARGET_OVERLAPS", f"{key.holder_id} has {key.metric} for {other.period} already", target_id=other.id
        )
    own = structs.plain(given.custom_fields)
    call.rules(TargetFieldRules).check("target", own)
    target = Target(
        id=target_id,
        plan_id=plan.id,
        number=number,
        parent_id=parent.id if parent else None,
        holder_kind=key.holder_kind,
        holder_id=key.holder_id,
        depth=parent.depth + 1 if parent else 0,
        metric=key.metric,
        product_id=key.product_id,
        product_line=key.product_line,
        segment=key.segment,
        period=key.period,
        start_date=period.start,
        end_date=period.end,
        minor=sketch.minor,
        base_minor=sketch.base_minor,
        currency=sketch.currency,
        padding=[dict(layer) for layer in drafting.kept_names(given.padding)],
        owner_id=sketch.owner_id,
        unit_id=sketch.unit_id,
        statement=given.statement,
        strategy=given.strategy,
        cascade_id=None,
        counts=parent is None or (parent.holder_kind, parent.holder_id) != (key.holder_kind, key.holder_id),
        custom_fields=own,
        source=given.provenance.source,
        source_id=given.provenance.source_id,
        provenance=provenance.keep(given.provenance, call.actor),
        version=1,
        updated_at=call.now,
    )
    return target if before is None else _changed(before, target)


def _changed(before: Target, after: Target) -> Target:
    kept = replace(
        after,
        version=before.version,
        updated_at=before.updated_at,
        passed_minor=before.passed_minor,
        weight=before.weight,
    )
    if provenance.same(kept.provenance, before.provenance) or not kept.provenance:
        kept = replace(kept, provenance=before.provenance, source=before.source, source_id=before.source_id)
    if replace(kept, cascade_id=before.cascade_id) == before:
        return before
    return replace(kept, version=before.version + 1, updated_at=after.updated_at)


def save(call: Call, targets: Sequence[Target], near: Neighbours) -> None:
    """Queues targets, parents before children. Their cells go: the version spreads them anew when it is published."""
    target_store.save(call.tx, targets)
    forget = {target.id for target in targets}
    forget |= {before.parent_id for one in targets if (before := near.by_id.get(one.id)) and before.parent_id}
    call.tx.do(target_store.FORGET_CELLS, {"ids": sorted(forget)})
    for target in targets:
        before = near.by_id.get(target.id)
        if before is not None and before.depth != target.depth:
            call.tx.do(target_store.SINK, {"id": target.id, "levels": target.depth - before.depth})
    call.tx.do(versions.TOUCH, {"plan_id": targets[0].plan_id, "number": targets[0].number})


def audited(target: Target) -> dict[str, Any]:
    """What a reader of the trail wants to compare."""
    names = (
        "holder_id",
        "metric",
        "period",
        "minor",
        "base_minor",
        "currency",
        "padding",
        "owner_id",
        "parent_id",
        "statement",
    )
    return {name: value for name, value in asdict(target).items() if name in names}


def _line(parent: Target | None, parents: dict[str, str | None]) -> set[str]:
    line: set[str] = set()
    above = parent.id if parent else None
    while above is not None and above not in line:
        line.add(above)
        above = parents.get(above)
    return line
