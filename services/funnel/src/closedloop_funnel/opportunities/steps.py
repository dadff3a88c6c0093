"""The steps of a deal: advanced with evidence, won, lost, reopened (S40)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, etags, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Work
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.attachments import references
from closedloop_funnel.lessons import soon as lessons
from closedloop_funnel.opportunities import evidence, moves, opening, proto, store, telling, worth
from closedloop_funnel.opportunities.opening import DWELL, plain_opportunity
from closedloop_funnel.opportunities.record import Evidence, Held, Move, Seen
from closedloop_funnel.opportunities.rules import check_dates, check_past
from closedloop_funnel.pipelines import removed
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import PipelineRule
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.OpportunityService")

PACE = "funnel.stage_pace"
PHOTO = pipelines_pb2.EVIDENCE_KIND_PHOTO


@rpcs.method
async def advance_opportunity(request: pb.AdvanceOpportunityRequest, call: Call) -> pb.Opportunity:
    deal = await _held(request, call, request.evidence)
    pipeline = removed.as_stood_in(deal.pipeline_id, deal.stage_key, call)
    deal, given = _with_evidence(deal, request.evidence, pipeline, call)
    step = moves.advance(deal, pipeline, request.to_stage_key, request.skip_reason.strip(), request.back_reason.strip())
    changed: dict[str, Any] = {"probability": step.to.probability}
    if step.direction == "archived":
        changed = {}
    elif not deal.category_set:
        changed["category"] = step.to.category
    after = moved(deal, step, given, call, **changed)
    return answer(deal, after, "advance", call, tells=step.direction != "archived")


@rpcs.method
async def close_opportunity(request: pb.CloseOpportunityRequest, call: Call) -> pb.Opportunity:
    deal = await _held(request, call, request.evidence)
    if deal.state != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"it was {deal.state} already")
    pipeline = removed.as_stood_in(deal.pipeline_id, deal.stage_key, call)
    outcome = word(pb.OpportunityState, request.outcome)
    if outcome == "open":
        raise errors.InvalidArgument(
            "OUTCOME_INVALID", "a deal closes won or lost", {"outcome": "neither WON nor LOST"}
        )
    _check_reason(pipeline, outcome, request)
    deal, given = _with_evidence(deal, request.evidence, pipeline, call)
    step = moves.win(deal, pipeline, request.skip_reason.strip()) if outcome == "won" else moves.lose(pipeline)
    today = call.home.today(deal.unit_id)
    closed = protos.day(request.close_date, "close_date") if request.HasField("close_date") else today
    check_past(closed, today, "close_date")
    check_dates(deal.engage_date, closed)
    after = moved(
        deal,
        step,
        given,
        call,
        state=outcome,
        closed_from=deal.stage_key,
        closed_at=call.now,
        close_date=closed,
        probability=step.to.probability,
        category=step.to.category,
        reason_code=request.reason_code,
        reason_comment=request.reason_comment,
        competitors=sorted({*deal.competitors, *request.competitors}),
        repurchase=deal.repurchase or deal.bought_before,
        **_worth(deal, outcome, request),
    )
    after = await opening.restated(after, call)
    if outcome == "lost":
        take_back(deal, request.reason_comment or "the opportunity was lost", call)
    contract_id = deal.signed_contract["id"] if deal.signed_contract else ""
    return answer(deal, after, f"close_{outcome}", call, contract_id=contract_id)


@rpcs.method
async def reopen_opportunity(request: pb.ReopenOpportunityRequest, call: Call) -> pb.Opportunity:
    deal = await _held(request, call, ())
    pipeline = call.rules(PipelineRules).pipeline(deal.pipeline_id)
    step = moves.reopen(deal, pipeline, request.to_stage_key, request.reason)
    after = moved(
        deal,
        step,
        [],
        call,
        state="open",
        closed_from="",
        closed_at=None,
        close_date=None,
        reason_code="",
        reason_comment="",
        probability=step.to.probability,
        category=step.to.category,
        category_set=False,
    )
    call.tell(telling.reopened(deal, after, request.reason), deal.id)
    return answer(deal, after, "reopen", call)


async def _held(request: Any, call: Call, given: Sequence[pb.StageEvidence]) -> Held:
    deal = await store.lock(call.tx, request.opportunity_id, call.home.today(), proto.records_named(given))
    call.authorize(deal.owner_id, deal.unit_id, deal.participant_ids)
    etags.check(request.etag, deal.version)
    if deal.review_id is not None:
        raise errors.FailedPrecondition("OPPORTUNITY_UNDER_REVIEW", f"review {deal.review_id} holds it")
    files = [one for piece in given for one in piece.attachment_ids]
    if not files:
        return deal
    photos = [one for piece in given if piece.kind == PHOTO for one in piece.attachment_ids]
    return replace(deal, known_records=[*deal.known_records, *await references.usable(call, files, photos)])


def _with_evidence(
    deal: Held, given: Sequence[pb.StageEvidence], pipeline: PipelineRule, call: Call
) -> tuple[Held, list[Evidence]]:
    """The deal as if the evidence of this call had been there before."""
    pieces = proto.evidence_from_proto(given, deal.id, call)
    if not pieces:
        return deal, pieces
    evidence.check(pieces, pipeline, deal.known_records, call.rules(UnitRules))
    counted = dict(deal.evidence)
    for piece in pieces:
        counted[piece.requirement_key] = counted.get(piece.requirement_key, 0) + 1
    return replace(deal, evidence=counted), pieces


def _check_reason(pipeline: PipelineRule, outcome: str, request: pb.CloseOpportunityRequest) -> None:
    reason = pipeline.reason(outcome, request.reason_code)
    if reason is None:
        there = ", ".join(reason.code for reason in pipeline.reasons if reason.kind == outcome)
        raise errors.InvalidArgument(
            "REASON_UNKNOWN", f"a deal is {outcome} for one of: {there}", {"reason_code": "not of the pipeline"}
        )
    if reason.comment_required and not request.reason_comment:
        raise errors.InvalidArgument(
            "REASON_NEEDS_COMMENT", f"say more about {reason.name}", {"reason_comment": "is empty"}
        )


def _worth(deal: Held, outcome: str, request: pb.CloseOpportunityRequest) -> dict[str, Any]:
    """What it was closed for: what the caller says, else the signed contract's amount, else the deal's."""
    amount, currency = deal.amount_minor, deal.currency
    if request.HasField("amount"):
        amount, currency = protos.minor_units(request.amount), request.amount.currency_code
    elif outcome == "won" and deal.signed_contract:
        amount, currency = deal.signed_contract["amount_minor"], deal.signed_contract["currency"]
    if outcome == "lost":
        return {"amount_minor": amount, "currency": currency}
    signed = deal.signed_contract
    if signed and (amount, currency) != (signed["amount_minor"], signed["currency"]):
        raise errors.FailedPrecondition(
            "AMOUNT_NOT_OF_CONTRACT",
            "it is not what the signed contract says: leave the amount out, or sign what it is",
        )
    if amount is None:
        raise errors.InvalidArgument("AMOUNT_REQUIRED", "say what it was won for", {"amount": "is missing"})
    lines = [{**line, "currency": currency} for line in worth.apportion(deal.lines, amount)]
    return {"amount_minor": amount, "currency": currency, "lines": lines}


def moved(deal: Held, step: moves.Step, given: list[Evidence], work: Work, **changed: Any) -> Seen:
    """Queues move, evidence and clocks; answers the deal after the step."""
    writer = proto.Writer(work)
    version = work.process.rulebooks.version(PipelineRules, work.now)
    plain = rows.row(deal, only=rows.columns(Seen))
    dwelt = work.now - deal.stage_entered_at if deal.state == "open" else None
    move = Move(
        opportunity_id=deal.id,
        sequence=deal.move_count + 1,
        from_stage_key=deal.stage_key,
        to_stage_key=step.to.key,
        at=work.now,
        author_id=work.actor,
        direction=step.direction,
        dwell=dwelt,
        dwell_days=writer.dwell_days(deal) if dwelt is not None else None,
        skipped_stage_keys=step.skipped_stages,
        skipped_requirement_keys=step.skipped_requirements,
        reason=step.reason,
        evidence_ids=[piece.id for piece in given],
        pipeline_id=deal.pipeline_id,
        pipeline_version=version,
    )
    store.add_moves(work.tx, [move])
    store.add_evidence(work.tx, given)
    references.attach(work, [one for piece in given for one in piece.attachment_ids], "opportunity", deal.id)
    if deal.state == "open":
        leave_stage(deal, work)
    due_at = None
    if step.to.kind == "open":
        lessons.for_deal(work, deal.id, opened=False)
    if step.to.kind == "open" and step.to.dwell_clock is not None:
        due_at = work.clocks.start(DWELL, deal.id, step.to.dwell_clock, owner_id=deal.owner_id, unit_id=deal.unit_id)
    plain |= {
        "version": deal.version + 1,
        "stage_key": step.to.key,
        "pipeline_version": version,
        "stage_entered_at": work.now,
        "move_count": deal.move_count + 1,
        "dwell_due_at": due_at,
        "dwell_light": "none",
        "updated_at": work.now,
    }
    return Seen(**{**plain, **changed})


def leave_stage(deal: Seen, work: Work) -> None:
    """Its clock has what it waited for; tasks it had raised are no longer wanted (S102)."""
    work.clocks.meet(DWELL, deal.id)
    raised = {"yellow": (DWELL,), "red": (DWELL, PACE)}.get(deal.dwell_light, ())
    for warning in raised:
        withdrawn = approvals.TaskWithdrawn(
            origin="funnel",
            cause_key=f"{warning}:{deal.id}",
            reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
            clear_time=protos.timestamp(work.now),
        )
        work.tell(withdrawn, deal.id)


def take_back(deal: Held, reason: str, work: Work) -> None:
    for pending in deal.pending:
        telling.withdrawn(work, pending["kind"], pending["id"], pending["revision"], reason)
    for kind in {pending["kind"] for pending in deal.pending}:
        store.take_back(work.tx, kind, deal.id, work.now)


def answer(
    before: Held, after: Seen, action: str, call: Call, *, tells: bool = True, contract_id: str = ""
) -> pb.Opportunity:
    store.save(call.tx, [after])
    call.audit(after.id, action, plain_opportunity(before), plain_opportunity(after))
    writer = proto.Writer(call)
    if tells:
        telling.tell(call, after, writer.stage(after), after.account_name, contract_id)
    return writer.write(after)
