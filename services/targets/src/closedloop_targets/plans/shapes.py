"""Plans, versions, targets and what is found out about them, as the contract shows them."""

from __future__ import annotations

from google.protobuf import json_format

from closedloop.common.v1.common_pb2 import Evidence, Ownership, RuleReference
from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import etags, protos, provenance, structs
from closedloop_chassis.work import Work
from closedloop_targets import amounts
from closedloop_targets.book.exceptions import Exemption
from closedloop_targets.book.model import Plan, Target
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import smart
from closedloop_targets.plans.drafting import Sketch
from closedloop_targets.plans.rules import Obstacle
from closedloop_targets.plans.store import VersionFigures


def plan(row: Plan, work: Work) -> pb.Plan:
    period = periods.parse(row.period, work.rules(FiscalCalendar))
    return pb.Plan(
        id=row.id,
        name=row.name,
        ownership=Ownership(owner_id=row.owner_id, unit_id=row.unit_id),
        period=period_shapes.to_proto(period, work, row.unit_id),
        currency_code=row.currency,
        must_sum=row.must_sum,
        must_sum_reason=row.must_sum_reason,
        strategy=row.strategy,
        version_in_force=row.version_in_force,
        latest_version=row.latest_version,
        custom_fields=structs.struct(row.custom_fields),
        etag=etags.of(row.version),
        create_time=protos.timestamp(row.created_at),
        update_time=protos.timestamp(row.updated_at),
    )


def version(figures: VersionFigures, obstacles: list[Obstacle] | None = None, listed: int = 0) -> pb.PlanVersion:
    row = figures.version
    return pb.PlanVersion(
        plan_id=row.plan_id,
        number=row.number,
        state=pb.PlanVersionState.Value(f"PLAN_VERSION_STATE_{row.state.upper()}"),
        base_version=row.base_version,
        cause=pb.RevisionCause.Value(f"REVISION_CAUSE_{row.cause.upper()}"),
        reason=row.reason,
        evidence=[json_format.ParseDict(one, Evidence()) for one in row.evidence],
        author_id=row.author_id,
        create_time=protos.timestamp(row.created_at),
        effective_date=protos.date_proto(row.effective_date),
        published_by=row.published_by,
        publish_time=protos.timestamp(row.published_at),
        recalled_by=row.recalled_by,
        recall_time=protos.timestamp(row.recalled_at),
        recall_reason=row.recall_reason,
        target_count=figures.target_count,
        totals=totals(figures),
        obstacle_count=len(obstacles or ()),
        obstacles=[
            pb.PublishObstacle(reason=one.reason, target_id=one.target_id, message=one.message)
            for one in (obstacles or ())[:listed]
        ],
        etag=etags.of(row.version),
    )


def totals(figures: VersionFigures) -> list[pb.MetricTotal]:
    return [
        pb.MetricTotal(metric=metric, amount=amounts.amount(minor, currency))
        for metric, currency, minor in figures.totals
    ]


def holder(kind: str, holder_id: str) -> pb.Holder:
    return pb.Holder(unit_id=holder_id) if kind == "unit" else pb.Holder(person_id=holder_id)


def target(row: Target, work: Work, check: pb.SmartCheck | None = None) -> pb.Target:
    period = periods.parse(row.period, work.rules(FiscalCalendar))
    shape = pb.Target(
        id=row.id,
        plan_id=row.plan_id,
        version=row.number,
        parent_id=row.parent_id or "",
        holder=holder(row.holder_kind, row.holder_id),
        depth=row.depth,
        metric=row.metric,
        scope=pb.TargetScope(product_id=row.product_id, product_line=row.product_line, segment=row.segment),
        period=period_shapes.stored(period.code, period.grain, period.start, period.end),
        amount=amounts.amount(row.minor, row.currency),
        base_amount=amounts.amount(row.base_minor, row.currency),
        padding=[pb.Padding(**layer) for layer in row.padding],
        ownership=Ownership(owner_id=row.owner_id, unit_id=row.unit_id),
        statement=row.statement,
        strategy=row.strategy,
        smart=check,
        cascade_id=row.cascade_id or "",
        custom_fields=structs.struct(row.custom_fields),
        provenance=provenance.to_proto(row.provenance),
        etag=etags.of(row.version),
        update_time=protos.timestamp(row.updated_at),
    )
    if row.passed_minor is not None:
        shape.passed_on.CopyFrom(amounts.amount(row.passed_minor, row.currency))
        shape.difference.CopyFrom(amounts.amount(row.minor - row.passed_minor, row.currency))
    return shape


def smart_check(sketch: Sketch, work: Work) -> pb.SmartCheck:
    understood = pb.TargetInput()
    understood.CopyFrom(sketch.given)
    if sketch.base_minor is not None and sketch.growth_ratio is not None:
        understood.amount.CopyFrom(amounts.amount(sketch.base_minor, sketch.currency))
    if sketch.owner_id:
        understood.owner_id = sketch.owner_id
    if sketch.parent is not None:
        understood.parent_id = sketch.parent.id
    return findings(sketch.findings, work, understood)


def findings(found: tuple[smart.Finding, ...], work: Work, understood: pb.TargetInput | None = None) -> pb.SmartCheck:
    failed = smart.failed(found)
    return pb.SmartCheck(
        passed=not failed,
        failed=[_letter(letter) for letter in failed],
        findings=[
            pb.SmartFinding(
                letter=_letter(finding.letter),
                passed=finding.passed,
                statement=finding.statement,
                evidence=[Evidence(name=e.name, value=e.value, unit=e.unit, text=e.text) for e in finding.evidence],
                unproven=finding.unproven,
            )
            for finding in found
        ],
        understood=understood,
        rule=RuleReference(
            rulebook=smart.SmartRules.rulebook,
            version=work.process.rulebooks.version(smart.SmartRules, work.now),
            explanation="; ".join(f"{finding.letter}: {finding.statement}" for finding in found)[:2000],
        ),
    )


def exception(row: Exemption) -> pb.SumException:
    return pb.SumException(
        id=row.id,
        plan_id=row.plan_id,
        version=row.number,
        target_id=row.target_id,
        difference=amounts.amount(row.difference_minor, row.currency),
        difference_ratio=row.difference_ratio,
        reason=row.reason,
        requested_by=row.requested_by,
        request_time=protos.timestamp(row.requested_at),
        state=exception_state(row.state),
        approval_request_id=row.approval_request_id,
        decided_by=row.decided_by,
        decide_time=protos.timestamp(row.decided_at),
        comment=row.comment,
    )


def exception_state(state: str) -> pb.SumExceptionState.ValueType:
    return pb.SumExceptionState.Value(f"SUM_EXCEPTION_STATE_{state.upper() or 'UNSPECIFIED'}")


def _letter(letter: smart.Letter) -> pb.SmartLetter.ValueType:
    return pb.SmartLetter.Value(f"SMART_LETTER_{letter.upper()}")
