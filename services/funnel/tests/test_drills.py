"""Two-week drills: graded by rule where the rubric allows, by a person else, and held against real talk (S91)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from closedloop.funnel.v1 import drills_pb2 as pb
from closedloop.funnel.v1 import drills_pb2_grpc as rpc
from closedloop.funnel.v1 import experiments_pb2
from closedloop_funnel.abilities.rules import ABILITIES
from closedloop_funnel.drills.rules import DrillRules, by_rule, overall, standing
from closedloop_funnel.talk.rules import TalkRules

from .conftest import Company, day, remember, rid
from .raw_history import moment
from .talks import hearing, transcript
from .test_points import balance

RULES = DrillRules()
PRICE = RULES.scenarios["price_objection"]
GOOD = "我理解预算有压力。按三年总成本折算, 省下的停机损失八个月就能回收。"


@pytest.mark.mission("S91")
def test_a_rubric_is_graded_by_rule_where_it_can_be() -> None:
    assert by_rule(PRICE, GOOD, set()) == {"answers": 100, "value": 100, "no_discount": 100}
    assert by_rule(PRICE, "那给您打折吧", {"avoids_price_objection"}) == {"answers": 0, "value": 0, "no_discount": 0}
    assert overall(PRICE, {"answers": 100, "value": 0, "no_discount": 100}) == 75
    closing = RULES.scenarios["closing"]
    assert overall(closing, by_rule(closing, "周三签合同", set())) is None, "tone is for a person"
    assert standing({"a": 80}, ["a", "b"]) == 40
    assert standing({}, ["a"]) is None
    assert {one.ability for one in RULES.scenarios.values()} <= set(ABILITIES)
    named = {criterion.risk for one in RULES.scenarios.values() for criterion in one.criteria.values()} - {""}
    assert named <= set(TalkRules().risks)


def client(company: Company, person: str = "rep1", role: str = "rep") -> rpc.DrillServiceStub:
    return company.live.stub(rpc.DrillServiceStub, person, role)


def wanted(**fields: Any) -> pb.CreateDrillRequest:
    fields.setdefault("scenario_keys", ["price_objection", "closing"])
    fields.setdefault("participant_ids", ["rep1"])
    fields.setdefault("start_date", day(2026, 1, 5))
    return pb.CreateDrillRequest(request_id=rid(), name="一月异议训练", **fields)


@pytest.mark.mission("S91", "S89")
async def test_two_weeks_of_practice_are_graded_passed_and_seen_in_real_talk(company: Company) -> None:
    live, refused, boss = company.live, company.live.refused, client(company, "m1", "manager")
    with refused("INVALID_ARGUMENT", "SCENARIO_UNKNOWN"):
        await boss.CreateDrill(wanted(scenario_keys=["magic"]))
    with refused("INVALID_ARGUMENT", "PERSON_UNKNOWN"):
        await boss.CreateDrill(wanted(participant_ids=["nobody"]))
    with refused("PERMISSION_DENIED"):
        await boss.CreateDrill(wanted(participant_ids=["rep2"]))
    with refused("INVALID_ARGUMENT", "DATES_REVERSED"):
        await boss.CreateDrill(wanted(end_date=day(2026, 1, 1)))
    drill = await boss.CreateDrill(wanted())
    assert (drill.end_date, drill.ownership.unit_id) == (day(2026, 1, 18), "east")
    assert not (await client(company).GetDrill(pb.GetDrillRequest(drill_id=drill.id))).standings[0].HasField("grade")

    def goes(scenario: str, text: str, **fields: Any) -> pb.SubmitDrillAttemptRequest:
        return pb.SubmitDrillAttemptRequest(
            request_id=rid(), drill_id=drill.id, scenario_key=scenario, text=text, **fields
        )

    bad = await client(company).SubmitDrillAttempt(goes("price_objection", "先看看外观, 颜色有三种, 给您打折。"))
    assert (bad.grade, bad.grader_id) == (0, "funnel.drills")
    good = await client(company).SubmitDrillAttempt(goes("price_objection", GOOD))
    assert good.grade == 100
    with refused("PERMISSION_DENIED", "NOT_A_PARTICIPANT"):
        await client(company, "rep2").SubmitDrillAttempt(goes("price_objection", GOOD))
    with refused("INVALID_ARGUMENT", "SCENARIO_UNKNOWN"):
        await client(company).SubmitDrillAttempt(goes("competitor", "x"))
    waits = await client(company).SubmitDrillAttempt(goes("closing", "周三签合同, 本周排期。"))
    assert (waits.HasField("grade"), len(waits.grades)) == (False, 2)
    for _ in range(3):
        await client(company).SubmitDrillAttempt(goes("price_objection", "再说"))
    with refused("FAILED_PRECONDITION", "ATTEMPTS_USED_UP"):
        await client(company).SubmitDrillAttempt(goes("price_objection", GOOD))
    assert (await balance(company)).balance == 0, "half of the drill is not passed"

    def grade(etag: str, *given: tuple[str, float]) -> pb.GradeDrillAttemptRequest:
        return pb.GradeDrillAttemptRequest(
            request_id=rid(),
            attempt_id=waits.id,
            etag=etag,
            grades=[pb.RubricGrade(criterion_key=key, grade=value) for key, value in given],
            comment="再稳一点",
        )

    [open_one] = (
        await boss.ListDrillAttempts(pb.ListDrillAttemptsRequest(drill_id=drill.id, ungraded_only=True))
    ).attempts
    assert open_one.id == waits.id
    with refused("INVALID_ARGUMENT", "CRITERION_UNKNOWN"):
        await boss.GradeDrillAttempt(grade(waits.etag, ("charm", 50)))
    with refused("INVALID_ARGUMENT", "RUBRIC_INCOMPLETE"):
        await boss.GradeDrillAttempt(grade(waits.etag, ("next", 50)))
    with refused("PERMISSION_DENIED"):
        await client(company, "m2", "manager").GradeDrillAttempt(grade(waits.etag, ("tone", 50)))
    with refused("ABORTED", "ETAG_MISMATCH"):
        await boss.GradeDrillAttempt(grade("nonsense", ("tone", 50)))
    graded = await boss.GradeDrillAttempt(grade(waits.etag, ("tone", 60)))
    assert (graded.grade, graded.grader_id, graded.comment) == (90, "m1", "再稳一点")
    assert (await balance(company)).balance == 10
    again = await boss.GradeDrillAttempt(grade(graded.etag, ("tone", 100)))
    assert again.grade == 100
    assert (await balance(company)).balance == 10, "a drill is rewarded once"

    # In real talk the price was dodged in 16 of 20 before, and in 4 of 20 after.
    talks, hearings = [], []
    for number in range(40):
        after = number >= 20
        talk = transcript("rep1", moment(date(2026, 1, 20) if after else date(2025, 12, 20), 9), number)
        talks.append(talk)
        if number % 20 < (4 if after else 16):
            hearings.append(hearing(talk["id"], "risk", "avoids_price_objection"))
    await remember(company, "transcript", talks)
    await remember(company, "hearing", hearings)
    await live.move_to(moment(date(2026, 2, 20), 9))
    seen = await boss.GetDrill(pb.GetDrillRequest(drill_id=drill.id))
    assert [(one.person_id, one.attempt_count, one.grade, one.passed) for one in seen.standings] == [
        ("rep1", 6, 100, True)
    ]
    assert seen.talk_change.value == pytest.approx(-0.6)
    assert (seen.talk_change.verdict, seen.talk_change.sample_size, seen.talk_change.method) == (
        experiments_pb2.ESTIMATE_VERDICT_LOWER,
        40,
        "newcombe",
    )
    with refused("FAILED_PRECONDITION", "DRILL_OVER"):
        await client(company).SubmitDrillAttempt(goes("closing", "x"))
    fresh = await boss.CreateDrill(wanted(start_date=day(2026, 2, 16), scenario_keys=["competitor"]))
    told = await boss.GetDrill(pb.GetDrillRequest(drill_id=fresh.id))
    assert told.talk_change.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    running = await client(company).ListDrills(pb.ListDrillsRequest(running_only=True))
    assert [one.id for one in running.drills] == [fresh.id]
    assert not (await client(company, "rep2").ListDrills(pb.ListDrillsRequest())).drills
    with refused("PERMISSION_DENIED"):
        await client(company, "rep2").GetDrill(pb.GetDrillRequest(drill_id=drill.id))
