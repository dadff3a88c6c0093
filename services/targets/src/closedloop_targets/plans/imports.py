"""ImportTargets: many targets of a draft in one call."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import bulk, errors
from closedloop_chassis.work import Call
from closedloop_targets.book import exceptions, versions
from closedloop_targets.book.model import Target
from closedloop_targets.plans import drafting, entering
from closedloop_targets.plans.drafting import Sketch
from closedloop_targets.plans.rpcs import rpcs


@rpcs.method
async def import_targets(request: pb.ImportTargetsRequest, call: Call) -> BulkSummary:
    version = await versions.lock_version(call.tx, request.plan_id, request.version)
    version.must_be_draft()
    plan = await versions.plan(call.tx, request.plan_id)
    good, refused = bulk.sift(request.targets)
    read: list[tuple[int, Sketch]] = []
    for position, given in good:
        try:
            read.extend((position, sketch) for sketch in drafting.read(call, [given], plan))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    # A row may hang below another one of the call: whoever stands higher in the tree comes first.
    read.sort(key=lambda row: _height(call, row[1]))
    sketches = [sketch for _, sketch in read]
    near = await drafting.neighbours(call.tx, plan, version.number, sketches, call.org)
    await drafting.hold_against(call, call.tx, sketches, near, plan)
    changed: list[Target] = []
    created = 0
    for position, sketch in read:
        try:
            # Its parent may have come, or changed, in a row before it.
            drafting.hang(call, sketch, near, plan)
            before = entering.known(sketch, near)
            if before is None and not sketch.failed:
                # The same holder, metric, scope and period is the same target.
                before = near.by_key.get(sketch.key())
            target = entering.entered(call, plan, version.number, sketch, near, before)
            call.authorize("", target.unit_id)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        if target is not before:
            near.add(target)
            changed.append(target)
            created += before is None
    if changed and not request.validate_only:
        entering.save(call, changed, near)
        await exceptions.lapse(call, plan.id, version.number)
        call.audit(
            f"plan:{plan.id}",
            "import_targets",
            after={
                "version": version.number,
                "created": created,
                "updated": len(changed) - created,
                "rejected": len(refused),
            },
        )
    return bulk.summary(read=len(request.targets), created=created, updated=len(changed) - created, refused=refused)


def _height(call: Call, sketch: Sketch) -> tuple[int, str]:
    if sketch.holder is None:
        return (10_000, "")
    levels = len(list(call.org.ancestry(sketch.unit_id)))
    return (levels + (sketch.holder[0] == "person"), sketch.holder[1])
