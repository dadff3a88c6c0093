"""The loop regulates itself: every warning has an owner, an action, and a check that the action worked (S102)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import warnings_pb2 as pb
from closedloop.funnel.v1 import warnings_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_funnel.warnings.rules import KINDS, StandingWord, StateWord, WarningRules, at_least, settled

from .conftest import ACME, PROFILE, Company, remember, rid
from .raw_history import moment
from .test_performance import visit
from .test_talk import client as talks
from .test_talk import taken


@pytest.mark.mission("S102")
@pytest.mark.parametrize(
    ("state", "standing", "expected"),
    [
        ("open", "holds", "open"),
        ("open", "passed", "gone"),
        ("open", "lost", "gone"),
        ("open", "unknown", "open"),
        ("acted", "passed", "worked"),
        ("acted", "holds", "failed"),
        ("acted", "lost", "failed"),
        ("acted", "unknown", "acted"),
        ("worked", "holds", "worked"),
        ("gone", "holds", "gone"),
    ],
)
def test_an_action_worked_failed_or_cannot_be_told_yet(
    state: StateWord, standing: StandingWord, expected: StateWord
) -> None:
    assert settled(state, standing) == expected


def test_every_kind_of_the_contract_has_its_check() -> None:
    assert {pb.WarningKind.Name(number)[13:].lower() for number in pb.WarningKind.values() if number} == set(KINDS)
    with pytest.raises(ValueError, match="no check for"):
        WarningRules(kinds={"churn": KINDS["churn"]})
    assert at_least("yellow") == ["yellow", "red"]


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.WarningServiceStub:
    return company.live.stub(rpc.WarningServiceStub, person, role)


async def listed(company: Company, person: str = "ops", role: str = "operations", **asked: Any) -> list[pb.Warning]:
    return list((await client(company, person, role).ListWarnings(pb.ListWarningsRequest(**asked))).warnings)


def act(warning: pb.Warning, action: str) -> pb.RecordWarningActionRequest:
    return pb.RecordWarningActionRequest(request_id=rid(), warning_id=warning.id, etag=warning.etag, action=action)


@pytest.mark.mission("S102", "S41", "S58")
async def test_a_deal_that_sticks_is_acted_upon_and_the_check_says_whether_it_worked(company: Company) -> None:
    live, refused = company.live, company.live.refused
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    moves, stays = [await company.open(account_id=ACME, name=name) for name in ("会动的", "不动的")]
    # Five working days from Monday morning on end on Friday evening.
    await live.move_to(moment(date(2026, 1, 9), 19))
    seen = {one.subject_id: one for one in await listed(company, "lead1", "manager")}
    assert set(seen) == {moves.id, stays.id}
    one = seen[moves.id]
    assert (one.kind, one.state, one.light) == (
        pb.WARNING_KIND_STAGE_DWELL,
        pb.WARNING_STATE_OPEN,
        common_pb2.LIGHT_YELLOW,
    )
    assert (one.ownership.owner_id, one.ownership.unit_id, one.subject_name) == ("lead1", "team1", "会动的")
    assert {each.name: each.value for each in one.evidence} == {"dwell": pytest.approx(5), "limit": 5}
    assert one.task_cause_key == f"funnel.stage_dwell:{moves.id}"
    assert one.rule.rulebook == "funnel.pipelines"
    assert "商机停滞" in one.automatic_action
    assert not await listed(company, "rep2", "rep")
    assert not await listed(company, "m2", "manager")

    with refused("PERMISSION_DENIED"):
        await client(company, "m2", "manager").RecordWarningAction(act(one, "看看"))
    stale = act(one, "约客户总监周一面谈")
    stale.etag = "nonsense"
    with refused("ABORTED", "ETAG_MISMATCH"):
        await client(company, "lead1", "manager").RecordWarningAction(stale)
    acted = await client(company, "lead1", "manager").RecordWarningAction(act(one, "约客户总监周一面谈"))
    assert (acted.state, acted.action) == (pb.WARNING_STATE_ACTED, "约客户总监周一面谈")
    # Acted on Friday evening: five working days later is the next Friday evening.
    assert acted.check_time.ToDatetime().date() == date(2026, 1, 16)
    # The other one is settled on the work list of approvals.
    await live.hear(
        approvals.TaskSettled(
            task_id=rid(),
            origin="funnel",
            cause_key=f"funnel.stage_dwell:{stays.id}",
            state=tasks_pb2.TASK_STATE_DONE,
            outcome="done",
            comment="已电话督促",
            settled_by="lead1",
        )
    )
    [other] = await listed(company, subject_id=stays.id)
    assert (other.state, other.action) == (pb.WARNING_STATE_ACTED, "done · 已电话督促")
    # The pace is half a day more, and the director's.
    await live.move_to(moment(date(2026, 1, 12), 15))
    pace = await listed(company, kinds=[pb.WARNING_KIND_STAGE_PACE])
    assert {(each.ownership.owner_id, each.light) for each in pace} == {("m1", common_pb2.LIGHT_RED)}
    assert {each.subject_id for each in pace} == {moves.id, stays.id}
    await company.climb(await company.read(moves.id), PROFILE)
    # Nobody had acted on the director's when the deal moved: next morning it is gone.
    await live.move_to(moment(date(2026, 1, 13), 7))
    after = {each.subject_id: each.state for each in await listed(company, kinds=[pb.WARNING_KIND_STAGE_PACE])}
    assert after == {moves.id: pb.WARNING_STATE_GONE, stays.id: pb.WARNING_STATE_OPEN}

    await live.move_to(moment(date(2026, 1, 19), 9))
    worked = await client(company, "lead1", "manager").GetWarning(pb.GetWarningRequest(warning_id=one.id))
    assert worked.state == pb.WARNING_STATE_WORKED
    assert "need" in worked.outcome[0].text
    failed = await client(company).GetWarning(pb.GetWarningRequest(warning_id=other.id))
    assert (failed.state, failed.outcome[0].name) == (pb.WARNING_STATE_FAILED, "dwell")
    assert failed.outcome[0].value > 9
    asked = [each.content for each in await live.told(approvals.TaskRequested)]
    [above] = [each for each in asked if each.warning == "funnel.warning_failed"]
    assert (above.assignee_role, above.ownership.owner_id, above.opportunity_id) == (
        "manager_of_owner",
        "lead1",
        stays.id,
    )
    assert "已电话督促" in above.description
    said = {(each.cause_key, each.reason) for each in await live.told(approvals.TaskWithdrawn)}
    assert (failed.task_cause_key, approvals.WITHDRAWAL_REASON_CAUSE_HOLDS) in said, (
        "its task does not count as a success"
    )
    with refused("FAILED_PRECONDITION", "WARNING_SETTLED"):
        await client(company, "lead1", "manager").RecordWarningAction(act(worked, "再看看"))
    with refused("NOT_FOUND", "WARNING_UNKNOWN"):
        await client(company).GetWarning(pb.GetWarningRequest(warning_id=ACME))
    # The page of the month, two at a time.
    first = await client(company).ListWarnings(pb.ListWarningsRequest(page_size=3))
    rest = await client(company).ListWarnings(pb.ListWarningsRequest(page_size=3, page_token=first.next_page_token))
    assert len({each.id for each in (*first.warnings, *rest.warnings)}) == 4
    red = await listed(company, least_light=common_pb2.LIGHT_RED)
    assert {each.kind for each in red} == {pb.WARNING_KIND_STAGE_PACE}
    settled_ones = await listed(company, states=[pb.WARNING_STATE_WORKED, pb.WARNING_STATE_FAILED], owner_id="lead1")
    assert {each.id for each in settled_ones} == {one.id, other.id}
    # The director leaves: the next morning what he left unsettled is his own manager's.
    await live.hear(targets.PersonChanged(person_id="m1", unit_id="east", name="总监", active=False, version=10**6))
    await live.move_to(moment(date(2026, 1, 20), 7))
    [left] = await listed(company, kinds=[pb.WARNING_KIND_STAGE_PACE], states=[pb.WARNING_STATE_OPEN])
    assert (left.subject_id, left.ownership.owner_id, left.ownership.unit_id) == (stays.id, "boss", "team1")


@pytest.mark.mission("S102", "S45", "S48", "S57", "S61")
async def test_sellers_customers_and_stars_are_warned_of_and_checked_by_their_own_figures(company: Company) -> None:
    live = company.live
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    weeks = (date(2026, 1, 5), date(2026, 1, 12))
    await remember(
        company,
        "activity",
        [visit("rep1", week, number, done=number < 16) for week in weeks for number in range(20)],
    )
    leaving = taken(company, "c:我们下个月就不续约了，准备换供应商。", "s:能说说原因吗？", account_id=ACME)
    await talks(company).CreateTranscript(leaving)
    [churn] = await listed(company, "rep1", "rep")
    assert (churn.kind, churn.subject_id, churn.ownership.owner_id) == (pb.WARNING_KIND_CHURN, ACME, "rep1")
    assert churn.subject_name == "阿克姆"
    await client(company, "rep1", "rep").RecordWarningAction(act(churn, "上门拜访, 谈续约条件"))

    await live.move_to(moment(date(2026, 1, 19), 10))
    [visits] = await listed(company, kinds=[pb.WARNING_KIND_VISIT_COMPLETION])
    assert (visits.subject_id, visits.subject_name, visits.ownership.owner_id) == ("rep1", "张三", "lead1")
    assert (visits.light, visits.evidence[0].value) == (common_pb2.LIGHT_RED, 0.8)
    feedback = await listed(company, kinds=[pb.WARNING_KIND_FEEDBACK_COLLECTED])
    assert [(each.automatic_action, each.task_cause_key) for each in feedback] == [("revisit_list", "")]
    await client(company, "lead1", "manager").RecordWarningAction(act(visits, "面谈, 排下周拜访"))
    # Nobody has talked to the customer since: it cannot be told, and is asked again.
    [again] = await listed(company, kinds=[pb.WARNING_KIND_CHURN])
    assert again.state == pb.WARNING_STATE_ACTED
    assert again.check_time.ToDatetime() > live.now.replace(tzinfo=None)
    happy = taken(company, "c:新方案很好，我们继续合作。", "s:谢谢，我周三带合同来。", account_id=ACME)
    await talks(company).CreateTranscript(happy)
    await remember(
        company, "activity", [visit("rep1", date(2026, 1, 26), number, done=number < 19) for number in range(20)]
    )
    await live.move_to(moment(date(2026, 2, 3), 9))
    states = {each.kind: each for each in await listed(company, states=[pb.WARNING_STATE_WORKED])}
    assert set(states) == {pb.WARNING_KIND_CHURN, pb.WARNING_KIND_VISIT_COMPLETION}
    assert states[pb.WARNING_KIND_VISIT_COMPLETION].outcome[0].value == 0.95
    assert f"funnel.visit_completion:rep1:{weeks[1]}" in {
        each.cause_key for each in await live.told(approvals.TaskWithdrawn)
    }
