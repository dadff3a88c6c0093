"""Twelve abilities: each person's growth, each team's heat map, measured where there is enough to say (S52, S89)."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import abilities_pb2 as pb
from closedloop.funnel.v1 import abilities_pb2_grpc as rpc
from closedloop.funnel.v1 import experiments_pb2
from closedloop_funnel.abilities import certainty
from closedloop_funnel.abilities.rules import ABILITIES, AbilityRules, Piece, behind, light, score
from closedloop_funnel.talk.rules import TalkRules

from .conftest import Company, day, remember, rid
from .raw_history import moment
from .talks import hearing, transcript


@pytest.mark.mission("S89")
def test_there_are_twelve_and_each_is_heard_somewhere() -> None:
    assert len(ABILITIES) == 12
    talk = TalkRules()
    assert {key for one in ABILITIES.values() for key in one.risks} == set(talk.risks)
    assert {key for one in ABILITIES.values() for key in one.objections} == set(talk.objections)
    assert all(one.risks for one in ABILITIES.values())


@pytest.mark.mission("S89")
def test_a_score_is_made_of_parts_with_enough_behind_them() -> None:
    rules = AbilityRules()
    talk, judged = Piece("talk", 80.0, 5), Piece("assessment", 40.0, 1, [40.0])
    assert score(rules, [talk]) == 80
    assert score(rules, [Piece("talk", 80.0, 4)]) is None, "four talks say nothing"
    assert score(rules, [talk, Piece("drill", 50.0, 1)]) == pytest.approx(70)
    assert score(rules, [Piece("lesson", 100.0, 3)]) is None, "a tenth of the weight is too little"
    assert score(rules, [Piece("lesson", 100.0, 3), judged]) == pytest.approx(64)
    assert [light(rules, value, 79, 80, 5) for value in (75, 70, 60, None)] == ["none", "yellow", "red", "none"]
    assert light(rules, 60, 80, 80, 5) == "none", "the company's level lies within its interval"
    assert light(rules, 0.0, 1.0, 80, behind(rules, [Piece("drill", 0.0, 1), Piece("talk", 0.0, 4)])) == "none", (
        "one drill lights nothing"
    )
    assert light(rules, 0.0, 1.0, 80, behind(rules, [Piece("drill", 0.0, 1), Piece("lesson", 0.0, 4)])) == "red"
    with pytest.raises(ValueError, match="red begins"):
        AbilityRules(weak=30, weaker=20)


@pytest.mark.mission("S89")
@pytest.mark.parametrize("talks", [5, 10, 20])
def test_who_is_as_good_as_all_is_seldom_lit(talks: int) -> None:
    """All at the company's 90: the point alone lit 42 of 100 cells of five talks, 26 of ten, 14 of twenty."""
    rules, chance, lit = AbilityRules(), random.Random(5), 0
    for _ in range(1000):
        parts = [Piece("talk", 100 * sum(chance.random() < 0.9 for _ in range(talks)) / talks, talks)]
        told = certainty.of_score(rules, parts)
        lit += light(rules, told.value, told.high, 90, behind(rules, parts)) != "none"
    assert lit / 1000 < 0.1


@pytest.mark.mission("S89")
def test_a_score_says_how_sure_it_is() -> None:
    rules = AbilityRules()
    alone = certainty.of_score(rules, [Piece("talk", 80.0, 10)])
    # Of one part the interval is that part's: Wilson's for 8 of 10.
    assert (alone.low, alone.high) == (pytest.approx(49.02, abs=0.01), pytest.approx(94.33, abs=0.01))
    assert (alone.sample_size, alone.method) == (10, "mover, wilson, student_t")
    sure = certainty.of_score(rules, [Piece("talk", 80.0, 1000)])
    assert (sure.low, sure.high) == (pytest.approx(77.4, abs=0.1), pytest.approx(82.4, abs=0.1))
    once = certainty.of_score(rules, [Piece("talk", 80.0, 1000), Piece("assessment", 80.0, 1, [80.0])])
    assert once.low < 60, "one judgement alone may be anything"
    several = certainty.of_score(rules, [Piece("talk", 80.0, 1000), Piece("assessment", 80.0, 4, [78, 80, 80, 82.0])])
    assert several.low > 77
    nothing = certainty.of_score(rules, [Piece("talk", 0.0, 4)])
    assert (nothing.HasField("value"), nothing.verdict) == (False, experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY)
    assert nothing.explanation == "too little behind it: talk 4"
    poor = certainty.of_score(rules, [Piece("talk", 20.0, 10)])
    assert certainty.of_change(poor, alone).verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert certainty.of_change(alone, sure).verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    assert certainty.of_change(nothing, sure).verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY


