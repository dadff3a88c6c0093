"""CertificationService: drawn on real figures, handed in, graded (S99)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import certifications_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.certifications import exercises, rules, store
from closedloop_funnel.certifications.rules import CertificationRules
from closedloop_funnel.certifications.store import Figures, Sitting
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.CertificationService")

ALL = ("reading_metrics", "attribution", "experiment_design")
GRADED = ("passed", "failed")
CAUSE = "funnel.certification"


@rpcs.method
async def start_certification(request: pb.StartCertificationRequest, call: Call) -> pb.Certification:
    me, judged_by = call.caller.subject, call.rules(CertificationRules)
    person = call.org.person(me)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {me}")
    chosen = list(dict.fromkeys(word(pb.CertificationSubject, one) for one in request.subjects)) or list(ALL)
    if left_out := [one for one in ALL if one not in chosen]:
        said = f"a certification is in every subject; {', '.join(left_out)} left out"
        raise errors.InvalidArgument("SUBJECTS_MISSING", said, {"subjects": said})
    call.tx.do(store.ONE_AT_A_TIME, {"person": me})
    today = call.home.today(person.unit_id)
    last = await call.tx.one(store.LAST, {"person": me, "now": call.now, "today": today}, into=Sitting)
    if last is not None and last.state in ("running", "submitted"):
        raise errors.FailedPrecondition("CERTIFICATION_RUNNING", f"one is {last.state}", id=last.id)
    if last is not None and rules.missed(last.state, submitted=last.submitted_at is not None):
        again = last.started_at + judged_by.retry_days * timedelta(days=1)
        if again > call.now:
            raise errors.FailedPrecondition("RETRY_TOO_EARLY", f"not before {again.isoformat()}")
    span = judged_by.days * timedelta(days=1)
    asked = {
        "units": list(call.org.subtree(person.unit_id)),
        "before": call.now - 2 * span,
        "from": call.now - span,
        "to": call.now,
    }
    figures = await call.tx.one(store.FIGURES, asked, into=Figures)
    assert figures is not None
    if min(figures.ended, figures.ended_before) < judged_by.least_ended:
        raise errors.FailedPrecondition(
            "TOO_LITTLE_DATA",
            f"{figures.ended} and {figures.ended_before} closed deals in two periods; it takes {judged_by.least_ended} each",
        )
    made = Sitting(
        id=new_id(),
        person_id=me,
        unit_id=person.unit_id,
        exercises=exercises.drawn(judged_by, figures, chosen),
        started_at=call.now,
        due_at=call.calendars.due(judged_by.time, call.now, person.unit_id),
    )
    call.tx.do(store.ADD, {"rows": rows.pack([made])})
    call.audit(made.id, "start", after={"subjects": chosen, "exercises": len(made.exercises)})
    return _to_proto(made, call)


@rpcs.method
async def submit_certification(request: pb.SubmitCertificationRequest, call: Call) -> pb.Certification:
    before = await _locked(request.certification_id, call)
    if before.person_id != call.caller.subject:
        raise errors.PermissionDenied("NOT_YOURS", f"{before.person_id} sits it")
    etags.check(request.etag, before.version)
    if before.state == "expired":
        raise errors.FailedPrecondition("TIME_OVER", f"it was to be handed in by {before.due_at.isoformat()}")
    if before.state != "running":
        raise errors.FailedPrecondition("CERTIFICATION_SUBMITTED", f"it is {before.state}")
    given = {one.exercise_id: one.answer for one in request.answers}
    _known(given, before)
    answered = []
    for one in before.exercises:
        answer = given.get(one["id"], "")
        answered.append({**one, "answer": answer, "grade": rules.graded(one, answer)})
    after = replace(before, exercises=answered, submitted_at=call.now)
    after = _settle(after, call)
    if after.state == "submitted":
        call.tell(_task(after, call), after.person_id)
    return _save(before, after, "submit", call)


@rpcs.method
async def grade_certification(request: pb.GradeCertificationRequest, call: Call) -> pb.Certification:
    before = await _locked(request.certification_id, call)
    call.authorize(before.person_id, before.unit_id)
    if before.person_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_CERTIFICATION", "nobody grades himself")
    etags.check(request.etag, before.version)
    if before.state != "submitted":
        raise errors.FailedPrecondition("NOTHING_TO_GRADE", f"it is {before.state}")
    given = {one.exercise_id: one for one in request.grades}
    _known(given, before)
    fixed = sorted(one["id"] for one in before.exercises if one["id"] in given and one["kind"] != "free")
    if fixed:
        raise errors.InvalidArgument("GRADE_FIXED", "what has one right answer is graded by it", {"grades": fixed[0]})
    graded = [
        {**one, "grade": given[one["id"]].grade, "comment": given[one["id"]].comment} if one["id"] in given else one
        for one in before.exercises
    ]
    after = _settle(replace(before, exercises=graded), call)
    if after.state == "submitted":
        raise errors.InvalidArgument("GRADES_MISSING", "every free answer takes a grade", {"grades": "incomplete"})
    withdrawn = approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=f"{CAUSE}:{after.id}",
        reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
        clear_time=protos.timestamp(call.now),
    )
    call.tell(withdrawn, after.person_id)
    return _save(before, after, "grade", call)


def _known(given: dict[str, Any], sitting: Sitting) -> None:
    strange = sorted(set(given) - {one["id"] for one in sitting.exercises})
    if strange:
        raise errors.InvalidArgument("EXERCISE_UNKNOWN", f"it has no exercise {strange[0]}", {"exercise_id": "unknown"})


def _settle(sitting: Sitting, call: Call) -> Sitting:
    judged_by = call.rules(CertificationRules)
    state = rules.settled(judged_by, sitting.exercises)
    until = call.home.today(sitting.unit_id) + judged_by.valid_days * timedelta(days=1)
    return replace(
        sitting,
        version=sitting.version + 1,
        state=state,
        settled_at=call.now if state in GRADED else None,
        valid_until=until if state == "passed" else None,
    )


def _save(before: Sitting, after: Sitting, action: str, call: Call) -> pb.Certification:
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    told = {"state": after.state, "grades": rules.subjects(after.exercises), "by": call.caller.subject}
    call.audit(after.id, action, {"state": before.state}, told)
    return _to_proto(after, call)


async def _locked(certification_id: str, call: Call) -> Sitting:
    return await store.get(call.tx, certification_id, call.now, call.home.today(), lock=True)


def _task(sitting: Sitting, call: Call) -> approvals.TaskRequested:
    content = tasks_pb2.TaskContent(
        kind=call.rules(CertificationRules).task_kind,
        title=f"批改管理者认证: {sitting.person_id}"[:200],
        description="开放题需人工评分",
        assignee_role="manager_of_owner",
        ownership=common_pb2.Ownership(owner_id=sitting.person_id, unit_id=sitting.unit_id),
        origin="funnel",
        cause_key=f"{CAUSE}:{sitting.id}",
        subject_type="certification",
        subject_id=sitting.id,
        cause_time=protos.timestamp(call.now),
    )
    return approvals.TaskRequested(content=content)


@rpcs.method
async def get_certification(request: pb.GetCertificationRequest, call: Call) -> pb.Certification:
    found = await store.get(call.db, request.certification_id, call.now, call.home.today())
    call.authorize(found.person_id, found.unit_id)
    return _to_proto(found, call)


@rpcs.method
async def list_certifications(request: pb.ListCertificationsRequest, call: Call) -> pb.ListCertificationsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "now": call.now,
        "today": call.home.today(),
        "person": request.person_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "state": word(pb.CertificationState, request.state),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Sitting)
    page, token = pages.split(found, request, lambda one: [one.started_at.isoformat(), one.id])
    listed = [_to_proto(one, call) for one in page]
    for one in listed:
        one.ClearField("exercises")
    return pb.ListCertificationsResponse(certifications=listed, next_page_token=token)


def _to_proto(sitting: Sitting, call: Call) -> pb.Certification:
    # What is right is told when it is settled, and an answer is graded as a whole.
    told = sitting.settled_at is not None
    answer = pb.Certification(
        id=sitting.id,
        etag=etags.of(sitting.version),
        person_id=sitting.person_id,
        state=number(pb.CertificationState, sitting.state),
        start_time=protos.timestamp(sitting.started_at),
        due_time=protos.timestamp(sitting.due_at),
        submit_time=protos.timestamp(sitting.submitted_at),
        valid_until_date=protos.date_proto(sitting.valid_until),
    )
    for one in sitting.exercises:
        answer.exercises.append(
            pb.Exercise(
                id=one["id"],
                subject=number(pb.CertificationSubject, one["subject"]),
                question=one["question"],
                figures=[common_pb2.Evidence(**figure) for figure in one["figures"]],
                choices=one["choices"],
                answer=one["answer"],
                grade=one["grade"] if told else None,
                solution=one["solution"] if told else "",
                comment=one["comment"] if told else "",
            )
        )
    for subject, grade in rules.subjects(sitting.exercises).items():
        answer.grades.append(
            pb.SubjectGrade(
                subject=number(pb.CertificationSubject, subject),
                grade=grade if told else None,
                passed=told and grade is not None and grade >= call.rules(CertificationRules).passing,
            )
        )
    return answer
