"""RequestService: the handlers; reads are in `reading`, the acts themselves in `deciding`."""

from __future__ import annotations

from typing import Literal

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop.common.v1.common_pb2 import BulkSummary, Provenance
from closedloop_approvals import signatories, standing_in
from closedloop_approvals.requests import (
    deciding,
    exporting,
    importing,
    messages,
    reading,
    store,
    succession,
    turnaround,
)
from closedloop_approvals.requests.deciding import Decision, Verdict
from closedloop_approvals.requests.ledger import Change, record, recorded_with_trail
from closedloop_approvals.requests.reading import authorize, readable, unknown
from closedloop_approvals.requests.route import Placement
from closedloop_approvals.requests.store import Held
from closedloop_approvals.requests.submission import Submission, as_dict, mend, own_matter, submit, unit_of
from closedloop_approvals.requests.trail import Entry
from closedloop_chassis import bulk, errors, etags
from closedloop_chassis.org.snapshot import Person
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.approvals.v1.RequestService")

VERDICTS: dict[int, Verdict] = {pb.VERDICT_APPROVE: "approve", pb.VERDICT_REJECT: "reject", pb.VERDICT_RETURN: "return"}
PLACEMENTS: dict[int, Placement] = {
    pb.SIGNER_PLACEMENT_BEFORE: "before",
    pb.SIGNER_PLACEMENT_BESIDE: "beside",
    pb.SIGNER_PLACEMENT_AFTER: "after",
}


@rpcs.method
async def open_request(request: pb.OpenRequestRequest, call: Call) -> pb.Request:
    own_matter(request.subject.origin, call)
    submitter_id = request.submitter_id or call.caller.subject
    submission = Submission(
        subject=request.subject,
        facts=request.facts,
        submitter_id=submitter_id,
        opened_by=call.caller.subject,
        reason=request.reason,
        attachments=request.attachments,
        evidence=request.evidence,
        provenance=_provenance(request, call),
    )
    if submitter_id != call.caller.subject:
        submitter = call.org.person(submitter_id)
        call.authorize(submitter_id, submitter.unit_id if submitter else "")
    call.authorize(submission.owner_id, unit_of(submission, call))
    outcome = await submit(submission, call)
    if isinstance(outcome, Change):
        if outcome.before is not None:
            raise errors.AlreadyExists(
                "ALREADY_OPEN",
                "an earlier version is open: give it back by Resubmit, or recall it first",
                id=outcome.before.id,
            )
        (outcome,) = await record(call, [outcome])
    return messages.request(outcome)


@rpcs.method
async def get_request(request: pb.GetRequestRequest, call: Call) -> pb.Request:
    return await reading.get(request, call)


@rpcs.method
async def list_requests(request: pb.ListRequestsRequest, call: Call) -> pb.ListRequestsResponse:
    return await reading.listed(request, call)


@rpcs.method
async def decide(request: pb.DecideRequest, call: Call) -> pb.Request:
    # Seldom do two decide at once: read without a lock, and written only if it is still so. Who was overtaken locks.
    held = await (_locked(request.id, call) if call.overtaken else readable(call, request.id))
    decision = Decision(
        verdict=VERDICTS[request.verdict],
        comment=request.comment,
        step=request.step,
        on_behalf_of=request.on_behalf_of,
        conditions=request.conditions,
        return_to_step=request.return_to_step,
        come_back_here=request.come_back_here,
        attachments=tuple(as_dict(attachment) for attachment in request.attachments),
    )
    _of_the_company(call)
    change = succession.nobody_gone(deciding.decide(held, call.caller.subject, decision, call.now), call)
    return await _recorded(change, request.etag, call)


@rpcs.method
async def bulk_decide(request: pb.BulkDecideRequest, call: Call) -> BulkSummary:
    _of_the_company(call)
    rows, refused = bulk.sift(request.rows)
    held = await store.lock(call.tx, [row.id for _, row in rows], call.caller.subject, call.now)
    changes: dict[str, Change] = {}
    for position, row in rows:
        try:
            changes[row.id] = _bulk_change(row, held.get(row.id), changes, call)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    if not request.validate_only:
        await record(call, list(changes.values()))
    return bulk.summary(read=len(request.rows), updated=len(changes), refused=refused)


