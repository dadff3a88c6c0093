"""DrillService: set up, tried, graded, and what it did to real talk (S91)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import drills_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import clustered, estimates
from closedloop_funnel.attachments import references
from closedloop_funnel.drills import asking, grading, rules, store
from closedloop_funnel.drills.rules import DrillRules, ScenarioRule
from closedloop_funnel.drills.store import Attempt, Drill
from closedloop_funnel.points import earning
from closedloop_funnel.talk import taking
from closedloop_funnel.talk.listening import Said
from closedloop_funnel.talk.rules import TalkRules

rpcs = Rpcs("closedloop.funnel.v1.DrillService")

DAY = timedelta(days=1)


@rpcs.method
async def create_drill(request: pb.CreateDrillRequest, call: Call) -> pb.Drill:
    known, me = call.rules(DrillRules).scenarios, call.org.person(call.caller.subject)
    strange = sorted(set(request.scenario_keys) - set(known))
    if strange:
        raise errors.InvalidArgument(
            "SCENARIO_UNKNOWN", f"no scenario {strange[0]}; there are {', '.join(known)}", {"scenario_keys": "unknown"}
        )
    unit_id = request.unit_id or (me.unit_id if me else "")
    if call.org.unit(unit_id) is None:
        raise errors.InvalidArgument("UNIT_UNKNOWN", f"no unit {unit_id}", {"unit_id": "unknown"})
    call.authorize("", unit_id)
    for person_id in request.participant_ids:
        person = call.org.person(person_id)
        if person is None or not person.active:
            raise errors.InvalidArgument(
                "PERSON_UNKNOWN", f"nobody here is {person_id}", {"participant_ids": "unknown"}
            )
        call.authorize(person.id, person.unit_id)
    begins = protos.day(request.start_date, "start_date")
    days = call.rules(DrillRules).days
    ends = protos.day(request.end_date, "end_date") if request.HasField("end_date") else begins + (days - 1) * DAY
    if ends < begins:
        raise errors.InvalidArgument("DATES_REVERSED", "it ends before it begins", {"end_date": "before start_date"})
    made = Drill(
        id=new_id(),
        name=request.name,
        owner_id=call.caller.subject,
        unit_id=unit_id,
        scenario_keys=list(dict.fromkeys(request.scenario_keys)),
        participant_ids=list(dict.fromkeys(request.participant_ids)),
        start_date=begins,
        end_date=ends,
        created_at=call.now,
    )
    call.tx.do(store.ADD, {"rows": rows.pack([made])})
    call.audit(made.id, "create", after=rows.row(made))
    return _to_proto(made)


@rpcs.method
async def get_drill(request: pb.GetDrillRequest, call: Call) -> pb.Drill:
    drill = await store.get(call.db, request.drill_id)
    call.authorize(drill.owner_id, drill.unit_id, drill.participant_ids)
    # Whoever takes part sees how far he has come himself.
    alone = call.caller.subject if not call.scope.covers(drill.owner_id, drill.unit_id) else ""
    answer = _to_proto(drill)
    best, tries = await _standings(call.db, drill.id, alone)
    for person_id in [alone] if alone else drill.participant_ids:
        grade = rules.standing(best[person_id], drill.scenario_keys)
        passed = grade is not None and grade >= call.rules(DrillRules).passing
        answer.standings.append(
            pb.DrillStanding(person_id=person_id, attempt_count=tries[person_id], grade=grade, passed=passed)
        )
    answer.talk_change.CopyFrom(await _talk_change(drill, call))
    return answer


async def _standings(
    db: Reader | Transaction, drill_id: str, person: str = ""
) -> tuple[defaultdict[str, dict[str, float]], defaultdict[str, int]]:
    best: defaultdict[str, dict[str, float]] = defaultdict(dict)
    tries: defaultdict[str, int] = defaultdict(int)
    for row in await db.all(store.STANDINGS, {"drill": drill_id, "person": person}):
        tries[row["person_id"]] += row["attempts"]
        if row["best"] is not None:
            best[row["person_id"]][row["scenario_key"]] = row["best"]
    return best, tries


async def _talk_change(drill: Drill, call: Call) -> Any:
    """Share of real conversations with one of the drilled risk phrases, after less before."""
    judged_by = call.rules(DrillRules)
    risks = {
        criterion.risk
        for key in drill.scenario_keys
        if key in judged_by.scenarios
        for criterion in judged_by.scenarios[key].criteria.values()
        if criterion.risk
    }
    if not risks:
        return estimates.cannot_say("1", 0, "its scenarios name no risk phrase to hear")
    begins, ends = call.home.moment(drill.start_date), call.home.moment(drill.end_date + DAY)
    window = timedelta(days=judged_by.window_days)
    params = {
        "people": drill.participant_ids,
        "risks": sorted(risks),
        "before": begins - window,
        "begins": begins,
        "ends": ends,
        "until": ends + window,
    }
    sides: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    for row in await call.db.all(store.TALK, params):
        sides[row["after"]][row["owner_id"]] = [1.0] * row["risky"] + [0.0] * (row["talks"] - row["risky"])
    (risky, talks), (earlier_risky, earlier_talks) = (
        (int(sum(map(sum, sides[after].values()))), sum(map(len, sides[after].values()))) for after in (True, False)
    )
    found = estimates.difference(risky, talks, earlier_risky, earlier_talks, judged_by.least_talks)
    # Of one participant alone his talks are all there is; of several each is as different as he is.
    return clustered.difference(found, sides[True], sides[False]) if len(drill.participant_ids) > 1 else found


@rpcs.method
async def list_drills(request: pb.ListDrillsRequest, call: Call) -> pb.ListDrillsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "participant": request.participant_id,
        "running": request.running_only,
        "today": call.home.today(),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Drill)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListDrillsResponse(drills=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def submit_drill_attempt(request: pb.SubmitDrillAttemptRequest, call: Call) -> pb.DrillAttempt:
    drill, me = await store.get(call.tx, request.drill_id), call.caller.subject
    if me not in drill.participant_ids:
        raise errors.PermissionDenied("NOT_A_PARTICIPANT", f"{me} does not take part in {drill.name}")
    today = call.home.today(drill.unit_id)
    if not drill.start_date <= today <= drill.end_date:
        raise errors.FailedPrecondition("DRILL_OVER", f"it runs from {drill.start_date} to {drill.end_date}")
    scenario = call.rules(DrillRules).scenarios.get(request.scenario_key)
    if scenario is None or request.scenario_key not in drill.scenario_keys:
        raise errors.InvalidArgument(
            "SCENARIO_UNKNOWN", f"the drill has {', '.join(drill.scenario_keys)}", {"scenario_key": "not of this drill"}
        )
    await references.check(call, request.attachment_ids, "attachment_ids")
    call.tx.do(store.ONE_AT_A_TIME, {"drill": drill.id, "person": me})
    params = {"drill": drill.id, "person": me, "scenario": request.scenario_key}
    if await call.tx.value(store.TRIES, params) >= call.rules(DrillRules).most_attempts:
        raise errors.FailedPrecondition(
            "ATTEMPTS_USED_UP", f"{call.rules(DrillRules).most_attempts} goes at a scenario"
        )
    shown = await asyncio.to_thread(
        grading.examiner(call.rules(DrillRules)).grade,
        request.scenario_key,
        request.text,
        await _risks(scenario, request.text, call),
    )
    grades = {one.key: one.grade for one in shown}
    grade = rules.overall(scenario, grades)
    person = call.org.person(me)
    made = Attempt(
        id=new_id(),
        drill_id=drill.id,
        person_id=me,
        unit_id=person.unit_id if person else "",
        scenario_key=request.scenario_key,
        text=request.text,
        attachment_ids=list(dict.fromkeys(request.attachment_ids)),
        grades=[asdict(one) for one in shown],
        grade=grade,
        least_grade=rules.least(scenario, grades),
        grader_id=DrillRules.rulebook if grade is not None else "",
        submitted_at=call.now,
        graded_at=call.now if grade is not None else None,
    )
    call.tx.do(store.SUBMIT, {"rows": rows.pack([made])})
    references.attach(call, made.attachment_ids, "drill_attempt", made.id)
    call.audit(made.id, "submit", after=rows.row(made, "version", "text"))
    if grade is None:
        asking.grade(call, drill)
    await _reward(drill, made, call)
    return _attempt(made)


async def _risks(scenario: ScenarioRule, text: str, call: Call) -> dict[str, str]:
    """Risk phrases in the answer to what the customer said, heard as in a real talk, each with its sentence."""
    said = [Said("customer", scenario.customer, 0, 0), Said("seller", text, 0, 0)]
    reading = await asyncio.to_thread(taking.reader(call.rules(TalkRules)).read, said)
    return {one.key: one.hit.sentence for one in reading.heard if one.kind == "risk"}


async def _reward(drill: Drill, attempt: Attempt, call: Call) -> None:
    """Once a drill, when the best grades of all its scenarios pass."""
    if attempt.grade is None and not attempt.least_grade:
        return
    best, _ = await _standings(call.tx, drill.id, attempt.person_id)
    grade = rules.standing(best[attempt.person_id], drill.scenario_keys)
    judged_by = call.rules(DrillRules)
    if grade is not None and grade >= judged_by.passing:
        await earning.credit(
            call,
            attempt.person_id,
            attempt.unit_id,
            "drill",
            judged_by.points,
            cause_id=drill.id,
            reason=drill.name,
            rule="points",
            rule_version=call.process.rulebooks.version(DrillRules, call.now),
        )


@rpcs.method
async def grade_drill_attempt(request: pb.GradeDrillAttemptRequest, call: Call) -> pb.DrillAttempt:
    before = await call.tx.one(store.ATTEMPT, {"id": request.attempt_id}, into=Attempt)
    if before is None:
        raise errors.NotFound("ATTEMPT_UNKNOWN", f"no attempt {request.attempt_id}")
    call.authorize(before.person_id, before.unit_id)
    etags.check(request.etag, before.version)
    if before.person_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_ATTEMPT", "nobody grades himself")
    scenario = call.rules(DrillRules).scenarios.get(before.scenario_key)
    if scenario is None:
        raise errors.FailedPrecondition("SCENARIO_UNKNOWN", f"scenario {before.scenario_key} is not there any more")
    given = {one.criterion_key: one for one in request.grades}
    strange = sorted(set(given) - set(scenario.criteria))
    if strange or len(given) < len(request.grades):
        raise errors.InvalidArgument(
            "CRITERION_UNKNOWN", f"there are {', '.join(scenario.criteria)}, each once", {"grades": "unknown or twice"}
        )
    # Over that of the rule, where a person says something.
    grades = {one["key"]: one for one in before.grades} | {
        key: {"key": key, "grade": one.grade, "comment": one.comment, "sentence": one.sentence}
        for key, one in given.items()
    }
    grade = rules.overall(scenario, {key: one["grade"] for key, one in grades.items()})
    if grade is None:
        missing = sorted(set(scenario.criteria) - set(grades))
        raise errors.InvalidArgument("RUBRIC_INCOMPLETE", f"{missing[0]} is not graded", {"grades": "incomplete"})
    after = replace(
        before,
        version=before.version + 1,
        grades=[grades[key] for key in scenario.criteria],
        grade=grade,
        least_grade=grade,
        grader_id=call.caller.subject,
        comment=request.comment,
        graded_at=call.now,
    )
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.audit(after.id, "grade", rows.row(before, "version", "text"), rows.row(after, "version", "text"))
    drill = await store.get(call.tx, after.drill_id)
    if not await call.tx.value(store.WAITING, {"drill": drill.id, "but": after.id}):
        asking.graded(call, drill)
    await _reward(drill, after, call)
    return _attempt(after)


@rpcs.method
async def list_drill_attempts(request: pb.ListDrillAttemptsRequest, call: Call) -> pb.ListDrillAttemptsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "drill": request.drill_id or None,
        "person": request.person_id,
        "ungraded": request.ungraded_only,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.ATTEMPTS, params, into=Attempt)
    page, token = pages.split(found, request, lambda one: [one.submitted_at.isoformat(), one.id])
    return pb.ListDrillAttemptsResponse(attempts=[_attempt(one) for one in page], next_page_token=token)


def _to_proto(drill: Drill) -> pb.Drill:
    return pb.Drill(
        id=drill.id,
        name=drill.name,
        ownership=common_pb2.Ownership(owner_id=drill.owner_id, unit_id=drill.unit_id),
        scenario_keys=drill.scenario_keys,
        start_date=protos.date_proto(drill.start_date),
        end_date=protos.date_proto(drill.end_date),
    )


def _attempt(one: Attempt) -> pb.DrillAttempt:
    return pb.DrillAttempt(
        id=one.id,
        etag=etags.of(one.version),
        drill_id=one.drill_id,
        person_id=one.person_id,
        scenario_key=one.scenario_key,
        text=one.text,
        attachment_ids=one.attachment_ids,
        grades=[
            pb.RubricGrade(
                criterion_key=each["key"],
                grade=each["grade"],
                comment=each["comment"],
                sentence=each.get("sentence", ""),
            )
            for each in one.grades
        ],
        grade=one.grade,
        least_grade=one.least_grade,
        grader_id=one.grader_id,
        comment=one.comment,
        submit_time=protos.timestamp(one.submitted_at),
        grade_time=protos.timestamp(one.graded_at),
    )
