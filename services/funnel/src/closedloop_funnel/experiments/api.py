"""ExperimentService, second half: tests designed, begun, concluded (S95)."""

from __future__ import annotations

import secrets
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from google.protobuf import json_format

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.experiments import looking, planning, rules, store
from closedloop_funnel.experiments.planning import Planned
from closedloop_funnel.experiments.proto import to_proto
from closedloop_funnel.experiments.reactions import LOOK, ends
from closedloop_funnel.experiments.rules import ExperimentRules
from closedloop_funnel.experiments.store import Drawn, Experiment, Look
from closedloop_funnel.management import known
from closedloop_funnel.management.rules import following, quarter_of
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.ExperimentService")

# Seeds are signed 64-bit numbers that every JSON reader keeps.
SEED_BITS = 53


@rpcs.method
async def create_experiment(request: pb.CreateExperimentRequest, call: Call) -> pb.Experiment:
    action = await known.action(call.tx, request.action_id)
    call.authorize(action.owner_id, action.unit_id)
    if action.state != "active":
        raise errors.FailedPrecondition("ACTION_ENDED", f"{action.name} has ended")
    design = planning.filled(request.design, action.unit_id, call)
    found = await planning.planned(design, call)
    made = Experiment(
        id=new_id(),
        action_id=action.id,
        owner_id=action.owner_id,
        unit_id=action.unit_id,
        hypothesis=request.hypothesis,
        design=json_format.MessageToDict(design),
        plan=_plan(found),
        created_at=call.now,
    )
    call.tx.do(*rows.added("experiment", [made], Experiment))
    call.audit(made.id, "design", after=rows.row(made, "version", "plan"))
    return to_proto(made, (), (), call)


def _plan(found: Planned) -> dict[str, Any]:
    return {**asdict(found.plan), "baseline": json_format.MessageToDict(found.baseline)}


@rpcs.method
async def start_experiment(request: pb.StartExperimentRequest, call: Call) -> pb.Experiment:
    # Two that begin at once could each draw whom the other draws.
    await call.tx.value(store.ONE_AT_A_TIME)
    before = await store.get(call.tx, request.experiment_id, lock=True)
    call.authorize(before.owner_id, before.unit_id)
    if before.state != "draft":
        raise errors.FailedPrecondition("EXPERIMENT_STARTED", "its design is fixed")
    etags.check(request.etag, before.version)
    if (await known.action(call.tx, before.action_id, lock=True)).state != "active":
        raise errors.FailedPrecondition("ACTION_ENDED", "what it would test has ended")
    design = looking.design(before)
    found = await planning.planned(design, call)
    await _free(design, found, call)
    seed = request.seed if request.HasField("seed") else secrets.randbits(SEED_BITS)
    arms = rules.drawn(found.candidates, seed)
    drawn = [
        Drawn(
            experiment_id=before.id,
            unit_id=one.unit_id,
            arm=arms[one.unit_id],
            stratum=one.stratum,
            people=sorted(one.people),
        )
        for one in found.candidates
    ]
    after = replace(
        before,
        version=before.version + 1,
        state="running",
        plan={**_plan(found), "stopping": asdict(rules.stopping(call.rules(ExperimentRules)))},
        seed=seed,
        started_at=call.now,
        planned_end_at=call.now + protos.span(design.length),
    )
    under_test = errors.FailedPrecondition("ACTION_UNDER_TEST", "another experiment tests this action")
    call.tx.do(store.SAVE, {"rows": rows.pack([after])}, refuse={"experiment_running": under_test})
    call.tx.do(store.DRAW, {"rows": rows.pack(drawn)})
    call.timers.set(LOOK, after.id, looking.moments(after)[0])
    call.audit(after.id, "start", after={"seed": seed, "units": len(drawn)})
    return to_proto(after, drawn, (), call)


async def _free(design: pb.ExperimentDesign, found: Planned, call: Call) -> None:
    """What contradicts is what runs at the same time; by rule, only if it is of the same metric. Raises FailedPrecondition
    UNIT_IN_ANOTHER_EXPERIMENT."""
    params = {
        "metric": design.metric_key if call.rules(ExperimentRules).overlap == "other_metric" else "",
        "kind": planning.kind(design),
        "ids": [one.unit_id for one in found.candidates],
        "people": sorted({person for one in found.candidates for person in one.people}),
    }
    taken = await call.tx.one(store.TAKEN, params)
    if taken is not None:
        raise errors.FailedPrecondition(
            "UNIT_IN_ANOTHER_EXPERIMENT",
            f"{taken['unit_id']} is in a test that runs; leave it out, or wait",
            experiment_id=taken["experiment_id"],
            unit_id=taken["unit_id"],
        )