def _bulk_change(row: pb.DecideRow, held: Held | None, done: dict[str, Change], call: Call) -> Change:
    if held is None:
        raise unknown(row.id)
    authorize(call, held)
    if row.id in done:
        raise errors.InvalidArgument("ROW_REPEATED", "an earlier row decides this request", {"id": "is repeated"})
    if row.verdict == pb.VERDICT_RETURN:
        raise errors.InvalidArgument("ROW_INVALID", "a return is decided one by one", {"verdict": "approve or reject"})
    decision = Decision(VERDICTS[row.verdict], row.comment, on_behalf_of=row.on_behalf_of)
    change = deciding.decide(held, call.caller.subject, decision, call.now)
    etags.check(row.etag, held.request.version)
    return change


@rpcs.method
async def resubmit(request: pb.ResubmitRequest, call: Call) -> pb.Request:
    held = (await _locked(request.id, call)).request
    if call.caller.subject not in (held.submitter_id, held.opened_by):
        raise errors.PermissionDenied("NOT_THE_SUBMITTER", "only who submitted it gives it back")
    if held.state != "returned":
        raise errors.FailedPrecondition("NOT_RETURNED", f"this request is {held.state}", state=held.state)
    etags.check(request.etag, held.version)
    own_matter(held.origin, call)
    told = (request.subject.origin, request.subject.kind, request.subject.id)
    if told != (held.origin, held.kind, held.subject_id) or request.subject.version < held.subject_version:
        violations = {"subject": "origin, kind and id stay what they are, and versions count up"}
        raise errors.InvalidArgument("SUBJECT_DIFFERS", "this is another matter; open a request for it", violations)
    submission = Submission(
        subject=request.subject,
        facts=request.facts,
        submitter_id=held.submitter_id,
        opened_by=held.opened_by,
        reason=held.reason,
        attachments=request.attachments,
        evidence=(),
        provenance=messages.request(held).provenance,
    )
    call.authorize(submission.owner_id, unit_of(submission, call), {held.submitter_id})
    change = await mend(held, submission, call, by=call.caller.subject, comment=request.comment)
    (recorded,) = await record(call, [change])
    return messages.request(recorded)


@rpcs.method
async def recall(request: pb.RecallRequest, call: Call) -> pb.Request:
    held = (await _locked(request.id, call)).request
    change = deciding.recall(held, call.caller.subject, request.reason, call.now)
    return await _recorded(change, request.etag, call)


@rpcs.method
async def add_signer(request: pb.AddSignerRequest, call: Call) -> pb.Request:
    held = await _locked(request.id, call)
    _of_the_company(call)
    _signer(request.person_id, "person_id", call)
    placement = PLACEMENTS[request.placement]
    change = deciding.add_signer(
        held, call.caller.subject, request.step, request.person_id, placement, request.reason, call.now
    )
    return await _recorded(change, request.etag, call)


@rpcs.method
async def hand_over(request: pb.HandOverRequest, call: Call) -> pb.Request:
    actor = call.caller.subject
    giver = request.from_person_id or actor
    if giver == actor:
        held = await _locked(request.id, call)
    else:
        # Here the signer's line counts, not the matter's: finance hands over for finance.
        _above_them(giver, request.to_person_id, call)
        held = await _held(request.id, call)
    _of_the_company(call)
    _signer(request.to_person_id, "to_person_id", call)
    change = deciding.hand_over(held, actor, giver, request.step, request.to_person_id, request.reason, call.now)
    return await _recorded(change, request.etag, call)


@rpcs.method
async def comment(request: pb.CommentRequest, call: Call) -> pb.TrailEntry:
    held = await _locked(request.id, call)
    for person_id in request.mentioned_ids:
        _known(person_id, "mentioned_ids", call)
    people = tuple(dict.fromkeys(request.mentioned_ids))
    entry = Entry(
        action="commented",
        actor_id=call.caller.subject,
        comment=request.text,
        person_ids=people,
        attachments=tuple(as_dict(attachment) for attachment in request.attachments),
        evidence=tuple(as_dict(evidence) for evidence in request.evidence),
    )
    occasion = f"mentioned:{held.request.version + 1}"
    notices = tuple(messages.mention(held.request, p, request.text, occasion, call.caller.subject) for p in people)
    change = Change(held.request, held.request, "comment", (entry,), notices=notices)
    _, (link,) = await recorded_with_trail(call, [change])
    return messages.trail_entry(link)


