"""The four thresholds of the documents with their colours and consequences, and dependence on stars (S57-S61)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval
from psycopg.types.json import Jsonb

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import experiments_pb2, proposals_pb2, proposals_pb2_grpc, surveys_pb2, surveys_pb2_grpc
from closedloop.funnel.v1 import performance_pb2 as pb
from closedloop.funnel.v1 import performance_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.ids import new_id
from closedloop_funnel.opportunities import store
from closedloop_funnel.performance.rules import (
    METRICS,
    MetricWord,
    PerformanceRules,
    colour,
    dependence,
    follows,
    gini,
    runs,
    without_first,
)

from .conftest import ACME, NORTH, PROFILE, Company, cny, day, matrix, remember, rid
from .raw_history import History, moment

WEEK1, WEEK2 = date(2026, 1, 5), date(2026, 1, 12)


@pytest.mark.mission("S57", "S58", "S59", "S60")
@pytest.mark.parametrize(
    ("metric", "value", "weeks", "light"),
    [
        ("visit_completion", 0.95, 0, "none"),
        ("visit_completion", 0.949, 0, "blue"),
        ("visit_completion", 0.85, 0, "blue"),
        ("visit_completion", 0.849, 1, "yellow"),
        ("visit_completion", 0.849, 2, "red"),
        ("stage_pace", 5.5, 0, "none"),
        ("stage_pace", 5.6, 0, "blue"),
        ("stage_pace", 7.2, 0, "blue"),
        ("stage_pace", 7.3, 9, "yellow"),
        ("proposals_made", 0.88, 0, "none"),
        ("proposals_made", 0.87, 0, "blue"),
        ("proposals_made", 0.60, 3, "yellow"),
        ("feedback_collected", 0.90, 0, "none"),
        ("feedback_collected", 0.43, 0, "blue"),
        ("feedback_collected", 0.42, 1, "yellow"),
    ],
)
def test_each_metric_has_its_colours(metric: MetricWord, value: float, weeks: int, light: str) -> None:
    assert colour(METRICS[metric], value, weeks) == light


@pytest.mark.mission("S57", "S58", "S59", "S60")
def test_the_table_of_the_documents_is_the_default() -> None:
    table = {key: (rule.benchmark, rule.healthy, rule.consequence) for key, rule in PerformanceRules().metrics.items()}
    assert table == {
        "visit_completion": (0.82, 0.95, "interview"),
        "stage_pace": (7.2, 5.5, "regional_director"),
        "proposals_made": (0.61, 0.88, "senior_consultant"),
        "feedback_collected": (0.43, 0.90, "revisit_list"),
    }
    visits = METRICS["visit_completion"]
    assert runs(visits, [0.8, None, 0.84, 0.9, 0.7]) == [1, 0, 2, 0, 1], "a week without visits breaks no run"
    assert [follows(visits, light) for light in ("blue", "yellow", "red")] == [False, False, True]


def client(company: Company, person: str = "boss", role: str = "executive") -> rpc.PerformanceServiceStub:
    return company.live.stub(rpc.PerformanceServiceStub, person, role)


def visit(owner: str, begins: date, number: int, done: bool, feedback: str = "") -> dict[str, Any]:
    at = moment(begins, 9) + timedelta(minutes=number)
    return {
        "id": new_id(),
        "version": 1,
        "kind": "visit",
        "state": "done" if done else "planned",
        "owner_id": owner,
        "unit_id": {"rep1": "team1", "rep2": "north", "eng1": "co"}[owner],
        "source": "crm",
        "account_id": NORTH if owner == "rep2" else ACME,
        "contact_ids": [],
        "participant_ids": [],
        "subject": "",
        "planned_from": at,
        "planned_to": at + timedelta(hours=1),
        "started_at": at if done else None,
        "at": at,
        "source_id": "",
        "brought_by": "",
        "content": "",
        "attitude_before": "",
        "attitude_after": "",
        "next_step": "",
        "actions": [],
        "action_unit_keys": [],
        "script_version": "",
        "customer_feedback": feedback,
        "authenticity": "unchecked",
        "effective": done,
        "after_close": False,
        "cancel_reason": "",
        "custom_fields": {},
        "updated_at": at,
    }


@pytest.mark.mission("S57", "S60", "S17")
async def test_two_weeks_under_85_percent_are_red_and_an_interview(company: Company) -> None:
    live = company.live
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    share = {("rep1", WEEK1): 16, ("rep1", WEEK2): 16, ("rep2", WEEK1): 16, ("rep2", WEEK2): 19, ("eng1", WEEK2): 18}
    await remember(
        company,
        "activity",
        [
            visit(owner, week, number, done=number < done, feedback="响应快" if owner == "rep2" and number < 18 else "")
            for (owner, week), done in share.items()
            for number in range(20)
        ],
    )
    await live.move_to(moment(date(2026, 1, 19), 8))
    report = await client(company).GetPerformanceReport(
        pb.GetPerformanceReportRequest(by_person=True, metric_keys=["visit_completion"])
    )
    seen = {
        (one.group_key, one.week.day): (
            one.value,
            common_pb2.Light.Name(one.light)[6:],
            one.weeks_beyond,
            one.consequence,
        )
        for one in report.metrics
    }
    assert seen == {
        ("rep1", 5): (0.8, "YELLOW", 1, ""),
        ("rep1", 12): (0.8, "RED", 2, "interview"),
        ("rep2", 5): (0.8, "YELLOW", 1, ""),
        ("rep2", 12): (0.95, "NONE", 0, ""),
        ("eng1", 12): (0.9, "BLUE", 0, ""),
    }
    assert (report.metrics[0].benchmark, report.metrics[0].healthy, report.metrics[0].sample_size) == (0.82, 0.95, 20)
    tasks = await live.told(approvals.TaskRequested)
    [interview] = [one.content for one in tasks if one.content.warning == "funnel.visit_completion"]
    assert (interview.kind, interview.assignee_role, interview.subject_id) == ("interview", "manager_of_owner", "rep1")
    told = [one for one in await live.told(events.ProcessMetricsMeasured) if one.person_id == "rep1"]
    assert [one.week.day for one in told] == [5, 12]
    assert {one.key for one in told[0].metrics} == {
        *("visit_completion", "feedback_collected", "visit_quality", "authentic_contacts"),
        *("log_completeness", "new_opportunities"),
    }
    await live.advance(days=2)
    assert len(await live.told(approvals.TaskRequested)) == len(tasks), "a week is judged once"

    # Feedback: rep1 brought none, rep2 18 of 19 and 16 of 16. Next month's list has rep1's customer until it has spoken.
    by_unit = await client(company).GetPerformanceReport(
        pb.GetPerformanceReportRequest(metric_keys=["feedback_collected"])
    )
    lights = {(one.group_key, one.week.day): common_pb2.Light.Name(one.light)[6:] for one in by_unit.metrics}
    assert lights[("north", 12)] == "NONE"
    assert lights[("team1", 12)] == "YELLOW"
    assert {one.consequence for one in by_unit.metrics if one.group_key == "team1"} == {"revisit_list"}
    surveys = live.stub(surveys_pb2_grpc.SurveyServiceStub, "m1", "manager")
    february = surveys_pb2.ListRevisitsRequest(month=day(2026, 2, 9), open_only=True)
    [revisit] = (await surveys.ListRevisits(february)).revisits
    assert (revisit.account_name, revisit.ownership.owner_id, len(revisit.activity_ids)) == ("阿克姆", "rep1", 32)
    await live.move_to(moment(date(2026, 2, 3), 9))
    spoken = visit("rep1", date(2026, 2, 2), 1, done=True, feedback="满意")
    await remember(company, "activity", [spoken])
    assert not (await surveys.ListRevisits(february)).revisits
    assert (await surveys.ListRevisits(surveys_pb2.ListRevisitsRequest(month=day(2026, 2, 9)))).revisits[0].done
    with live.refused("INVALID_ARGUMENT", "METRIC_UNKNOWN"):
        await client(company).GetPerformanceReport(pb.GetPerformanceReportRequest(metric_keys=["luck"]))
    own = await client(company, "rep2", "rep").GetPerformanceReport(pb.GetPerformanceReportRequest(by_person=True))
    assert {one.group_key for one in own.metrics} == {"rep2"}


@pytest.mark.mission("S17", "S8", "S3")
async def test_what_has_no_threshold_is_measured_and_told_all_the_same(company: Company) -> None:
    live = company.live
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    good, thin, lie = (visit("rep1", WEEK1, number, done=True) for number in range(3))
    good |= {
        "content": "谈了换线时间和交付计划",
        "attitude_after": "positive",
        "next_step": "送方案",
        "customer_feedback": "好",
    }
    thin |= {"effective": False, "attitude_after": "neutral", "next_step": "再约"}
    lie |= {"authenticity": "confirmed_false", "attitude_after": "positive"}
    # Agreed on Monday for Wednesday and Tuesday: the account was spoken to on Wednesday, the other only later.
    agreed = {"kind": "call", "content": "约好下次", "attitude_after": "neutral", "next_step": "回访"}
    kept = visit("rep2", WEEK1, 0, done=True) | agreed | {"next_step_date": date(2026, 1, 7)}
    forgotten = visit("rep2", WEEK1, 5, done=True) | agreed | {"next_step_date": date(2026, 1, 6), "account_id": ACME}
    done = visit("rep2", date(2026, 1, 7), 0, done=True) | agreed
    given = [one | {"next_step_date": one.get("next_step_date")} for one in (good, thin, lie, kept, forgotten, done)]
    await remember(company, "activity", given)
    # Tuesday has nothing to be completed, Monday has a log without a next step; Saturday is no working day.
    log = {"unit_id": "north", "summary": "做完了", "plan": "", "help_needed": "", "submitted_at": moment(WEEK1, 20)}
    days = [("rep1", 5), ("rep1", 6), ("rep2", 5), ("rep2", 7), ("rep2", 10)]
    await remember(
        company, "daily_log", [log | {"person_id": who, "day": date(2026, 1, number)} for who, number in days]
    )
    await live.move_to(moment(date(2026, 1, 7), 9))
    with_report, without = [await company.open(account_id=ACME, name=name) for name in ("有分析", "没分析")]
    report = visit("rep1", date(2026, 1, 7), 30, done=True) | {"kind": "other", "action_unit_keys": ["needs_report"]}
    await remember(company, "activity", [report | {"opportunity_id": with_report.id}])
    await live.move_to(moment(date(2026, 1, 8), 9))
    for deal in (with_report, without):
        deal = await company.climb(deal, PROFILE)
        await company.climb(deal, skip_reason="客户赶时间")
    await live.move_to(moment(WEEK2, 8))

    weeks = {one.person_id: one for one in await live.told(events.ProcessMetricsMeasured) if one.week.day == 5}
    told = {who: {one.key: (round(one.value, 4), one.sample_size) for one in weeks[who].metrics} for who in weeks}
    # 100, 20 + 20, and nothing for the false one.
    assert told["rep1"]["visit_quality"] == (round(140 / 3, 4), 3)
    assert told["rep1"]["authentic_contacts"] == (round(2 / 3, 4), 3)
    assert told["rep1"]["log_completeness"] == (0.2, 5)
    assert told["rep2"]["log_completeness"] == (0.4, 5)
    assert told["rep2"]["follow_up_on_time"] == (0.5, 2)
    assert told["rep1"]["needs_diagnosed"] == (0.5, 2)
    assert told["rep1"]["new_opportunities"] == (2, 2)
    assert told["rep2"]["new_opportunities"] == (0, 0)
    plain = {one.key: one for one in weeks["rep1"].metrics}["visit_quality"]
    assert (plain.light, plain.unit, plain.rule.rule) == (common_pb2.LIGHT_NONE, "{score}", "told")
    with pytest.raises(ValueError, match="sum to 1"):
        PerformanceRules(visit_parts={"effective": 1, "attitude_after": 1, "next_step": 0, "customer_feedback": 0})


@pytest.mark.mission("S58", "S59", "S40")
async def test_slow_stages_go_to_the_director_and_missing_proposals_to_a_consultant(company: Company) -> None:
    live = company.live
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    history = History()
    history.deal(date(2025, 12, 19), [8, 8], "lost")
    tx = live.process.database.transaction()
    store.add(tx, history.deals)
    store.add_moves(tx, history.moves)
    await tx.commit()

    proposals = live.stub(proposals_pb2_grpc.ProposalServiceStub, "rep1", "rep")
    with_one, without = [await company.open(account_id=ACME, name=name) for name in ("定制", "通用")]
    submit = proposals_pb2.SubmitProposalRequest(
        request_id=rid(), opportunity_id=with_one.id, title="MES 方案", custom=True,
        clauses=[proposals_pb2.ProposalClause(key="payment_terms", text="三七付款")],
    )  # fmt: skip
    made = await proposals.SubmitProposal(submit)
    for deal in (with_one, without):
        deal = await company.climb(deal, PROFILE)
        deal = await company.climb(deal, matrix())
        await company.climb(deal, skip_reason="客户已看过方案")
    heard = await proposals.RecordProposalFeedback(
        proposals_pb2.RecordProposalFeedbackRequest(
            request_id=rid(),
            proposal_id=made.id,
            etag=made.etag,
            feedback="付款方式要改",
            clauses=[
                proposals_pb2.ProposalClause(key="payment_terms", concern="要求五五"),
                proposals_pb2.ProposalClause(key="warranty", concern="质保要三年"),
            ],
        )
    )
    assert [(one.key, one.text, one.concern, one.raised) for one in heard.clauses] == [
        ("payment_terms", "三七付款", "要求五五", True),
        ("warranty", "", "质保要三年", True),
    ]
    with live.refused("ABORTED", "ETAG_MISMATCH"):
        await proposals.RecordProposalFeedback(
            proposals_pb2.RecordProposalFeedbackRequest(
                request_id=rid(), proposal_id=made.id, etag=made.etag, feedback="x"
            )
        )
    submit.request_id = rid()
    submit.submit_time.FromDatetime((live.now + timedelta(hours=1)).replace(tzinfo=None))
    with live.refused("INVALID_ARGUMENT", "TIME_IN_FUTURE"):
        await proposals.SubmitProposal(submit)
    listed = await proposals.ListProposals(proposals_pb2.ListProposalsRequest(opportunity_id=with_one.id))
    assert [one.id for one in listed.proposals] == [made.id]

    await live.move_to(moment(date(2026, 1, 12), 8))
    tasks = [one.content for one in await live.told(approvals.TaskRequested)]
    [support] = [one for one in tasks if one.warning == "funnel.proposals_made"]
    assert (support.opportunity_id, support.assignee_role) == (without.id, "role:senior_consultant")
    [slow] = [one for one in tasks if one.warning == "funnel.stage_pace" and one.subject_type == "person"]
    assert (slow.assignee_role, slow.subject_id, slow.evidence[0].value) == ("director_of_owner", "seller0", 8)
    report = await client(company).GetPerformanceReport(
        pb.GetPerformanceReportRequest(by_person=True, metric_keys=["proposals_made", "stage_pace"])
    )
    made_share = [one for one in report.metrics if one.key == "proposals_made"]
    assert [(one.value, one.sample_size, one.consequence) for one in made_share] == [(0.5, 2, "senior_consultant")]


@pytest.mark.mission("S61")
def test_inequality_is_measured_and_a_leaving_star_is_reckoned() -> None:
    assert gini([1, 1, 1, 1]) == pytest.approx(0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)
    assert gini([1, 2, 3, 4]) == pytest.approx(0.25)
    assert gini([0, 0]) is None
    rules = PerformanceRules()
    assert dependence(rules, 0.6, 0.1) == ("red", "star_share_red")
    assert dependence(rules, 0.4, 0.1) == ("yellow", "star_share")
    assert dependence(rules, 0.3, 0.5) == ("blue", "star_gini")
    assert dependence(rules, 0.3, 0.2) == ("none", "star_share")
    star = {"won_minor": 800, "ended_minor": 1000}
    others = [{"won_minor": 100, "ended_minor": 400}, {"won_minor": 100, "ended_minor": 400}]
    assert without_first([star, *others]) == 200 + 250
    assert without_first([star]) == 0


@pytest.mark.mission("S61")
async def test_dependence_on_a_star_is_shown(company: Company) -> None:
    worth = (
        ("rep1", "won", 600),
        ("rep1", "lost", 200),
        ("rep2", "won", 200),
        ("rep2", "lost", 200),
        ("eng1", "won", 100),
    )
    for owner, state, amount in worth:
        deal = await company.open("ops", "operations", owner_id=owner, amount=cny(amount))
        tx = company.live.process.database.transaction()
        tx.do(
            "UPDATE opportunity SET state = %(state)s, close_date = '2026-01-20' WHERE id = %(id)s",
            {"state": state, "id": deal.id},
        )
        await tx.commit()
    january = Interval(start_time=Timestamp(seconds=1767225600), end_time=Timestamp(seconds=1769904000))
    asked = pb.GetStarDependenceRequest(period=january)
    found = await client(company).GetStarDependence(asked)
    assert (found.seller_count, found.amount, found.light) == (3, cny(900), common_pb2.LIGHT_RED)
    star = found.top_sellers[0]
    assert (star.person_id, star.share_ratio) == ("rep1", pytest.approx(600 / 900))
    assert found.gini == pytest.approx(gini([600, 200, 100]))
    # Without the first: 300 won by the others, and his 800 at their 300 of 500.
    assert found.amount_without_first == cny(300 + 480)
    with company.live.refused("INVALID_ARGUMENT", "PERIOD_OPEN"):
        await client(company).GetStarDependence(pb.GetStarDependenceRequest(period=Interval(end_time=january.end_time)))


CLOSED = """
INSERT INTO opportunity
SELECT (jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid(), 'owner_id', %(owner)s::text, 'state',
        CASE WHEN n <= %(won)s::int THEN 'won' ELSE 'lost' END, 'close_date', '2026-01-20', 'customer_type', %(type)s::text,
        'product_ids', %(products)s::jsonb))).*
  FROM opportunity o, generate_series(1, %(ended)s::int) AS n WHERE o.id = %(id)s
