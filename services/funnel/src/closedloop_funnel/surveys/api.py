"""SurveyService: samples drawn, questionnaires, and answers that are held against the log (S46)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import surveys_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.surveys import drawing, rules, store
from closedloop_funnel.surveys.rules import SurveyRules
from closedloop_funnel.surveys.store import Survey
from closedloop_funnel.truth import scanning
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.SurveyService")

NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Survey):
    finding_id: str | None = None


@rpcs.method
async def draw_sample(request: pb.DrawSampleRequest, call: Call) -> pb.SurveySample:
    begins = protos.instant(request.period.start_time, "period.start_time")
    ends = protos.instant(request.period.end_time, "period.end_time")
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    if ends > call.now:
        raise errors.FailedPrecondition("PERIOD_NOT_OVER", f"it lasts until {ends.isoformat()}")
    chosen = request.HasField("seed")
    seed = request.seed if chosen else secrets.randbits(62)
    units = list(call.org.subtree(request.unit_id)) if request.unit_id else None
    sample_id = await drawing.draw(call, begins, ends, request.unit_id, units, seed, chosen=chosen)
    params = {**call.scope.params, "id": sample_id, "from": None, "to": None}
    [row] = await call.tx.all(store.SAMPLES, {**params, "after": "infinity", "after_id": NIL, "limit": 1})
    return _sample(row, call.rules(SurveyRules))


@rpcs.method
async def list_samples(request: pb.ListSamplesRequest, call: Call) -> pb.ListSamplesResponse:
    if call.by_outsider:
        return pb.ListSamplesResponse()
    after, after_id = pages.after(request, "infinity", NIL)
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "id": None,
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.SAMPLES, params)
    page, token = pages.split(found, request, lambda row: [row["created_at"].isoformat(), row["id"]])
    judged_by = call.rules(SurveyRules)
    return pb.ListSamplesResponse(samples=[_sample(row, judged_by) for row in page], next_page_token=token)


@rpcs.method
async def list_surveys(request: pb.ListSurveysRequest, call: Call) -> pb.ListSurveysResponse:
    after, after_id = pages.after(request, "infinity", NIL)
    params: dict[str, Any] = {
        **call.scope.params,
        "now": call.now,
        "sample": request.sample_id or None,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "account": request.account_id or None,
        "state": word(pb.SurveyState, request.state),
        "contradicting": request.contradicting_only,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Seen)
    page, token = pages.split(found, request, lambda one: [one.sent_at.isoformat(), one.id])
    return pb.ListSurveysResponse(surveys=[_survey(one, one.finding_id) for one in page], next_page_token=token)


@rpcs.method
async def record_survey_answer(request: pb.RecordSurveyAnswerRequest, call: Call) -> pb.Survey:
    asked = call.rules(SurveyRules).questions
    answers = {one.question_key: one.value for one in request.answers}
    _check(asked, answers, len(request.answers))
    before = await store.lock(call.tx, request.survey_id)
    if before.state == "answered":
        raise errors.FailedPrecondition("SURVEY_ANSWERED", "it was answered before")
    answered = protos.instant(request.answer_time, "answer_time") if request.HasField("answer_time") else call.now
    if answered > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it was not answered yet", {"answer_time": "in the future"})
    if answered > before.expires_at:
        raise errors.FailedPrecondition("SURVEY_EXPIRED", f"it was taken until {before.expires_at.isoformat()}")
    log = await call.tx.one(store.LOG, {"id": before.activity_id})
    assert log is not None
    against = rules.contradictions(asked, answers, log["kind"], log["attitude_after"])
    after = replace(
        before,
        state="answered",
        answers=[{"question_key": key, "value": value} for key, value in answers.items()],
        satisfaction=rules.satisfaction(asked, answers),
        contradictions=list(against),
        answered_at=answered,
    )
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    finding_id = None
    if against:
        finding_id = await scanning.raise_one(call, before.activity_id, "survey_contradicts", "; ".join(against))
    call.audit(after.id, "answer", after={"satisfaction": after.satisfaction, "contradictions": after.contradictions})
    call.tell(
        events.SurveyAnswered(
            survey_id=after.id,
            activity_id=after.activity_id,
            account_id=after.account_id or "",
            contact_id=after.contact_id or "",
            satisfaction_ratio=after.satisfaction or 0.0,
            contradicts_log=bool(against),
            answer_time=protos.timestamp(answered),
        ),
        after.id,
    )
    return _survey(after, finding_id)


def _check(asked: dict[str, rules.QuestionRule], answers: dict[str, str], given: int) -> None:
    unknown = sorted(set(answers) - set(asked))
    if unknown:
        raise errors.InvalidArgument(
            "QUESTION_UNKNOWN", f"no question {unknown[0]}; there are {', '.join(asked)}", {"answers": "unknown"}
        )
    wrong = [key for key, value in answers.items() if not asked[key].fits(value)]
    if wrong or len(answers) != given:
        named = wrong[0] if wrong else "one question twice"
        raise errors.InvalidArgument("ANSWER_INVALID", f"{named} cannot be answered like that", {"answers": named})


def _sample(row: dict[str, Any], judged_by: SurveyRules) -> pb.SurveySample:
    return pb.SurveySample(
        id=row["id"],
        period=Interval(start_time=protos.timestamp(row["begins"]), end_time=protos.timestamp(row["ends"])),
        seed=row["seed"],
        sample_ratio=row["sample_ratio"],
        population=row["population"],
        drawn=row["drawn"],
        answered=row["answered"],
        contradicting=row["contradicting"],
        satisfaction=estimates.spread(row["satisfaction"], "1", judged_by.least_answers),
        contradiction=estimates.share(row["contradicting"], row["answered"], judged_by.least_answers),
        create_time=protos.timestamp(row["created_at"]),
    )


def _survey(one: Survey, finding_id: str | None) -> pb.Survey:
    answer = pb.Survey(
        id=one.id,
        sample_id=one.sample_id,
        activity_id=one.activity_id,
        account_id=one.account_id or "",
        contact_id=one.contact_id or "",
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        state=number(pb.SurveyState, one.state),
        answers=[pb.SurveyAnswer(**given) for given in one.answers],
        contradictions=[common_pb2.Evidence(name="contradiction", text=text) for text in one.contradictions],
        finding_id=finding_id or "",
        send_time=protos.timestamp(one.sent_at),
        answer_time=protos.timestamp(one.answered_at),
        expire_time=protos.timestamp(one.expires_at),
    )
    if one.satisfaction is not None:
        answer.satisfaction_ratio = one.satisfaction
    return answer
