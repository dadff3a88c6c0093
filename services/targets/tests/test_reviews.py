"""The biweekly review of a supervisor, and the monthly health of targets."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Ownership
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import alarms_pb2, reviews_pb2_grpc
from closedloop.targets.v1 import reviews_pb2 as pb
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .staff import request_id
from .test_alarms import SHANGHAI, bring, listed, monday, respond, weekly
from .test_boards import in_force

UNREALISTIC, UNTRACKED = alarms_pb2.CAUSE_UNREALISTIC_TARGET, alarms_pb2.CAUSE_UNTRACKED_PROCESS


def reviews(live: Live, person: str = "ops", *roles: str) -> reviews_pb2_grpc.ReviewServiceStub:
    return live.stub(reviews_pb2_grpc.ReviewServiceStub, person, *(roles or ("operations",)))


async def packs(live: Live, who: tuple[str, ...] = ("ops", "operations"), **more: Any) -> list[pb.ReviewPack]:
    return list((await reviews(live, *who).ListReviewPacks(pb.ListReviewPacksRequest(**more))).packs)


async def whole(live: Live, pack: pb.ReviewPack, *who: str) -> pb.ReviewPack:
    return await reviews(live, *who).GetReviewPack(pb.GetReviewPackRequest(pack_id=pack.id))


def follow_up(title: str, person: str = "rep1", day: date = date(2026, 2, 6)) -> pb.FollowUp:
    return pb.FollowUp(title=title, assignee_id=person, due_date=protos.date_proto(day))


async def record(live: Live, pack: pb.ReviewPack, *who: str, **more: Any) -> pb.ReviewPack:
    request = pb.RecordReviewRequest(**{"request_id": request_id(), "pack_id": pack.id, "etag": pack.etag, **more})
    return await reviews(live, *(who or ("l-east-1", "manager"))).RecordReview(request)


@pytest.mark.mission("S7")
async def test_a_supervisors_fortnight_from_the_pack_to_what_became_of_its_tasks(company: Live) -> None:
    plan = await in_force(company)
    goals = await weekly(company, plan)
    for week in (1, 2):
        await bring(company, week, goals)
    for week in (3, 4):
        await bring(company, week, goals, rep1=0.5, rep2=1.1, rep3=0.9)
    assert [one.period.code for one in await packs(company, unit_id="east-1")] == ["2026-F01"]
    await company.move_to(monday(5, 7.5))
    assert [one.period.code for one in await packs(company, unit_id="east-1")] == ["2026-F01"]
    await company.move_to(monday(5, 8.5))
    # Every unit with a leader and somebody measured has one; the newest come first.
    newest = {one.ownership.unit_id: one for one in await packs(company, period="2026-F02")}
    assert {name: one.ownership.owner_id for name, one in newest.items()} == {
        "co": "boss", "east": "m-east", "north": "m-north",
        "east-1": "l-east-1", "east-2": "l-east-2", "north-1": "l-north-1",
    }  # fmt: skip
    assert {one.ownership.unit_id for one in await packs(company, ("m-east", "manager"))} == {
        "east",
        "east-1",
        "east-2",
    }
    assert not next(iter(newest.values())).deviations

    pack = await whole(company, newest["east-1"], "l-east-1", "manager")
    assert (pack.state, pack.period.code) == (pb.REVIEW_PACK_STATE_PREPARED, "2026-F02")
    [rep1, rep2] = pack.deviations
    assert (rep1.deviation.holder.person_id, rep2.deviation.holder.person_id) == ("rep1", "rep2")
    assert rep1.deviation.deviation_ratio == pytest.approx(-0.5, abs=0.001)
    assert rep1.deviation.period.code == "2026-F02"
    assert [one.rank for one in rep1.causes] == [1, 2, 3, 4]
    request = pb.GetReviewPackRequest(pack_id=pack.id, page_size=1)
    first = await reviews(company).GetReviewPack(request)
    request.page_token = first.next_page_token
    second = await reviews(company).GetReviewPack(request)
    assert [*first.deviations, *second.deviations] == list(pack.deviations)
    assert (len(first.deviations), second.next_page_token, pack.next_page_token) == (1, "", "")
    request.page_token = "nothing"
    with company.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await reviews(company).GetReviewPack(request)
    assert not rep2.causes
    assert (pack.progress[0].metric, pack.progress[0].period.code) == ("won_value", "2026-Q1")
    assert {one.holder.person_id or one.holder.unit_id for one in await listed(company) if one.id in pack.alarm_ids} == {
        "rep1", "rep2", "east-1",
    }  # fmt: skip
    [proposed] = pack.proposals
    assert (proposed.author_id, proposed.kind) == ("system", pb.PROPOSAL_KIND_STRATEGY)
    assert "rep1" in proposed.text
    assert "50%" in proposed.expected_effect
    east = await whole(company, newest["east"])
    assert {one.deviation.holder.unit_id or one.deviation.holder.person_id for one in east.deviations} == {
        "east-1", "east-2", "m-east",
    } - {"m-east"}  # fmt: skip
    [asked] = [one.content for one in await company.told(approvals.TaskRequested) if one.content.subject_id == pack.id]
    assert (asked.assignee_id, asked.kind) == ("l-east-1", "review")

    cause = pb.ConfirmedCause(holder_id="rep1", metric="won_value", cause=UNTRACKED, comment="no log for days")
    written = await record(
        company, pack, causes=[cause], minutes="long talk",
        proposals=[pb.ReviewProposal(kind=pb.PROPOSAL_KIND_RESOURCE, text="an engineer for the demos")],
        decisions=[pb.ReviewDecision(text="rep1 visits with the team lead")],
        follow_ups=[follow_up("visit the five largest customers"), follow_up("write the logs")],
    )  # fmt: skip
    assert (written.state, written.minutes) == (pb.REVIEW_PACK_STATE_IN_REVIEW, "long talk")
    assert (written.deviations[0].confirmed_cause, written.deviations[0].comment) == (UNTRACKED, "no log for days")
    assert [(one.kind, one.author_id) for one in written.proposals] == [
        (pb.PROPOSAL_KIND_STRATEGY, "system"),
        (pb.PROPOSAL_KIND_RESOURCE, "l-east-1"),
    ]
    assert [(one.text, one.author_id) for one in written.decisions] == [("rep1 visits with the team lead", "l-east-1")]
    assert [(one.title, one.task_state) for one in written.follow_ups] == [
        ("visit the five largest customers", "requested"),
        ("write the logs", "requested"),
    ]
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await record(company, pack, minutes="older")
    with company.refused("FAILED_PRECONDITION", "PACK_IN_USE"):
        await prepared(company, "east-1", "2026-F02")
    closed = await record(company, written, close=True, decisions=[pb.ReviewDecision(text="again in two weeks")])
    assert (closed.state, len(closed.decisions)) == (pb.REVIEW_PACK_STATE_CLOSED, 2)
    with company.refused("FAILED_PRECONDITION", "PACK_CLOSED"):
        await record(company, closed, minutes="too late")
    assert any(one.cause_key.endswith(pack.id) for one in await company.told(approvals.TaskWithdrawn))

    tasks = {one.content.title: one.content for one in await company.told(approvals.TaskRequested)}
    given = tasks["visit the five largest customers"]
    assert (given.assignee_id, given.kind, given.warning) == ("rep1", "follow_up", "targets.review_follow_up")
    settled = approvals.TaskSettled(
        task_id="task-1", origin="targets", subject_type="review_follow_up", subject_id=given.subject_id,
        state=tasks_pb2.TASK_STATE_DONE,
    )  # fmt: skip
    await company.hear(settled, given.subject_id)
    for week in (5, 6):
        await bring(company, week, goals)
    await company.move_to(monday(7, 8.5))
    [next_one] = await packs(company, unit_id="east-1", period="2026-F03")
    became = {one.title: (one.task_state, one.task_id) for one in (await whole(company, next_one)).previous_follow_ups}
    assert became == {"visit the five largest customers": ("done", "task-1"), "write the logs": ("requested", "")}
    page = await reviews(company).ListReviewPacks(pb.ListReviewPacksRequest(unit_id="east", page_size=4))
    rest = await reviews(company).ListReviewPacks(
        pb.ListReviewPacksRequest(unit_id="east", page_size=4, page_token=page.next_page_token)
    )
    starts = [protos.day(one.period.start_date) for one in (*page.packs, *rest.packs)]
    assert len(starts) == 8
    assert starts == sorted(starts, reverse=True)
    assert [one.id for one in await packs(company, state=pb.REVIEW_PACK_STATE_CLOSED)] == [pack.id]


async def prepared(live: Live, unit: str, period: str, *who: str) -> pb.ReviewPack:
    request = pb.PreparePackRequest(request_id=request_id(), unit_id=unit, period=period)
    return await reviews(live, *(who or ("ops", "operations"))).PreparePack(request)


@pytest.mark.mission("S7")
async def test_a_pack_before_its_day_and_what_is_refused(company: Live) -> None:
    plan = await in_force(company)
    goals = await weekly(company, plan)
    for week in (1, 2):
        await bring(company, week, goals)
    await bring(company, 3, goals, rep1=0.8)
    await company.move_to(monday(4))
    early = await prepared(company, "east-1", "2026-F02", "l-east-1", "manager")
    assert [one.deviation.holder.person_id for one in early.deviations] == ["rep1", "rep2"]
    await bring(company, 4, goals, rep1=0.6)
    await company.move_to(monday(5, 7.5))
    again = await prepared(company, "east-1", "2026-F02")
    assert again.id == early.id
    assert again.deviations[0].deviation.deviation_ratio == pytest.approx(-0.3, abs=0.005)
    assert len(again.proposals) == 1
    with company.refused("NOT_FOUND", "UNIT_NOT_FOUND"):
        await prepared(company, "west", "2026-F02")
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_PERIOD"):
        await prepared(company, "east", "2026-W03")
    with company.refused("FAILED_PRECONDITION", "PERIOD_AHEAD"):
        await prepared(company, "east", "2026-F20")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await prepared(company, "north-1", "2026-F02", "l-east-1", "manager")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await whole(company, again, "m-north", "manager")
    with company.refused("NOT_FOUND", "PACK_NOT_FOUND"):
        await whole(company, pb.ReviewPack(id="00000000-0000-7000-8000-000000000000"))
    stranger = pb.ConfirmedCause(holder_id="rep4", metric="won_value", cause=UNTRACKED)
    with company.refused("INVALID_ARGUMENT", "NOT_IN_PACK"):
        await record(company, again, causes=[stranger])
    with company.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await record(company, again, follow_ups=[follow_up("who?", "nobody")])
    with company.refused("INVALID_ARGUMENT", "DUE_DATE_IN_PAST"):
        await record(company, again, follow_ups=[follow_up("too late", day=date(2026, 1, 2))])
    # Nothing of what was refused stayed.
    assert (await whole(company, again)).etag == again.etag


@pytest.mark.mission("S19")
async def test_the_months_health_says_what_was_decomposed_done_and_explained(company: Live) -> None:
    plan = await in_force(company)
    goals = await weekly(company, plan)
    for week in (1, 2, 3, 4):
        await bring(company, week, goals, rep1=0.5, rep2=0.6, rep3=1.05)
    await company.move_to(monday(5))
    # Two people say why; one agrees with what was ranked first, one does not.
    low = {one.holder.person_id: one for one in await listed(company, kinds=[alarms_pb2.ALARM_KIND_LOW_ATTAINMENT])}
    assert low["rep1"].causes[0].cause == UNTRACKED
    await respond(company, low["rep1"], cause=UNTRACKED)
    await company.move_to(monday(5, 8.5))
    [pack] = await packs(company, unit_id="east-1", period="2026-F02")
    late = pb.ConfirmedCause(holder_id="rep2", metric="won_value", cause=UNREALISTIC)
    await record(company, await whole(company, pack), causes=[late])
    await company.move_to(company.now + timedelta(days=7))

    request = pb.GetHealthReportRequest()
    report = await reviews(company, "boss", "executive").GetHealthReport(request)
    assert (report.unit_id, report.period.code) == ("co", "2026-M01")
    total = report.total
    assert (total.decomposed_ratio, total.leaking_nodes) == (1, 0)
    missed = {one.key: one.figures.targets_missed for one in report.slices}
    assert set(missed) == {"east", "north"}
    assert total.targets_attributed == 2
    assert total.attribution_accuracy_ratio == 0.5
    counts = {one.cause: (one.confirmed_count, one.agreed_count) for one in total.causes}
    assert (counts[UNTRACKED], counts[UNREALISTIC]) == ((1, 1), (1, 0))
    assert 0.5 < total.attainment_ratio < 1
    assert f"{total.targets_missed - 2} of {total.targets_missed} missed targets" in " ".join(report.suggestions)
    assert not report.HasField("previous_month")

    async def by(dimension: int, **more: Any) -> dict[str, pb.HealthFigures]:
        found = await reviews(company).GetHealthReport(pb.GetHealthReportRequest(dimension=dimension, **more))
        return {one.key: one.figures for one in found.slices}

    people = await by(pb.HEALTH_DIMENSION_PERSON)
    assert people["rep1"].attainment_ratio < people["rep4"].attainment_ratio
    assert (people["rep1"].attribution_accuracy_ratio, people["rep2"].attribution_accuracy_ratio) == (1, 0)
    assert not people["rep3"].HasField("attribution_accuracy_ratio")
    assert next(iter(people)) in ("rep1", "rep2")
    assert set(await by(pb.HEALTH_DIMENSION_LEVEL)) == {"company", "region", "team", "rep"}
    assert set(await by(pb.HEALTH_DIMENSION_METRIC)) == {"won_value"}
    assert set(await by(pb.HEALTH_DIMENSION_UNIT, unit_id="east")) == {"east-1", "east-2"}
    first = await reviews(company).GetHealthReport(
        pb.GetHealthReportRequest(dimension=pb.HEALTH_DIMENSION_PERSON, page_size=3)
    )
    second = await reviews(company).GetHealthReport(
        pb.GetHealthReportRequest(dimension=pb.HEALTH_DIMENSION_PERSON, page_token=first.next_page_token)
    )
    assert [one.key for one in (*first.slices, *second.slices)] == list(people)
    # Three usual actions a rep and a leader lie in the middle of the quarter; one of the thirty was done and proven.
    await company.move_to(datetime(2026, 2, 12, 18, tzinfo=SHANGHAI))
    did = funnel.ActivityLogged(
        activity_id="a1", effective=True, start_time=protos.timestamp(company.now),
        verified_action_unit_keys=["needs_diagnosis"], ownership=Ownership(owner_id="rep3", unit_id="east-2"),
    )  # fmt: skip
    await company.hear(did, "a1", source="funnel")
    await company.move_to(monday(10))
    february = await reviews(company).GetHealthReport(pb.GetHealthReportRequest(period="2026-M02"))
    acted = (february.total.actions_planned, february.total.actions_done, february.total.actions_verified)
    assert acted == (30, 1, 1)
    assert february.total.action_execution_ratio == pytest.approx(1 / 30)
    assert any("1 of 30 planned actions were done (3%)" in one for one in february.suggestions)
    before = february.previous_month
    assert before.attribution_accuracy_ratio == total.attribution_accuracy_ratio
    assert (before.targets_missed, before.attainment_ratio) == (total.targets_missed, total.attainment_ratio)
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_PERIOD"):
        await reviews(company).GetHealthReport(pb.GetHealthReportRequest(period="2026-Q1"))
    with company.refused("NOT_FOUND", "UNIT_NOT_FOUND"):
        await reviews(company).GetHealthReport(pb.GetHealthReportRequest(unit_id="west"))
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await reviews(company, "m-north", "manager").GetHealthReport(pb.GetHealthReportRequest(unit_id="east"))
