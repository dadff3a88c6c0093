"""A random, reproducible tenth of the contacts is asked about, fair to every seller; contradictions are found (S46)."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval
from hypothesis import given
from hypothesis import strategies as st

from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc, truth_pb2, truth_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import surveys_pb2 as pb
from closedloop.funnel.v1 import surveys_pb2_grpc as rpc
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_funnel.surveys.rules import QUESTIONS, contradictions, sample, satisfaction

from .conftest import ACME, Company, remember, rid
from .raw_history import moment
from .test_performance import visit

CONTACT = "0190c000-0000-7000-8000-000000000001"


@pytest.mark.mission("S46")
@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 60), max_size=8), st.integers(0, 2**62))
def test_each_seller_gives_his_share_and_the_seed_draws_it_again(counts: dict[str, int], seed: int) -> None:
    population = {owner: [f"{owner}-{number}" for number in range(count)] for owner, count in counts.items()}
    drawn = sample(population, 0.1, seed)
    backwards = {owner: list(reversed(ids)) for owner, ids in reversed(population.items())}
    assert sample(backwards, 0.1, seed) == drawn
    assert len(set(drawn)) == len(drawn)
    assert abs(len(drawn) - sum(counts.values()) * 0.1) < 1 + 1e-9
    for owner, count in counts.items():
        given_ = sum(one in set(population[owner]) for one in drawn)
        assert count // 10 <= given_ <= -(-count // 10) + (count % 10 == 0 and count > 0)


@pytest.mark.mission("S46")
def test_every_contact_and_every_seller_is_as_likely_as_another() -> None:
    population = {"busy": [f"b{number}" for number in range(47)], "calm": [f"c{number}" for number in range(8)]}
    seen = Counter[str]()
    for seed in range(2000):
        seen.update(sample(population, 0.1, seed))
    # Each is drawn in a tenth of the draws: 200 expected, standard deviation 13.4, five of them either way.
    assert len(seen) == 55
    assert 133 < min(seen.values()) <= max(seen.values()) < 267
    calm = sum(count for one, count in seen.items() if one.startswith("c"))
    assert calm == pytest.approx(2000 * 0.8, rel=0.05)


@pytest.mark.parametrize(
    ("answers", "kind", "attitude", "expected"),
    [
        ({"contacted": "no"}, "call", "", ["客户说没有沟通过"]),
        ({"contacted": "yes", "in_person": "no"}, "visit", "", ["客户说没有见面"]),
        ({"contacted": "yes", "in_person": "no"}, "call", "", []),
        ({"satisfaction": "1"}, "call", "warm", ["日志称客户态度积极, 客户并不满意"]),
        ({"satisfaction": "1"}, "call", "cool", []),
    ],
)
def test_answers_are_held_against_what_the_log_claims(
    answers: dict[str, str], kind: str, attitude: str, expected: list[str]
) -> None:
    assert contradictions(QUESTIONS, answers, kind, attitude) == expected
    assert satisfaction(QUESTIONS, {"satisfaction": "4", "remarks": "好"}) == 0.75
    assert satisfaction(QUESTIONS, {"remarks": "好"}) is None


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.SurveyServiceStub:
    return company.live.stub(rpc.SurveyServiceStub, person, role)


def week(begins: date) -> Interval:
    stamps = [Timestamp(), Timestamp()]
    for stamp, day in zip(stamps, (begins, begins + timedelta(days=7)), strict=True):
        stamp.FromDatetime(moment(day, 0).replace(tzinfo=None) - timedelta(hours=8))
    return Interval(start_time=stamps[0], end_time=stamps[1])


@pytest.mark.mission("S46")
async def test_customers_are_asked_and_what_they_say_is_reported(company: Company) -> None:
    live, refused = company.live, company.live.refused
    monday = date(2026, 1, 5)
    told = [visit(owner, monday, number, done=True) for owner in ("rep1", "rep2") for number in range(20)]
    for number, one in enumerate(told):
        one |= {"contact_ids": [CONTACT] if number % 20 else [], "content": "", "attitude_after": "warm"}
    await remember(company, "activity", told)
    ask = pb.DrawSampleRequest(request_id=rid(), period=week(monday), seed=42)
    with refused("FAILED_PRECONDITION", "PERIOD_NOT_OVER"):
        await client(company).DrawSample(ask)
    await live.move_to(moment(date(2026, 1, 12), 9))
    drawn = await client(company).DrawSample(ask)
    assert (drawn.population, drawn.drawn, drawn.seed, drawn.sample_ratio) == (40, 4, 42, 0.1)
    ask.request_id = rid()
    assert (await client(company).DrawSample(ask)).id == drawn.id, "the same seed, the same sample"
    ask.request_id, ask.seed = rid(), 43
    with refused("FAILED_PRECONDITION", "SAMPLE_EXISTS"):
        await client(company).DrawSample(ask)
    surveys = (await client(company).ListSurveys(pb.ListSurveysRequest(sample_id=drawn.id))).surveys
    assert Counter(one.ownership.owner_id for one in surveys) == {"rep1": 2, "rep2": 2}
    letters = [one.content for one in await live.told(integrations.DeliveryRequested)]
    reached = [one for one in surveys if one.contact_id]
    assert {one.subject_id for one in letters} == {one.id for one in reached}
    assert {one.purpose for one in letters} == {deliveries_pb2.DELIVERY_PURPOSE_SURVEY}

    first, second, *_ = reached
    await live.hear(
        integrations.DeliveryReported(
            origin="funnel", subject_type="survey", subject_id=second.id, state=deliveries_pb2.DELIVERY_STATE_BOUNCED
        )
    )
    answer = pb.RecordSurveyAnswerRequest(
        request_id=rid(),
        survey_id=first.id,
        answers=[
            pb.SurveyAnswer(question_key="in_person", value="no"),
            pb.SurveyAnswer(question_key="satisfaction", value="1"),
        ],
    )
    said = await client(company).RecordSurveyAnswer(answer)
    assert (said.state, said.satisfaction_ratio) == (pb.SURVEY_STATE_ANSWERED, 0)
    assert [one.text for one in said.contradictions] == ["客户说没有见面", "日志称客户态度积极, 客户并不满意"]
    truth = live.stub(truth_pb2_grpc.TruthServiceStub, "ops", "operations")
    finding = await truth.GetFinding(truth_pb2.GetFindingRequest(finding_id=said.finding_id))
    assert (finding.kind, finding.activity_id) == (truth_pb2.FINDING_KIND_SURVEY_CONTRADICTS, first.activity_id)
    log = await live.stub(activities_pb2_grpc.ActivityServiceStub, "ops", "operations").GetActivity(
        activities_pb2.GetActivityRequest(activity_id=first.activity_id)
    )
    assert log.authenticity == activities_pb2.AUTHENTICITY_SUSPECT
    [heard] = await live.told(events.SurveyAnswered)
    assert (heard.survey_id, heard.contradicts_log) == (first.id, True)
    answer.request_id = rid()
    with refused("FAILED_PRECONDITION", "SURVEY_ANSWERED"):
        await client(company).RecordSurveyAnswer(answer)
    answer.request_id, answer.survey_id = rid(), ACME
    with refused("NOT_FOUND", "SURVEY_UNKNOWN"):
        await client(company).RecordSurveyAnswer(answer)
    for key, value, reason in (("age", "40", "QUESTION_UNKNOWN"), ("satisfaction", "9", "ANSWER_INVALID")):
        wrong = pb.RecordSurveyAnswerRequest(
            request_id=rid(), survey_id=second.id, answers=[pb.SurveyAnswer(question_key=key, value=value)]
        )
        with refused("INVALID_ARGUMENT", reason):
            await client(company).RecordSurveyAnswer(wrong)
    [sample_] = (await client(company).ListSamples(pb.ListSamplesRequest())).samples
    assert not (await client(company, "stranger", "manager").ListSamples(pb.ListSamplesRequest())).samples
    assert (sample_.answered, sample_.contradicting) == (1, 1)
    for share in (sample_.contradiction, sample_.satisfaction):
        assert (share.explanation, share.HasField("value")) == ("1 cases, it takes 5", False), "one says nothing of all"
    bounced = await client(company).ListSurveys(pb.ListSurveysRequest(state=pb.SURVEY_STATE_UNDELIVERABLE))
    assert second.id in {one.id for one in bounced.surveys}
    await live.advance(days=15)
    expired = await client(company).ListSurveys(pb.ListSurveysRequest(state=pb.SURVEY_STATE_EXPIRED))
    assert len(expired.surveys) == len(reached) - 2
    for one in expired.surveys[:1]:
        answer.request_id, answer.survey_id = rid(), one.id
        with refused("FAILED_PRECONDITION", "SURVEY_EXPIRED"):
            await client(company).RecordSurveyAnswer(answer)
    asked = {one.activity_id for one in surveys}
    others = [one for one in told if one["id"] not in asked][:5]
    said_so = {"sample_id": drawn.id, "state": "answered", "answers": [], "sent_at": live.now, "expires_at": live.now}
    await remember(
        company,
        "survey",
        [
            {**said_so, "id": one["id"], "activity_id": one["id"], "owner_id": "rep1", "unit_id": "team1"}
            | {"satisfaction": share, "contradictions": []}
            for one, share in zip(others, (0.5, 0.75, 1, 1, 0.75), strict=True)
        ],
    )
    [enough] = (await client(company).ListSamples(pb.ListSamplesRequest())).samples
    told_of = enough.satisfaction
    assert (told_of.value, told_of.sample_size, told_of.method) == (pytest.approx(4 / 6), 6, "student_t")
    assert told_of.low < 4 / 6 < told_of.high
    assert (enough.contradiction.value, enough.contradiction.method) == (pytest.approx(1 / 6), "wilson")


@pytest.mark.mission("S46")
async def test_the_week_before_is_asked_about_by_itself(company: Company) -> None:
    live = company.live
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    await remember(company, "activity", [visit("rep1", date(2026, 1, 6), number, done=True) for number in range(30)])
    await live.move_to(moment(date(2026, 1, 14), 9))
    [sample_] = (await client(company).ListSamples(pb.ListSamplesRequest())).samples
    assert (sample_.period, sample_.population, sample_.drawn) == (week(date(2026, 1, 5)), 30, 3)
