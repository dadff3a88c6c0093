"""DelegationService: who stands in for whom, from when to when."""

from __future__ import annotations

from dataclasses import replace

from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import delegations_pb2 as pb
from closedloop_approvals import signatories
from closedloop_approvals.delegations import rules, store
from closedloop_approvals.delegations.store import Delegation
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.approvals.v1.DelegationService")

NEWEST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")


@rpcs.method
async def create_delegation(request: pb.CreateDelegationRequest, call: Call) -> pb.Delegation:
    delegator_id = request.delegator_id or call.caller.subject
    unit_id = _for_person(delegator_id, request.delegate_id, call)
    delegate = call.org.person(request.delegate_id)
    if delegate is None or not delegate.active:
        violations = {"delegate_id": "is nobody of the company"}
        raise errors.InvalidArgument("DELEGATE_NOT_FOUND", f"nobody is called {request.delegate_id}", violations)
    if not signatories.may_act(delegate):
        violations = {"delegate_id": "has no role that signs"}
        raise errors.InvalidArgument("DELEGATE_ONLY_LOOKS_ON", f"{delegate.id} may look on, not sign", violations)
    if not request.period.HasField("end_time"):
        raise errors.InvalidArgument("PERIOD_INVALID", "say when it ends", {"period.end_time": "is needed"})
    starts_at = (
        protos.instant(request.period.start_time, "period.start_time")
        if request.period.HasField("start_time")
        else call.now
    )
    amount = request.HasField("amount_limit")
    delegation = Delegation(
        id=new_id(),
        delegator_id=delegator_id,
        delegate_id=request.delegate_id,
        # What was signed before now was not signed by delegation.
        starts_at=max(starts_at, call.now),
        ends_at=protos.instant(request.period.end_time, "period.end_time"),
        request_kinds=list(request.request_kinds),
        task_kinds=list(request.task_kinds),
        limit_minor=protos.minor_units(request.amount_limit, "amount_limit") if amount else None,
        limit_currency=request.amount_limit.currency_code,
        reason=request.reason,
        created_by=call.caller.subject,
        created_at=call.now,
        unit_id=unit_id,
        version=1,
    )
    people = sorted({delegator_id, request.delegate_id})
    others = await store.near(call.tx, people, delegation.starts_at, max(delegation.ends_at, delegation.starts_at))
    rules.check(delegation.standing, [other.standing for other in others], call.now)
    store.add(call.tx, delegation)
    call.audit(f"delegation:{delegation.id}", "create", {}, _figures(delegation), business_action=request.reason)
    return _to_proto(delegation, call)


@rpcs.method
async def get_delegation(request: pb.GetDelegationRequest, call: Call) -> pb.Delegation:
    delegation = await store.get(call.db, request.id)
    if delegation is None:
        raise _unknown(request.id)
    call.authorize(delegation.delegator_id, delegation.unit_id, {delegation.delegate_id, delegation.created_by})
    return _to_proto(delegation, call)


@rpcs.method
async def list_delegations(request: pb.ListDelegationsRequest, call: Call) -> pb.ListDelegationsResponse:
    person_id = request.person_id or call.caller.subject
    if person_id != call.caller.subject:
        person = call.org.person(person_id)
        call.authorize(person_id, person.unit_id if person else "")
    before, before_id = pages.after(request, *NEWEST)
    period: Interval = request.period
    params = {
        "person": person_id,
        "states": [pb.DelegationState.Name(s).removeprefix("DELEGATION_STATE_").lower() for s in request.states]
        or None,
        "from": protos.instant(period.start_time, "period.start_time") if period.HasField("start_time") else None,
        "to": protos.instant(period.end_time, "period.end_time") if period.HasField("end_time") else None,
        "now": call.now,
        "before": before,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    rows = await store.page(call.db, params | call.scope.params)
    page, token = pages.split(rows, request, lambda row: (row.starts_at.isoformat(), row.id))
    return pb.ListDelegationsResponse(delegations=[_to_proto(row, call) for row in page], next_page_token=token)


@rpcs.method
async def end_delegation(request: pb.EndDelegationRequest, call: Call) -> pb.Delegation:
    delegation = await store.lock(call.tx, request.id)
    if delegation is None:
        raise _unknown(request.id)
    call.authorize(delegation.delegator_id, delegation.unit_id)
    if delegation.ends_at <= call.now:
        raise errors.FailedPrecondition("DELEGATION_ENDED", f"it ended at {delegation.ends_at.isoformat()}")
    etags.check(request.etag, delegation.version)
    ends_at = protos.instant(request.end_time, "end_time") if request.HasField("end_time") else call.now
    if not call.now <= ends_at <= delegation.ends_at:
        violations = {"end_time": "between now and its present end"}
        raise errors.InvalidArgument("PERIOD_INVALID", "it can only end earlier, and not in the past", violations)
    ended = replace(
        delegation, ends_at=ends_at, starts_at=min(delegation.starts_at, ends_at), version=delegation.version + 1
    )
    store.end(call.tx, delegation.id, ends_at)
    call.audit(f"delegation:{ended.id}", "end", _figures(delegation), _figures(ended), business_action=request.reason)
    return _to_proto(ended, call)


def _for_person(delegator_id: str, delegate_id: str, call: Call) -> str:
    """The delegator's unit. Managers and operations delegate for people below them, not for their peers."""
    person = call.org.person(delegator_id)
    if person is None:
        violations = {"delegator_id": "is nobody of the company"}
        raise errors.InvalidArgument("DELEGATOR_NOT_FOUND", f"nobody is called {delegator_id}", violations)
    call.authorize(delegator_id, person.unit_id)
    me = call.caller.subject
    if delegator_id == me or me in {above.id for above in call.org.line_of(delegator_id)}:
        return person.unit_id
    # Whoever runs the system may appoint a stand-in, not himself.
    if not call.scope.company or delegate_id == me:
        raise errors.PermissionDenied("OUT_OF_SCOPE", f"{delegator_id} does not work below you")
    return person.unit_id


def _unknown(delegation_id: str) -> errors.NotFound:
    return errors.NotFound("DELEGATION_UNKNOWN", f"there is no delegation {delegation_id}")


def _figures(delegation: Delegation) -> dict[str, object]:
    names = ("delegator_id", "delegate_id", "starts_at", "ends_at", "request_kinds", "task_kinds", "limit_minor")
    return {name: getattr(delegation, name) for name in names}


def _to_proto(delegation: Delegation, call: Call) -> pb.Delegation:
    state = rules.state(delegation.starts_at, delegation.ends_at, call.now)
    limit = delegation.limit_minor
    return pb.Delegation(
        id=delegation.id,
        delegator_id=delegation.delegator_id,
        delegate_id=delegation.delegate_id,
        period=Interval(
            start_time=protos.timestamp(delegation.starts_at), end_time=protos.timestamp(delegation.ends_at)
        ),
        request_kinds=delegation.request_kinds,
        task_kinds=delegation.task_kinds,
        amount_limit=None if limit is None else protos.money(limit, delegation.limit_currency),
        reason=delegation.reason,
        created_by=delegation.created_by,
        create_time=protos.timestamp(delegation.created_at),
        state=pb.DelegationState.Value(f"DELEGATION_STATE_{state.upper()}"),
        etag=etags.of(delegation.version),
    )
