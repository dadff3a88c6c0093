"""A signature under a node that does not sum: asked for here, given in approvals (S4)."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from google.protobuf.struct_pb2 import Struct

from closedloop.approvals.v1.events_pb2 import ApprovalRequested
from closedloop.approvals.v1.policies_pb2 import Facts
from closedloop.approvals.v1.requests_pb2 import Subject
from closedloop.common.v1.common_pb2 import Evidence, Ownership
from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import errors, ids, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, amounts
from closedloop_targets.book import targets as target_store
from closedloop_targets.book import versions
from closedloop_targets.book.exceptions import KIND, ORIGIN, Exemption
from closedloop_targets.book.model import Target
from closedloop_targets.plans import drafting, shapes, store
from closedloop_targets.plans.rpcs import rpcs

LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@rpcs.method
async def request_sum_exception(request: pb.RequestSumExceptionRequest, call: Call) -> pb.SumException:
    target = await target_store.lock(call.tx, request.target_id)
    if target is None:
        raise errors.NotFound("TARGET_NOT_FOUND", f"there is no target {request.target_id}")
    call.authorize("", target.unit_id)
    (await versions.version(call.tx, target.plan_id, target.number)).must_be_draft()
    difference = await target_store.missing(call, call.tx, target.id)
    if not difference:
        raise errors.FailedPrecondition("TARGET_SUMS", "what it has was passed on exactly; there is nothing to sign")
    passed = target.base_minor - difference
    exemption = Exemption(
        id=ids.new_id(),
        plan_id=target.plan_id,
        number=target.number,
        target_id=target.id,
        owner_id=target.owner_id,
        unit_id=target.unit_id,
        difference_minor=difference,
        difference_ratio=difference / target.base_minor if target.base_minor else 0,
        currency=target.currency,
        reason=request.reason,
        requested_by=call.caller.subject,
        requested_at=call.now,
        state="waiting",
        digest=hashlib.sha256(f"{target.id} {target.base_minor} {passed} {target.currency}".encode()).hexdigest(),
    )
    taken = errors.AlreadyExists("EXCEPTION_EXISTS", "an exception of this node waits or is signed already")
    call.tx.do(store.ADD_EXCEPTION, asdict(exemption), refuse={"sum_exception_open_key": taken})
    call.tell(_asked(call, exemption, target), subject=exemption.id)
    call.audit(
        f"target:{target.id}",
        "request_exception",
        after={"exception": exemption.id, "difference_minor": difference, "currency": target.currency},
        business_action=request.reason,
    )
    return shapes.exception(exemption)


@rpcs.method
async def list_sum_exceptions(request: pb.ListSumExceptionsRequest, call: Call) -> pb.ListSumExceptionsResponse:
    plan = await versions.plan(call.db, request.plan_id)
    (before,) = pages.after(request, LAST)
    state = (
        pb.SumExceptionState.Name(request.state).removeprefix("SUM_EXCEPTION_STATE_").lower() if request.state else ""
    )
    params = {
        "plan_id": plan.id,
        "number": request.version,
        "state": state,
        "before": before,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST_EXCEPTIONS, params, into=Exemption)
    page, token = pages.split(rows, request, lambda row: (row.id,))
    return pb.ListSumExceptionsResponse(exceptions=[shapes.exception(row) for row in page], next_page_token=token)


def _asked(call: Call, exemption: Exemption, target: Target) -> ApprovalRequested:
    name = drafting.name_of((target.holder_kind, target.holder_id), call.org)
    missing = amounts.words(abs(exemption.difference_minor), exemption.currency)
    what = "keeps back" if exemption.difference_minor > 0 else "passes on too much, by"
    if not aggregation.of(call, target.metric).adds_up:
        what = "asks those below for less, by" if exemption.difference_minor > 0 else "lets those below have more, by"
    details = Struct()
    details.update(
        {"plan_id": target.plan_id, "version": target.number, "target_id": target.id, "metric": target.metric}
    )
    return ApprovalRequested(
        subject=Subject(
            origin=ORIGIN,
            kind=KIND,
            id=exemption.id,
            version=1,
            digest=exemption.digest,
            title=f"{name} {what} {missing}"[:200],
            summary=(
                f"{name} has {amounts.words(target.base_minor, target.currency)} for {target.period} "
                f"and {what} {missing} "
                f"({abs(exemption.difference_ratio):.1%}). Reason: {exemption.reason}"
            ),
        ),
        facts=Facts(
            amount=protos.money(abs(exemption.difference_minor), exemption.currency) if exemption.currency else None,
            ownership=Ownership(owner_id=target.owner_id, unit_id=target.unit_id),
            custom_fields=details,
        ),
        submitter_id=exemption.requested_by,
        reason=exemption.reason,
        evidence=[Evidence(name="difference", value=exemption.difference_ratio, unit="1", text=f"{what} {missing}")],
    )
