"""PilotService: bottlenecks out of the data, a month of trying, feedback, before and after (S101)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from closedloop.funnel.v1 import pilots_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.measures.measuring import Stretch
from closedloop_funnel.pilots import comparing, finding, starting, store
from closedloop_funnel.pilots.proto import to_proto
from closedloop_funnel.pilots.reactions import ASK, OVER, asked, cleared, ended
from closedloop_funnel.pilots.rules import PilotRules
from closedloop_funnel.pilots.store import Feedback, Pilot
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.PilotService")


@rpcs.method
async def list_bottlenecks(request: pb.ListBottlenecksRequest, call: Call) -> pb.ListBottlenecksResponse:
    [after] = pages.after(request, -1)
    found = list(enumerate(await finding.bottlenecks(request.scope, _period(request, call), call)))
    rest = [one for one in found if one[0] > after][: pages.size(request) + 1]
    page, token = pages.split(rest, request, lambda one: [one[0]])
    return pb.ListBottlenecksResponse(bottlenecks=[one for _, one in page], next_page_token=token)


def _period(request: pb.ListBottlenecksRequest, call: Call) -> Stretch:
    begins, ends = protos.bounds(request.period)
    ends = min(ends or call.now, call.now)
    begins = begins or ends - timedelta(days=call.rules(PilotRules).period_days)
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    return begins, ends


@rpcs.method
async def create_pilot(request: pb.CreatePilotRequest, call: Call) -> pb.Pilot:
    made = await starting.started(request, call)
    call.tx.do(*rows.added("pilot", [made], Pilot))
    begins, ends = comparing.stretch(made, call)
    half = begins + (ends - begins) * call.rules(PilotRules).feedback_after
    call.timers.set(ASK, made.id, max(half, call.now))
    call.timers.set(OVER, made.id, max(ends, call.now))
    call.audit(made.id, "create", after=rows.row(made, "version", "baseline", "bottlenecks"))
    return to_proto(made)


@rpcs.method
async def record_pilot_feedback(request: pb.RecordPilotFeedbackRequest, call: Call) -> pb.Pilot:
    pilot = await store.get(call.tx, request.pilot_id, lock=True)
    _within(pilot, call)
    _running(pilot)
    said = Feedback(
        id=new_id(),
        pilot_id=pilot.id,
        person_id=call.caller.subject,
        rating=request.rating,
        text=request.text,
        at=call.now,
    )
    call.tx.do(*rows.added("pilot_feedback", [said], Feedback))
    call.tell(cleared(asked(pilot, said.person_id), call), pilot.id)
    call.audit(pilot.id, "feedback", after={"rating": said.rating})
    return to_proto(pilot, await store.said(call.tx, pilot.id))


@rpcs.method
async def get_pilot(request: pb.GetPilotRequest, call: Call) -> pb.Pilot:
    pilot = await store.get(call.db, request.pilot_id)
    _within(pilot, call)
    if pilot.state == "running":
        pilot = replace(pilot, results=comparing.kept(*await comparing.results(call.db, pilot, call)))
    return to_proto(pilot, await store.said(call.db, pilot.id))


@rpcs.method
async def list_pilots(request: pb.ListPilotsRequest, call: Call) -> pb.ListPilotsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "state": word(pb.PilotState, request.state),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Pilot)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListPilotsResponse(pilots=[to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def conclude_pilot(request: pb.ConcludePilotRequest, call: Call) -> pb.Pilot:
    before = await store.get(call.tx, request.pilot_id, lock=True)
    for unit_id in before.unit_ids:
        call.authorize(before.owner_id, unit_id)
    _running(before)
    etags.check(request.etag, before.version)
    _, ends = comparing.stretch(before, call)
    if call.now < ends and request.decision != pb.PILOT_DECISION_DROP:
        raise errors.FailedPrecondition(
            "PILOT_RUNS",
            f"it runs until the end of {before.end_date}; before, it can only be dropped",
            end_date=before.end_date.isoformat(),
        )
    after = replace(
        before,
        version=before.version + 1,
        state="concluded",
        results=comparing.kept(*await comparing.results(call.tx, before, call)),
        decision=word(pb.PilotDecision, request.decision),
        conclusion=request.conclusion,
        concluded_at=call.now,
    )
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.timers.cancel(ASK, after.id)
    call.timers.cancel(OVER, after.id)
    call.tell(cleared(ended(after), call), after.id)
    call.audit(after.id, "conclude", after={"decision": after.decision, "conclusion": after.conclusion})
    return to_proto(after, await store.said(call.tx, after.id))


def _within(pilot: Pilot, call: Call) -> None:
    """Whoever has to do with one of its units, at whatever depth."""
    mine = set(pilot.touched) & call.scope.unit_ids
    call.authorize(pilot.owner_id, min(mine) if mine else pilot.unit_id)


def _running(pilot: Pilot) -> None:
    if pilot.state != "running":
        raise errors.FailedPrecondition("PILOT_CONCLUDED", "it is over")
