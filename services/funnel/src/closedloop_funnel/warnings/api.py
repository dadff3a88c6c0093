"""WarningService: who was warned of what, what was done, and whether it worked (S102)."""

from __future__ import annotations

from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import warnings_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.warnings import acting, rules, store
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.WarningService")


@rpcs.method
async def list_warnings(request: pb.ListWarningsRequest, call: Call) -> pb.ListWarningsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "kinds": [word(pb.WarningKind, kind) for kind in request.kinds] or None,
        "states": [word(pb.WarningState, state) for state in request.states] or None,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "subject": request.subject_id,
        "lights": rules.at_least(word(common_pb2.Light, request.least_light)),
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Warning)
    page, token = pages.split(found, request, lambda one: [one.raised_at.isoformat(), one.id])
    return pb.ListWarningsResponse(warnings=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def get_warning(request: pb.GetWarningRequest, call: Call) -> pb.Warning:
    found = await store.get(call.db, request.warning_id)
    call.authorize(found.owner_id, found.unit_id)
    return _to_proto(found)


@rpcs.method
async def record_warning_action(request: pb.RecordWarningActionRequest, call: Call) -> pb.Warning:
    before = await store.lock(call.tx, request.warning_id)
    call.authorize(before.owner_id, before.unit_id)
    if before.state not in ("open", "acted"):
        raise errors.FailedPrecondition("WARNING_SETTLED", f"it was {before.state} already")
    etags.check(request.etag, before.version)
    return _to_proto(acting.act(call, before, request.action, call.caller.subject))


def _to_proto(one: Warning) -> pb.Warning:
    return pb.Warning(
        id=one.id,
        etag=etags.of(one.version),
        kind=number(pb.WarningKind, one.kind),
        state=number(pb.WarningState, one.state),
        light=number(common_pb2.Light, one.light),
        subject_id=one.subject_id,
        subject_name=one.subject_name,
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        evidence=[common_pb2.Evidence(**each) for each in one.evidence],
        rule=common_pb2.RuleReference(
            rulebook=one.rulebook, version=one.rule_version, rule=one.rule, explanation=one.explanation
        ),
        automatic_action=one.automatic_action,
        task_cause_key=one.task_cause_key,
        action=one.action,
        raise_time=protos.timestamp(one.raised_at),
        act_time=protos.timestamp(one.acted_at),
        check_time=protos.timestamp(one.check_at),
        outcome=[common_pb2.Evidence(**each) for each in one.outcome],
    )
