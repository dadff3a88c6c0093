"""The grading standard, and each account's grade with its reason (S29)."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.interval_pb2 import Interval
from google.type.money_pb2 import Money
from pydantic import ValidationError

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, potential_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import grades_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id
from closedloop_customers.grades import rules, store
from closedloop_customers.grades.rules import Condition, Grade, GradeRules

from .conftest import House
from .test_health import fill

RULES = GradeRules()


@pytest.mark.parametrize(
    ("measures", "kind", "grade", "reason"),
    [
        ({"revenue": 1_000_000}, "", "A", "近 365 天成交额不低于 1,000,000 元"),
        ({"revenue": 999_999}, "", "B", "近 365 天成交额不低于 200,000 元"),
        ({"revenue": 200_000}, "government.city", "A", "且客户类型为 key_account、government"),
        ({"potential": 60, "deals": 1}, "", "A", "潜力分不低于 60且近 730 天成交不少于 1 单"),
        ({"potential": 60}, "", "B", "潜力分不低于 40"),
        ({"employees": 1000, "interactions": 1}, "", "B", "员工不少于 1,000 人"),
        ({"employees": 1000}, "", "D", "不满足更高等级的任何条件"),
        ({"interactions": 1}, "", "C", "近 90 天有效互动不少于 1 次"),
        ({}, "governmental", "D", "不满足"),
    ],
)
@pytest.mark.mission("S29")
def test_a_newcomer_can_read_why(measures: Any, kind: str, grade: str, reason: str) -> None:
    verdict = rules.grade(measures, kind, RULES)
    assert verdict.grade == grade
    assert reason in verdict.explanation


def test_what_lifts_it_is_said() -> None:
    measures: Any = {"revenue": 150_000.0, "interactions": 2.0}
    said = rules.to_next(rules.grade(measures, "", RULES), measures, "", RULES)
    assert said[0] == "升至 B 级：近 365 天成交额不低于 200,000 元（现为 150000）"
    assert len(said) == 3
    assert rules.to_next(rules.grade({"revenue": 1e7}, "", RULES), {"revenue": 1e7}, "", RULES) == []


@pytest.mark.mission("S29")
async def test_a_grade_follows_what_is_corrected_of_the_account(house: House) -> None:
    profile = accounts_pb2.AccountProfile(name="上海华东精密")
    created = accounts_pb2.CreateAccountRequest(request_id=new_id(), profile=profile)
    account = await house.rep1.accounts.CreateAccount(created)
    won = funnel.OpportunityWon(
        opportunity_id=new_id(),
        version=1,
        account_id=account.id,
        amount=Money(currency_code="CNY", units=250_000),
        close_date=Date(year=2026, month=1, day=4),
    )
    await house.live.hear(won, won.opportunity_id, source="funnel")
    before = await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    assert before.grade == "B"
    after = await house.rep1.accounts.UpdateAccount(
        accounts_pb2.UpdateAccountRequest(
            request_id=new_id(),
            id=account.id,
            etag=before.etag,
            profile=accounts_pb2.AccountProfile(customer_type="key_account"),
            update_mask=FieldMask(paths=["customer_type"]),
            business_action=accounts_pb2.BusinessAction(kind="visit"),
        )
    )
    assert after.grade == "A"
    assert after == await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    # A source adds what is missing when it first names an account, and corrects it from then on.
    told = accounts_pb2.AccountRow(
        profile=accounts_pb2.AccountProfile(name="上海华东精密", customer_type="enterprise"),
        provenance=Provenance(source="erp", source_id="1"),
    )
    for _ in range(2):
        bulk = accounts_pb2.BulkUpsertAccountsRequest(request_id=new_id(), rows=[told], attach_duplicates=True)
        summary = await house.ops.accounts.BulkUpsertAccounts(bulk)
    assert summary.updated == 1
    assert (await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))).grade == "B"


@pytest.mark.parametrize(
    "grades",
    [
        {},
        {"A": Grade(title="x", conditions=(Condition(at_least={"deals": 1}),))},
        {"A": Grade(title="x"), "B": Grade(title="y")},
        {"A B": Grade(title="x")},
    ],
)
def test_a_standard_that_leaves_somebody_out_is_refused(grades: Any) -> None:
    with pytest.raises(ValidationError):
        GradeRules(grades=grades)
    with pytest.raises(ValidationError, match="asks for something"):
        Condition()


def test_grades_stand_by_rank_and_name_in_whatever_order_they_are_told() -> None:
    some = (Condition(at_least={"deals": 1}),)
    told = {
        "D": Grade(title="w"),
        "S": Grade(title="x", conditions=some),
        "A": Grade(title="y", rank=1, conditions=some),
    }
    assert list(GradeRules(grades=told).grades) == ["S", "A", "D"]
    assert list(GradeRules(grades=dict(reversed(told.items()))).grades) == ["S", "A", "D"]


async def account(house: House, name: str, **profile: Any) -> accounts_pb2.Account:
    made: accounts_pb2.Account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=new_id(), profile=accounts_pb2.AccountProfile(name=name, **profile)
        )
    )
    return made


@pytest.mark.mission("S29")
async def test_a_deal_makes_a_grade_and_every_change_is_kept(house: House, rid: Any) -> None:
    one = await account(house, "上海华东精密", customer_type="government")
    with house.live.refused("FAILED_PRECONDITION", "NOT_GRADED"):
        await house.rep1.grades.GetGrade(pb.GetGradeRequest(account_id=one.id))
    summary = await house.m1.grades.EvaluateGrades(pb.EvaluateGradesRequest(request_id=rid()))
    assert (summary.read, summary.created, summary.unchanged) == (1, 1, 0)
    first = await house.rep1.grades.GetGrade(pb.GetGradeRequest(account_id=one.id))
    assert first.grade == "D"
    assert "升至 C 级：近 730 天成交不少于 1 单（现为 0）" in first.to_next_grade
    won = funnel.OpportunityWon(
        opportunity_id=new_id(),
        version=1,
        account_id=one.id,
        amount=Money(currency_code="CNY", units=250_000),
        close_date=Date(year=2026, month=1, day=4),
    )
    await house.live.hear(won, won.opportunity_id, source="funnel")
    graded = await house.rep1.grades.GetGrade(pb.GetGradeRequest(account_id=one.id))
    assert graded.grade == "A"
    assert graded.to_next_grade == []
    assert graded.rule.rulebook == "customers.grades"
    assert graded.rule.rule == "grades.A.conditions.1"
    held = [dimension for dimension in graded.dimensions if dimension.points == 100]
    assert held[0].input.value == 250_000
    assert [(c.from_grade, c.to_grade, c.cause) for c in graded.history] == [
        ("D", "A", "event:OpportunityWon"),
        ("", "D", "request"),
    ]
    told = (await house.live.told(events.AccountChanged))[-1]
    assert (told.account_id, told.grade) == (one.id, "A")
    listed = await house.rep1.accounts.ListAccounts(accounts_pb2.ListAccountsRequest(grades=["A"]))
    assert [found.id for found in listed.accounts] == [one.id]
    standard = await house.rep9.grades.GetGradingStandard(pb.GetGradingStandardRequest())
    assert [(g.grade, g.accounts) for g in standard.grades] == [("A", 1), ("B", 0), ("C", 0), ("D", 0)]
    assert "近 365 天成交额不低于 1,000,000 元" in standard.grades[0].conditions
    assert standard.grades[0].treatment
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.grades.GetGrade(pb.GetGradeRequest(account_id=one.id))
    # A year later the deal counts no more; nobody has to ask.
    await house.live.hear(targets.OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True, version=9))
    await house.live.db.all("DELETE FROM timer WHERE kind <> 'customers.grading_daily' RETURNING kind")
    await house.live.db.all("UPDATE timer SET at = at + interval '400 days', next_at = next_at + interval '400 days' "
                            "RETURNING kind")  # fmt: skip
    await house.live.advance(days=402)
    faded = await house.rep1.grades.GetGrade(pb.GetGradeRequest(account_id=one.id))
    assert (faded.grade, faded.history[0].cause) == ("C", "daily")


@pytest.mark.mission("S29")
async def test_sql_and_rules_come_to_the_same_grade(house: House, rid: Any) -> None:
    ids = await fill(house, 400)
    dice = random.Random(3)
    await house.live.db.all(
        """UPDATE account SET profile = profile || jsonb_build_object('employee_count', e, 'customer_type', t)
             FROM unnest(%(ids)s::uuid[], %(e)s::int[], %(t)s::text[]) AS f (id, e, t) WHERE account.id = f.id
           RETURNING account.id""",
        {
            "ids": ids,
            "e": [dice.choice((0, 50, 1000, 5000)) for _ in ids],
            "t": [dice.choice(("", "government", "governmental", "key_account.x", "enterprise")) for _ in ids],
        },
    )
    await house.live.db.all("UPDATE account_deal SET amount_minor = amount_minor * 200 RETURNING 1")
    summary = await house.ops.grades.EvaluateGrades(pb.EvaluateGradesRequest(request_id=rid()))
    assert (summary.read, summary.created) == (400, 400)
    params = store.parameters(RULES, house.live.now, None)
    kept = {row["id"]: row["grade"] for row in await house.live.db.all("SELECT id, grade FROM account")}
    for row in await house.live.db.all(store.measured(None), params):
        measures: Any = {name: float(row[name]) for name in rules.SENTENCES}
        assert kept[row["id"]] == rules.grade(measures, row["customer_type"], RULES).grade
    assert set(kept.values()) == {"A", "B", "C", "D"}
    again = await house.ops.grades.EvaluateGrades(pb.EvaluateGradesRequest(request_id=rid()))
    assert again.unchanged == 400
    foreign = await house.m9.grades.EvaluateGrades(pb.EvaluateGradesRequest(request_id=rid(), account_ids=ids[:1]))
    assert foreign.errors[0].reason == "OUT_OF_SCOPE"


@pytest.mark.mission("S29", "U19")
async def test_grades_are_held_against_what_was_won_after(house: House, rid: Any) -> None:
    ids = await fill(house, 400)
    await house.live.db.all("UPDATE account_deal SET amount_minor = amount_minor * 1000 RETURNING 1")
    await house.ops.grades.EvaluateGrades(pb.EvaluateGradesRequest(request_id=rid()))
    graded = {row["id"]: row["grade"] for row in await house.live.db.all("SELECT id, grade FROM account")}
    start = house.live.now
    await house.live.db.all("DELETE FROM account_deal RETURNING 1")
    best = [id_ for id_ in ids if graded[id_] == "A"]
    rest = [id_ for id_ in ids if graded[id_] != "A"]
    good = {*best[: len(best) * 3 // 4], *rest[: len(rest) // 10]}
    await house.live.advance(days=40)
    outcomes = [
        potential_pb2.AccountOutcome(
            provenance=Provenance(source="erp", source_id=id_),
            account_id=id_,
            kind=potential_pb2.OUTCOME_KIND_WON if id_ in good else potential_pb2.OUTCOME_KIND_LOST,
            outcome_time=protos.timestamp(start + timedelta(days=20)),
        )
        for id_ in ids
    ]
    request = potential_pb2.BulkRecordOutcomesRequest(request_id=rid(), outcomes=outcomes)
    assert (await house.ops.potential.BulkRecordOutcomes(request)).created == 400
    # Grades of today say nothing about what stood then.
    await house.live.db.all("UPDATE account SET grade = 'D' RETURNING 1")
    span = Interval(start_time=protos.timestamp(start))
    measured = await house.ops.grades.GetGradeAccuracy(pb.GetGradeAccuracyRequest(interval=span))
    found = measured.accuracy
    of_best = len([id_ for id_ in best if id_ in good])
    assert found.precision_ratio == pytest.approx(of_best / len(best))
    assert found.recall_ratio == pytest.approx(of_best / len(good))
    assert found.top_decile_lift == pytest.approx(of_best / len(best) / (len(good) / 400))
    assert found.top_decile_lift > 1.5
    assert found.enough_data
    assert [one.grade for one in measured.grades] == ["A", "B", "C", "D"]
    assert sum(one.accounts for one in measured.grades) == 400
    assert (measured.grades[0].accounts, measured.grades[0].good) == (len(best), of_best)
    nobody = await house.m9.grades.GetGradeAccuracy(pb.GetGradeAccuracyRequest(interval=span))
    assert not nobody.accuracy.enough_data
    with house.live.refused("INVALID_ARGUMENT", "INTERVAL_INVALID"):
        await house.ops.grades.GetGradeAccuracy(
            pb.GetGradeAccuracyRequest(interval=Interval(end_time=protos.timestamp(start)))
        )
    with house.live.refused("PERMISSION_DENIED", "ROLE_NOT_GRANTED"):
        await house.rep1.grades.GetGradeAccuracy(pb.GetGradeAccuracyRequest(interval=span))
