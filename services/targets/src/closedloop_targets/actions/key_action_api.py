"""Key actions: what is to be done today, done, and proven (S2)."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date

from closedloop.targets.v1 import actions_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.actions import shapes, store
from closedloop_targets.actions.rpcs import rpcs
from closedloop_targets.actions.store import KeyAction
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar

FIRST_ID = "00000000-0000-0000-0000-000000000000"
USED = errors.AlreadyExists("EVIDENCE_USED", "this evidence proves another action of the kind already")


@rpcs.method
async def list_key_actions(request: pb.ListKeyActionsRequest, call: Call) -> pb.ListKeyActionsResponse:
    after, after_id = pages.after(request, "-infinity", FIRST_ID)
    if request.unit_id:
        await company.unit(call, request.unit_id)
    calendar = call.rules(FiscalCalendar)
    today = call.home.today()
    period = periods.parse(request.period, calendar) if request.period else periods.containing(today, "day", calendar)
    params = {
        "after": after,
        "after_id": after_id,
        "since": period.start,
        "until": period.end,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "person_id": request.person_id,
        "target_id": request.target_id,
        "kind": request.kind,
        "state": enums.word(pb.KeyActionState, request.state),
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST_ACTIONS, params, into=KeyAction)
    page, token = pages.split(rows, request, lambda row: (row.date.isoformat(), row.id))
    return pb.ListKeyActionsResponse(actions=[shapes.key_action(row) for row in page], next_page_token=token)


@rpcs.method
async def complete_key_action(request: pb.CompleteKeyActionRequest, call: Call) -> pb.KeyAction:
    action = await _locked(call, request.key_action_id, request.etag)
    if action.state in ("claimed", "verified", "cancelled"):
        raise errors.FailedPrecondition("ALREADY_DONE", f"this action is {action.state}")
    if not request.evidence.reference.strip():
        raise errors.InvalidArgument("EVIDENCE_MISSING", "what shows that it was done?", {"evidence": "is needed"})
    claimed = replace(
        action,
        state="claimed",
        evidence_kind=request.evidence.kind,
        evidence=request.evidence.reference.strip(),
        evidence_note=request.evidence.note,
        completed_at=call.now,
        verified_by="",
        comment="",
    )
    return _put(call, action, claimed, "complete")


@rpcs.method
async def verify_key_action(request: pb.VerifyKeyActionRequest, call: Call) -> pb.KeyAction:
    action = await _locked(call, request.key_action_id, request.etag)
    if action.state != "claimed":
        raise errors.FailedPrecondition("NOT_CLAIMED", f"this action is {action.state}; nobody reports it done")
    if action.owner_id == call.caller.subject:
        raise errors.FailedPrecondition("OWN_ACTION", "somebody else has to confirm it")
    if not request.accepted and not request.comment.strip():
        raise errors.InvalidArgument("COMMENT_MISSING", "a rejection says why", {"comment": "is needed"})
    judged = replace(
        action,
        state="verified" if request.accepted else "rejected",
        verified_by=call.caller.subject,
        comment=request.comment,
        # Rejected evidence may be right for another action.
        evidence=action.evidence if request.accepted else "",
        evidence_kind=action.evidence_kind if request.accepted else "",
    )
    return _put(call, action, judged, "verify")


async def _locked(call: Call, action_id: str, etag: str) -> KeyAction:
    action = await call.tx.one(store.LOCK_ACTION, {"id": action_id}, into=KeyAction)
    if action is None:
        raise errors.NotFound("KEY_ACTION_NOT_FOUND", f"there is no key action {action_id}")
    call.authorize(action.owner_id, action.unit_id)
    etags.check(etag, action.version)
    return action


def _put(call: Call, before: KeyAction, after: KeyAction, deed: str) -> pb.KeyAction:
    call.tx.do(store.PUT_ACTION, asdict(after), refuse={"key_action_evidence_key": USED})
    call.audit(
        f"key_action:{after.id}",
        deed,
        before={"state": before.state, "evidence": before.evidence},
        after={"state": after.state, "evidence": after.evidence},
        business_action=after.comment,
    )
    return shapes.key_action(replace(after, version=before.version + 1))


async def planned_of(call: Call, target_id: str, since: date, until: date, most: int) -> list[pb.KeyAction]:
    request = pb.ListKeyActionsRequest(
        target_id=target_id, period=f"{since}/{until}", state=pb.KEY_ACTION_STATE_PLANNED, page_size=most
    )
    return list((await list_key_actions(request, call)).actions) if since <= until else []