@rpcs.method
async def conclude_experiment(request: pb.ConcludeExperimentRequest, call: Call) -> pb.Experiment:
    before = await store.get(call.tx, request.experiment_id, lock=True)
    call.authorize(before.owner_id, before.unit_id)
    if before.state != "running":
        raise errors.FailedPrecondition("EXPERIMENT_NOT_RUNNING", f"it is {before.state}")
    etags.check(request.etag, before.version)
    looks = (await store.looks(call.tx, [before.id]))[before.id]
    due = looking.moments(before)
    early = call.now < due[-1]
    if early and not request.stop_reason:
        raise errors.InvalidArgument(
            "STOP_REASON_MISSING", f"it runs until {due[-1]:%Y-%m-%d}", {"stop_reason": "required before the end"}
        )
    if not early and (not looks or looks[-1].number < len(due)):
        looks += await looking.look({before.id: len(due)}, [before], call)
        call.tx.do(store.LOOKED, {"rows": rows.pack(looks[-1:])})
    effect, said = _verdict(before, looks, due)
    after = replace(
        before,
        version=before.version + 1,
        state="concluded",
        effect=json_format.MessageToDict(effect),
        verdict=said,
        stop_reason=request.stop_reason,
        concluded_at=call.now,
    )
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.timers.cancel(LOOK, after.id)
    if any(one.stops for one in looks):
        cleared = approvals.WITHDRAWAL_REASON_CAUSE_CLEARED
        withdrawn = approvals.TaskWithdrawn(
            origin="funnel", cause_key=ends(after), reason=cleared, clear_time=protos.timestamp(call.now)
        )
        call.tell(withdrawn, after.id)
    call.audit(after.id, "conclude", after={"verdict": said, "stop_reason": request.stop_reason})
    return to_proto(after, (await store.drawn(call.tx, [after.id]))[after.id], looks, call)


def _verdict(one: Experiment, looks: list[Look], due: list[datetime]) -> tuple[pb.Estimate, str]:
    """By the last look, if the stopping rule lets the test end there."""
    design, seen = looking.design(one), looks[-1] if looks else None
    effect = json_format.ParseDict(seen.effect, pb.Estimate()) if seen else pb.Estimate()
    if seen is None or not seen.stops:
        why = "it was ended before the stopping rule lets anything be said"
        return estimates.cannot_say(effect.unit, effect.sample_size, why), f"cannot say: {why}"
    found: rules.FoundWord = word(pb.EstimateVerdict, effect.verdict)  # type: ignore[assignment]
    decided = rules.verdict(found, effect.low, effect.high, design.least_effect)
    if found == "cannot_say":
        return effect, f"cannot say: {effect.explanation}"
    interval = f"{effect.low:.3g} to {effect.high:.3g} at {effect.confidence_ratio:.2%}"
    figures = f"{effect.value:+.3g} {effect.unit} ({interval}), n = {effect.sample_size}, {effect.method}"
    return effect, f"{decided}: {rules.why(decided, found, design.least_effect, effect.unit)}; {figures}"


@rpcs.method
async def get_experiment(request: pb.GetExperimentRequest, call: Call) -> pb.Experiment:
    found = await store.get(call.db, request.experiment_id)
    call.authorize(found.owner_id, found.unit_id)
    drawn, looks = await store.drawn(call.db, [found.id]), await store.looks(call.db, [found.id])
    return to_proto(found, drawn[found.id], looks[found.id], call)


@rpcs.method
async def list_experiments(request: pb.ListExperimentsRequest, call: Call) -> pb.ListExperimentsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    quarter = quarter_of(protos.day(request.quarter, "quarter")) if request.HasField("quarter") else None
    params: dict[str, Any] = {
        **call.scope.params,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "state": word(pb.ExperimentState, request.state),
        "action": request.action_id or None,
        "from": call.home.moment(quarter) if quarter else None,
        "to": call.home.moment(following(quarter)) if quarter else None,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Experiment)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    ids = [one.id for one in page]
    drawn, looks = await store.drawn(call.db, ids), await store.looks(call.db, ids)
    return pb.ListExperimentsResponse(
        experiments=[to_proto(one, drawn[one.id], looks[one.id], call) for one in page], next_page_token=token
    )