@rpcs.method
async def list_trail(request: pb.ListTrailRequest, call: Call) -> pb.ListTrailResponse:
    return await reading.trail_of(request, call)


@rpcs.method
async def verify_trail(request: pb.VerifyTrailRequest, call: Call) -> pb.VerifyTrailResponse:
    return await reading.verified(request, call)


@rpcs.method
async def export_trail(request: pb.ExportTrailRequest, call: Call) -> pb.ExportTrailResponse:
    return await exporting.document(request, call)


@rpcs.method
async def import_requests(request: pb.ImportRequestsRequest, call: Call) -> BulkSummary:
    created, refused = await importing.bring_in(request.rows, call, rehearse=request.validate_only)
    return bulk.summary(read=len(request.rows), created=created, refused=refused)


@rpcs.method
async def get_turnaround(request: pb.GetTurnaroundRequest, call: Call) -> pb.GetTurnaroundResponse:
    return await turnaround.turnaround(request, call)


@rpcs.method
async def check_clearance(request: pb.CheckClearanceRequest, call: Call) -> pb.Clearance:
    return await reading.clearance(request, call)


async def _locked(request_id: str, call: Call) -> Held:
    held = await _held(request_id, call)
    authorize(call, held)
    return held


async def _held(request_id: str, call: Call) -> Held:
    held = (await store.lock(call.tx, [request_id], call.caller.subject, call.now)).get(request_id)
    if held is None:
        raise unknown(request_id)
    return held


async def _recorded(change: Change, etag: str, call: Call) -> pb.Request:
    """Checked last: who may not, or comes too late, learns that rather than that somebody was faster."""
    assert change.before is not None
    etags.check(etag, change.before.version)
    (recorded,) = await record(call, [change])
    return messages.request(recorded)


def _provenance(request: pb.OpenRequestRequest, call: Call) -> Provenance:
    told = request.provenance
    if {"integration", "service"} & call.caller.roles and told.source:
        return Provenance(
            source=told.source,
            source_id=told.source_id,
            brought_by=call.caller.subject,
            observed_time=told.observed_time,
        )
    return Provenance(source="manual", brought_by=call.caller.subject)


def _known(person_id: str, field: Literal["person_id", "to_person_id", "mentioned_ids"], call: Call) -> Person:
    person = call.org.person(person_id)
    if person is None or not person.active:
        raise errors.InvalidArgument(
            "SIGNER_NOT_FOUND", f"nobody is called {person_id}", {field: "is nobody of the company"}
        )
    return person


def _signer(person_id: str, field: Literal["person_id", "to_person_id"], call: Call) -> None:
    """Asked, who only looks on could not answer."""
    if not signatories.may_act(_known(person_id, field, call)):
        violations: dict[str, str] = {field: "has no role that signs"}
        raise errors.InvalidArgument("SIGNER_ONLY_LOOKS_ON", f"{person_id} may look on, not sign", violations)


def _of_the_company(call: Call) -> None:
    """Who left may still hold a token, and a seat, or a delegation, that nobody has taken from him yet."""
    if standing_in.has_left(call.caller.subject, call.org):
        raise errors.PermissionDenied("NOT_A_SIGNER", "who has left the company signs nothing more")


def _above_them(giver: str, to: str, call: Call) -> None:
    """Managers hand over for people below them, operations for anyone, not to themselves."""
    person = call.org.person(giver)
    call.authorize(giver, person.unit_id if person else "")
    if call.caller.subject in {person.id for person in call.org.line_of(giver)}:
        return
    # Whoever runs the system sees to it that somebody signs; that it is himself is for the line to say.
    if call.scope.company and to != call.caller.subject:
        return
    raise errors.PermissionDenied("NOT_A_SIGNER", f"only {giver}, their managers or operations hand this over")