"""


@pytest.mark.mission("S97")
async def test_who_wins_what_with_whom_where_there_is_enough_to_say_it(company: Company) -> None:
    deal = await company.open("ops", "operations", owner_id="rep1")
    cells = (
        ("rep1", "retailer", ["mg-special"], 18, 20),
        ("rep2", "retailer", ["mg-special"], 6, 20),
        ("rep1", "dealer", ["gtx-pro", "mg-special"], 2, 4),
    )
    tx = company.live.process.database.transaction()
    for owner, type_, products, won, ended in cells:
        params = {"owner": owner, "type": type_, "products": Jsonb(products), "won": won, "ended": ended}
        tx.do(CLOSED, {**params, "id": deal.id})
    await tx.commit()
    january = Interval(start_time=Timestamp(seconds=1767225600), end_time=Timestamp(seconds=1769904000))
    asked = pb.GetWinRatesRequest(period=january, by_customer_type=True, by_product_mix=True)
    found = (await client(company).GetWinRates(asked)).win_rates
    seen = {(one.owner_id, one.customer_type): one for one in found}
    best, few = seen["rep1", "retailer"], seen["rep1", "dealer"]
    assert (best.won_count, best.lost_count, best.win_ratio.value) == (18, 2, pytest.approx(0.9))
    assert (best.difference.value, list(best.product_ids)) == (pytest.approx(0.6), ["mg-special"])
    assert best.difference.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert seen["rep2", "retailer"].difference.verdict == experiments_pb2.ESTIMATE_VERDICT_LOWER
    assert few.win_ratio.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    asked.page_size = 2
    page = await client(company).GetWinRates(asked)
    asked.page_token = page.next_page_token
    rest = await client(company).GetWinRates(asked)
    assert [*page.win_rates, *rest.win_rates] == list(found)
    # One seller is still held against the others; who sees only himself hears that it cannot be said.
    asked = pb.GetWinRatesRequest(period=january)
    asked.scope.owner_id = "rep2"
    [one] = (await client(company).GetWinRates(asked)).win_rates
    assert (one.won_count, one.difference.value) == (6, pytest.approx(6 / 20 - 20 / 24))
    [own] = (await client(company, "rep2", "rep").GetWinRates(pb.GetWinRatesRequest(period=january))).win_rates
    assert own.difference.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
