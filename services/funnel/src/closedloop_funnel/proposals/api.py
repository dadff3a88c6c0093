"""ProposalService: proposals given, and what customers raised about them (S40, S59, S60)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import proposals_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.advice import soon as advice
from closedloop_funnel.attachments import references
from closedloop_funnel.proposals import rules, store
from closedloop_funnel.proposals.store import Proposal

rpcs = Rpcs("closedloop.funnel.v1.ProposalService")


@rpcs.method
async def submit_proposal(request: pb.SubmitProposalRequest, call: Call) -> pb.Proposal:
    submitted = protos.instant(request.submit_time, "submit_time") if request.HasField("submit_time") else call.now
    if submitted > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it has not been given yet", {"submit_time": "in the future"})
    clauses = [_clause(clause) for clause in request.clauses]
    twice = rules.unique(clauses)
    if twice:
        raise errors.InvalidArgument("CLAUSE_TWICE", f"clause {twice} stands twice", {"clauses": "a key twice"})
    deal = await store.deal(call.tx, request.opportunity_id)
    call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    if deal["state"] != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"the opportunity was {deal['state']}")
    await references.check(call, request.attachment_ids, "attachment_ids")
    made = Proposal(
        id=new_id(),
        opportunity_id=request.opportunity_id,
        account_id=deal["account_id"],
        owner_id=deal["owner_id"],
        unit_id=deal["unit_id"],
        title=request.title,
        custom=request.custom,
        summary=request.summary,
        clauses=clauses,
        attachment_ids=list(request.attachment_ids),
        submitted_at=submitted,
        updated_at=call.now,
    )
    call.tx.do(store.INSERT, {"rows": rows.pack([made])})
    references.attach(call, request.attachment_ids, "proposal", made.id)
    call.audit(made.id, "submit", after=rows.row(made, "version", "updated_at"))
    advice.on_proposal(call, made.id)
    return _to_proto(made)


@rpcs.method
async def record_proposal_feedback(request: pb.RecordProposalFeedbackRequest, call: Call) -> pb.Proposal:
    before = await store.lock(call.tx, request.proposal_id)
    deal = await store.deal(call.tx, before.opportunity_id)
    call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    etags.check(request.etag, before.version)
    if not request.feedback and not request.clauses:
        raise errors.InvalidArgument("FEEDBACK_REQUIRED", "say what the customer said", {"feedback": "is empty"})
    after = replace(
        before,
        version=before.version + 1,
        feedback=request.feedback or before.feedback,
        clauses=rules.merged(before.clauses, [_clause(clause) for clause in request.clauses]),
        feedback_at=call.now,
        updated_at=call.now,
    )
    call.tx.do(store.UPDATE, {"rows": rows.pack([after])})
    call.audit(after.id, "record_feedback", rows.row(before, "version"), rows.row(after, "version"))
    return _to_proto(after)


@rpcs.method
async def get_proposal(request: pb.GetProposalRequest, call: Call) -> pb.Proposal:
    found = await store.get(call.db, request.proposal_id)
    call.authorize(found.owner_id, found.unit_id)
    return _to_proto(found)


@rpcs.method
async def list_proposals(request: pb.ListProposalsRequest, call: Call) -> pb.ListProposalsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "deal": request.opportunity_id or None,
        "account": request.account_id or None,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Proposal)
    page, token = pages.split(found, request, lambda one: [one.submitted_at.isoformat(), one.id])
    return pb.ListProposalsResponse(proposals=[_to_proto(one) for one in page], next_page_token=token)


def _clause(clause: pb.ProposalClause) -> rules.Clause:
    return {"key": clause.key, "text": clause.text, "raised": clause.raised, "concern": clause.concern}


def _to_proto(made: Proposal) -> pb.Proposal:
    return pb.Proposal(
        id=made.id,
        etag=etags.of(made.version),
        opportunity_id=made.opportunity_id,
        account_id=made.account_id or "",
        ownership=common_pb2.Ownership(owner_id=made.owner_id, unit_id=made.unit_id),
        title=made.title,
        custom=made.custom,
        summary=made.summary,
        clauses=[pb.ProposalClause(**clause) for clause in made.clauses],
        attachment_ids=made.attachment_ids,
        submit_time=protos.timestamp(made.submitted_at),
        feedback_time=protos.timestamp(made.feedback_at),
        feedback=made.feedback,
    )