@pytest.mark.mission("S89")
def test_the_interval_holds_what_it_promises() -> None:
    """Of 500 drawn sellers whose talk succeeds in 70 of 100 and whose deals in 40, 95 of 100 intervals hold the true score."""
    rules, draw = AbilityRules(), random.Random(7)
    truth = (0.4 * 70 + 0.15 * 40) / 0.55
    held = 0
    for _ in range(500):
        parts = [
            Piece("talk", 100 * sum(draw.random() < 0.7 for _ in range(20)) / 20, 20),
            Piece("win_rate", 100 * sum(draw.random() < 0.4 for _ in range(8)) / 8, 8),
        ]
        found = certainty.of_score(rules, parts)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 500 <= 0.99


def client(company: Company, person: str = "m1", role: str = "manager") -> rpc.AbilityServiceStub:
    return company.live.stub(rpc.AbilityServiceStub, person, role)


@pytest.mark.mission("S89", "S52")
async def test_growth_is_seen_month_by_month_and_weak_spots_on_the_map(company: Company) -> None:
    live, refused = company.live, company.live.refused
    talks, heard = [], []
    # rep1 dodges the price in 8 of 10 in January and in 2 of 10 in February; rep2 never does.
    for month, dodged in ((1, 8), (2, 2)):
        for number in range(10):
            for owner in ("rep1", "rep2"):
                talk = transcript(owner, moment(date(2026, month, 12), 9), number)
                talks.append(talk)
                if owner == "rep1" and number < dodged:
                    heard.append(hearing(talk["id"], "risk", "avoids_price_objection"))
    await remember(company, "transcript", talks)
    await remember(company, "hearing", heard)
    live.process.time.stop_at(moment(date(2026, 2, 28), 9))
    record = await client(company, "rep1", "rep").GetGrowthRecord(pb.GetGrowthRecordRequest())
    assert len(record.abilities) == 12
    price: Any = {one.ability_key: one for one in record.abilities}["price"]
    assert (price.name, price.score, price.score_change) == ("价格谈判", 50, 60)
    assert [(one.month, one.score, one.evidence_count) for one in price.points] == [
        (day(2026, 1, 1), 20, 10),
        (day(2026, 2, 1), 80, 10),
    ]
    assert [(one.name, one.value, one.text) for one in price.points[0].parts] == [("talk", 20, "10 cases")]
    assert (price.estimate.sample_size, price.points[0].estimate.low) == (20, pytest.approx(5.67, abs=0.01))
    assert (price.change.value, price.change.verdict) == (60, experiments_pb2.ESTIMATE_VERDICT_HIGHER)
    product: Any = {one.ability_key: one for one in record.abilities}["terms"]
    assert product.change.verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    with refused("PERMISSION_DENIED"):
        await client(company, "rep2", "rep").GetGrowthRecord(pb.GetGrowthRecordRequest(person_id="rep1"))

    heat = await client(company, "boss", "executive").GetAbilityHeatMap(pb.GetAbilityHeatMapRequest(unit_id="co"))
    cells = {(one.group_key, one.ability_key): one for one in heat.cells}
    assert len(cells) == 24
    assert (cells["rep1", "price"].score, cells["rep1", "price"].light) == (50, common_pb2.LIGHT_RED)
    assert (cells["rep2", "price"].score, cells["rep2", "price"].light) == (100, common_pb2.LIGHT_NONE)
    assert cells["rep1", "product"].light == common_pb2.LIGHT_NONE
    assert all(one.estimate.method or one.estimate.explanation for one in heat.cells)
    mine = await client(company).GetAbilityHeatMap(pb.GetAbilityHeatMapRequest(by_unit=True))
    assert {(one.group_key, one.group_name) for one in mine.cells} == {("team1", "一队")}
    with refused("PERMISSION_DENIED"):
        await client(company).GetAbilityHeatMap(pb.GetAbilityHeatMapRequest(unit_id="north"))
    with refused("NOT_FOUND", "UNIT_UNKNOWN"):
        await client(company).GetAbilityHeatMap(pb.GetAbilityHeatMapRequest(unit_id="moon"))

    def judge(**fields: Any) -> pb.AssessAbilityRequest:
        asked = {"person_id": "rep1", "ability_key": "price", "score": 90, "comment": "陪访两次, 回应到位", **fields}
        return pb.AssessAbilityRequest(request_id=rid(), **asked)

    with refused("INVALID_ARGUMENT", "ABILITY_UNKNOWN"):
        await client(company).AssessAbility(judge(ability_key="magic"))
    with refused("PERMISSION_DENIED"):
        await client(company, "m2").AssessAbility(judge())
    with refused("PERMISSION_DENIED", "OWN_ASSESSMENT"):
        await client(company).AssessAbility(judge(person_id="m1"))
    judged = await client(company).AssessAbility(judge())
    after = {one.ability_key: one for one in judged.abilities}["price"]
    # Talk weighs 0.4 and judgement 0.15: February (0.4 x 80 + 0.15 x 90) / 0.55.
    assert after.points[-1].score == pytest.approx(82.727, abs=0.001)
    assert [one.name for one in after.points[-1].parts] == ["assessment", "talk"]
