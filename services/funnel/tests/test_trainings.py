"""Trainings: who applies them at three months, against people who were not there, and why the others do not (S84)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from closedloop.funnel.v1 import experiments_pb2
from closedloop.funnel.v1 import trainings_pb2 as pb
from closedloop.funnel.v1 import trainings_pb2_grpc as rpc
from closedloop_funnel import estimates
from closedloop_funnel.trainings.effect import months_later
from closedloop_funnel.trainings.rules import Spoken, TrainingRules, changes, judged, mismatched, steady

from .conftest import Company, cny, day, remember, rid
from .raw_history import moment
from .talks import hearing, transcript
from .test_effects import stay

ATTENDEES = [f"t{number}" for number in range(102)]
OTHERS = [f"c{number}" for number in range(20)]


@pytest.mark.mission("S84")
def test_somebody_applies_it_who_is_heard_to_in_most_of_his_talks() -> None:
    rules = TrainingRules()
    people = [
        Spoken(person_id="applies", before=5, after=6, after_applied=3),
        Spoken(person_id="tried", before=5, before_applied=1, after=5, after_applied=2),
        Spoken(person_id="silent", before=5, after=4, after_applied=4),
        Spoken(person_id="new", before=0, after=5, after_applied=5),
    ]
    assert [one.person_id for one in judged(rules, people)] == ["applies", "tried", "new"]
    assert [steady(rules, one) for one in people] == [True, False, True, True]
    assert changes(rules, people) == pytest.approx([0.5, 0.2])
    assert mismatched(rules, ["hospital"], {"school": 9, "hospital": 1}) is True
    assert mismatched(rules, ["hospital"], {"school": 7, "hospital": 3}) is False
    assert mismatched(rules, ["hospital"], {"": 4}) is None
    assert months_later(date(2025, 11, 30), 3) == date(2026, 2, 28)
    assert months_later(date(2026, 1, 6), 3) == date(2026, 4, 6)


@pytest.mark.mission("S84")
def test_a_change_is_held_against_that_of_others() -> None:
    grown = estimates.change_against([0.3, 0.4, 0.5, 0.4, 0.3], [0.0, 0.1, 0.0, 0.1, 0.0], least=5)
    assert grown.value == pytest.approx(0.34)
    assert grown.low < 0.34 < grown.high
    assert (grown.verdict, grown.sample_size) == (experiments_pb2.ESTIMATE_VERDICT_HIGHER, 10)
    # All got better alike: it was not the training.
    alike = estimates.change_against([0.3, 0.4, 0.5, 0.4], [0.3, 0.5, 0.4, 0.4], least=4)
    assert alike.verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    few = estimates.change_against([0.3, 0.4], [0.0, 0.1, 0.0, 0.1, 0.0], least=5)
    assert (few.verdict, few.HasField("value")) == (experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY, False)


def client(company: Company, person: str = "m1", role: str = "manager") -> rpc.TrainingServiceStub:
    return company.live.stub(rpc.TrainingServiceStub, person, role)


def wanted(**fields: Any) -> pb.CreateTrainingRequest:
    fields.setdefault("attendee_ids", ATTENDEES)
    fields.setdefault("end_date", day(2026, 1, 6))
    fields.setdefault("applied_hearing_keys", ["trial"])
    return pb.CreateTrainingRequest(
        request_id=rid(),
        name="试点话术",
        start_date=day(2026, 1, 5),
        cost=cny(70_000),
        ability_keys=["closing"],
        customer_types=["hospital"],
        **fields,
    )


async def _spoken(company: Company) -> None:
    """Five conversations of each before and after; 14 of 102 apply it in four of five, nobody did before."""
    talks, heard = [], []
    for place, person in enumerate([*ATTENDEES, *OTHERS]):
        for number in range(10):
            after = number >= 5
            talk = transcript(person, moment(date(2026, 3, 20) if after else date(2025, 12, 20), 9), number)
            talks.append(talk)
            if after and place < 14 and number != 9:
                heard.append(hearing(talk["id"], "keyword", "trial"))
    await remember(company, "transcript", talks)
    await remember(company, "hearing", heard)


@pytest.mark.mission("S84", "S92")
async def test_thirteen_point_seven_percent_apply_it_and_the_others_say_why_not(company: Company) -> None:
    live, refused, boss = company.live, company.live.refused, client(company)
    await live.organise(units=[], people=[(one, "team1", one, ["rep"]) for one in (*ATTENDEES, *OTHERS)])
    with refused("INVALID_ARGUMENT", "DATES_REVERSED"):
        await boss.CreateTraining(wanted(end_date=day(2026, 1, 1)))
    with refused("INVALID_ARGUMENT", "PERSON_UNKNOWN"):
        await boss.CreateTraining(wanted(attendee_ids=["nobody"]))
    with refused("PERMISSION_DENIED"):
        await boss.CreateTraining(wanted(unit_id="north"))
    made = await boss.CreateTraining(wanted())
    assert (made.ownership.unit_id, made.cost, made.feedback_count) == ("east", cny(70_000), 0)
    unheard = await boss.CreateTraining(wanted(applied_hearing_keys=[]))
    await _spoken(company)
    named = (("case_mismatch", 72), ("no_coaching", 65), ("not_measured", 58))
    feedback = [
        {
            "training_id": made.id,
            "person_id": person,
            "rating": 2,
            "obstacles": [obstacle for obstacle, count in named if number < count],
            "comment": "",
            "at": live.now,
        }
        for number, person in enumerate(ATTENDEES[:99])
    ]
    await remember(company, "training_feedback", feedback)
    deals = []
    for number in range(25):
        deal, _ = stay(date(2026, 1, 20), went_on=True)
        deals.append({**deal, "owner_id": ATTENDEES[number], "customer_type": "school" if number < 18 else "hospital"})
    await remember(company, "opportunity", deals)
    said = pb.RecordTrainingFeedbackRequest(request_id=rid(), training_id=made.id, rating=4, comment="有用")
    with refused("PERMISSION_DENIED", "NOT_AN_ATTENDEE"):
        await client(company, "rep2", "rep").RecordTrainingFeedback(said)
    assert (await client(company, "t99", "rep").RecordTrainingFeedback(said)).feedback_count == 100
    said.request_id, said.rating = rid(), 5
    assert (await client(company, "t99", "rep").RecordTrainingFeedback(said)).feedback_count == 100

    ask = pb.GetTrainingEffectRequest(training_id=made.id)
    with refused("FAILED_PRECONDITION", "TOO_EARLY"):
        await boss.GetTrainingEffect(ask)
    live.process.time.stop_at(moment(date(2026, 4, 7), 9))
    effect = await boss.GetTrainingEffect(ask)
    assert (effect.as_of_date, effect.attendee_count, effect.judged_count) == (day(2026, 4, 6), 102, 102)
    assert effect.applied.value == pytest.approx(0.137, abs=0.0005)
    assert (effect.applied.method, effect.applied.sample_size) == ("wilson", 102)
    assert effect.applied.low < 0.137 < effect.applied.high
    assert effect.effect.value == pytest.approx(14 * 0.8 / 102)
    assert effect.effect.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert effect.effect.sample_size == 102 + len(OTHERS)
    assert {pb.TrainingObstacle.Name(one.obstacle)[18:].lower(): one.share.value for one in effect.obstacles} == {
        "case_mismatch": 0.72,
        "no_coaching": 0.65,
        "not_measured": 0.58,
    }
    assert (effect.case_mismatch.value, effect.case_mismatch.sample_size) == (0.72, 25)
    assert effect.cost_per_applied == cny(5000)
    deaf = await boss.GetTrainingEffect(pb.GetTrainingEffectRequest(training_id=unheard.id))
    for told in (deaf.applied, deaf.effect):
        assert (told.verdict, told.HasField("value")) == (experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY, False)
        assert "applied_hearing_keys" in told.explanation, "it was not applied by nobody: nobody said what to hear"
    assert not deaf.HasField("cost_per_applied")
    verdicts = {one.name: one.estimate.verdict for one in effect.outcomes}
    assert set(verdicts) == {"win_rate", "cycle_days"}
    assert set(verdicts.values()) == {experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY}, "nobody has closed a deal"
    with refused("INVALID_ARGUMENT", "DATE_TOO_EARLY"):
        await boss.GetTrainingEffect(pb.GetTrainingEffectRequest(training_id=made.id, as_of_date=day(2026, 1, 6)))

    change = pb.UpdateTrainingRequest(request_id=rid(), training_id=made.id, etag="x", attendee_ids=ATTENDEES[:3])
    change.update_mask.paths[:] = ["attendee_ids"]
    with refused("ABORTED", "ETAG_MISMATCH"):
        await boss.UpdateTraining(change)
    change.etag = made.etag
    assert len((await boss.UpdateTraining(change)).attendee_ids) == 3
    small = await boss.GetTrainingEffect(ask)
    assert small.applied.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    assert not small.applied.HasField("value")
    assert not small.HasField("cost_per_applied")
    mine = await client(company, "t1", "rep").ListTrainings(pb.ListTrainingsRequest(attendee_id="t1"))
    assert {one.id for one in mine.trainings} == {made.id, unheard.id}
    with refused("PERMISSION_DENIED"):
        await client(company, "rep2", "rep").GetTraining(pb.GetTrainingRequest(training_id=made.id))
