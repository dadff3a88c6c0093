"""Management actions: two flat quarters, and the owner is sent what others do instead (S98)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import protovalidate
import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop.funnel.v1 import experiments_pb2_grpc as rpc
from closedloop.funnel.v1 import warnings_pb2, warnings_pb2_grpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.ids import new_id
from closedloop_funnel import estimates
from closedloop_funnel.management import rules
from closedloop_funnel.management.judging import moved
from closedloop_funnel.measures.measuring import folded
from closedloop_funnel.measures.rules import Metric, Value

from .conftest import Company, day, remember, rid
from .raw_history import moment
from .test_performance import visit

EAST = [f"e{number}" for number in range(8)]
NORTH = [f"n{number}" for number in range(12)]
BEST = NORTH[:5]


@pytest.mark.mission("S98")
def test_quarters_are_judged_once_they_are_whole_and_have_settled() -> None:
    assert rules.baseline(date(2026, 2, 14)) == date(2025, 10, 1)
    assert rules.first_judged(date(2026, 2, 14)) == date(2026, 4, 1)
    assert rules.first_judged(date(2026, 4, 1)) == date(2026, 4, 1)
    assert rules.following(date(2026, 10, 1)) == date(2027, 1, 1)
    start = date(2026, 1, 1)
    assert list(rules.to_judge(start, None, date(2026, 3, 31))) == []
    assert list(rules.to_judge(start, None, date(2026, 7, 1))) == [date(2026, 1, 1), date(2026, 4, 1)]
    assert list(rules.to_judge(start, date(2026, 1, 1), date(2026, 7, 1))) == [date(2026, 4, 1)]
    asked = [dom for dom in range(1, 31) if rules.is_asked(rules.ManagementRules(), date(2026, 4, dom))]
    assert (asked, rules.is_asked(rules.ManagementRules(), date(2026, 5, 6))) == ([22, 29], True)


@pytest.mark.mission("S98")
def test_what_cannot_be_said_neither_breaks_a_run_nor_makes_it_longer() -> None:
    assert [rules.flat(word) for word in ("better", "worse", "same", "unknown")] == [False, True, True, None]
    assert rules.flat_run([True, None, True]) == 2
    assert rules.flat_run([True, True, False]) == 0
    assert rules.flat_run([False, True]) == 1
    pace = Metric("stage_pace", "停留", "d", rising=False)
    faster = estimates.change_against([-3.0, -2.0, -4.0, -3.0], [0.0, 0.5, -0.5, 0.0], "d")
    assert (moved(faster, pace), moved(faster, Metric("x", "x", "1", rising=True))) == ("better", "worse")
    alone = estimates.change_alone([0.1, -0.1, 0.2, -0.2])
    assert (alone.method, moved(alone, pace)) == ("before_after, student_t", "same")
    assert moved(estimates.change_alone([0.1]), pace) == "unknown"


def test_the_best_are_a_share_of_all_and_enough_to_compare_with() -> None:
    values = {f"p{number}": float(number) for number in range(40)}
    assert rules.best(values, 0.25, 5, rising=True) == [f"p{number}" for number in range(39, 29, -1)]
    assert rules.best(values, 0.05, 3, rising=False) == ["p0", "p1", "p2"]
    assert rules.best({"p0": 1.0}, 0.25, 2, rising=True) == []


def test_units_are_folded_into_the_teams_above_them_by_their_cases() -> None:
    found = {"a": Value(3, 1.0), "b": Value(1, 0.0), "c": Value(2, 10.0)}
    into = {"a": "x", "b": "x", "c": "y"}
    assert folded(found, into, total=False) == {"x": Value(4, 0.75), "y": Value(2, 10.0)}
    assert folded(found, into, total=True)["x"] == Value(4, 1.0)


def client(company: Company, person: str = "m1", role: str = "manager") -> rpc.ExperimentServiceStub:
    return company.live.stub(rpc.ExperimentServiceStub, person, role)


def visits(person: str, begins: date, done: int, of: int = 4) -> list[dict[str, Any]]:
    """So many planned visits, the first ones made; the best do as the card says."""
    return [
        {
            **visit("rep1", begins, number, done=number < done),
            "owner_id": person,
            "unit_id": "team1" if person in EAST else "north",
            "action_unit_keys": ["needs_report"] if person in BEST else [],
        }
        for number in range(of)
    ]


async def _quarter(company: Company, begins: date, east: int = 0) -> None:
    """Two of four on average in the east, `east` more when something has moved; always four with the best of the north."""
    rows = []
    for number, person in enumerate([*EAST, *NORTH]):
        done = 4 if person in BEST else 1 + number % 3
        rows += visits(person, begins, min(done + (east if person in EAST else 0), 4))
    await remember(company, "activity", rows)


async def _morning(company: Company, at: datetime) -> None:
    """The morning of that day comes; those since the last one are passed over."""
    company.live.process.time.stop_at(at)
    await company.live.settle()


@pytest.mark.mission("S98", "S102")
async def test_two_flat_quarters_send_the_comparison_and_are_warned_of(company: Company) -> None:
    live, refused, me = company.live, company.live.refused, client(company)
    await live.organise(
        units=[("tiny", "co", "region", "小区", "lead1")],
        people=[
            *((one, "team1", one, ["rep"]) for one in EAST),
            *((one, "north", one, ["rep"]) for one in NORTH),
            ("solo", "tiny", "solo", ["rep", "manager"]),
        ],
    )
    wanted = pb.CreateManagementActionRequest(
        request_id=rid(), name="每日晨会", metric_key="moon", core=True, start_date=day(2026, 1, 1)
    )
    with refused("INVALID_ARGUMENT", "METRIC_UNKNOWN"):
        await me.CreateManagementAction(wanted)
    wanted.metric_key, wanted.owner_id = "visit_completion", "m2"
    with refused("PERMISSION_DENIED"):
        await me.CreateManagementAction(wanted)
    wanted.owner_id, wanted.start_date.year = "", 1999
    with refused("INVALID_ARGUMENT", "TOO_LONG_AGO"):
        await me.CreateManagementAction(wanted)
    wanted.start_date.year = 2099
    with refused("INVALID_ARGUMENT", "DATE_IN_FUTURE"):
        await me.CreateManagementAction(wanted)
    wanted.start_date.year = 2026
    made = await me.CreateManagementAction(wanted)
    assert (made.ownership.owner_id, made.ownership.unit_id) == ("m1", "east")
    assert (made.core, made.state) == (True, pb.MANAGEMENT_ACTION_STATE_ACTIVE)
    ops = client(company, "ops", "operations")
    wanted.request_id, wanted.owner_id, wanted.metric_key = rid(), "solo", "feedback_collected"
    small = await ops.CreateManagementAction(wanted)
    card = {
        "id": new_id(), "version": 1, "state": "published", "title": "需求报告先行", "method": "", "feature_key": "",
        "features": [], "customer_types": [], "industries": [], "stage_keys": [], "action_unit_keys": ["needs_report"],
        "case_ids": [], "author_id": "ops", "unit_id": "co", "created_at": live.now, "updated_at": live.now,
    }  # fmt: skip
    await remember(company, "practice_card", [card])
    for begins in (date(2025, 11, 3), date(2026, 2, 2), date(2026, 5, 4)):
        await _quarter(company, begins)

    # 22 April: the first quarter is judged, and nobody has put any of three core actions to the test.
    live.process.time.stop_at(moment(date(2026, 4, 22), 7))
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    await _morning(company, moment(date(2026, 4, 22), 9))
    tasks = [one.content for one in await live.told(approvals.TaskRequested)]
    [untested] = [one for one in tasks if one.warning == "funnel.core_actions_untested"]
    assert (untested.title[-3:], untested.assignee_role) == ("0/3", "role:operations")
    first = await me.GetManagementAction(pb.GetManagementActionRequest(action_id=made.id))
    [quarter] = first.quarters
    assert (quarter.quarter, quarter.flat, first.flat_quarters) == (day(2026, 1, 1), True, 1)
    assert (quarter.value.sample_size, quarter.value.method) == (8, "student_t")
    assert (quarter.change.sample_size, quarter.change.method) == (20, "difference_in_differences, welch_t")
    assert not [one for one in tasks if one.subject_id == made.id]

    # Where the company wants none tested, that is enough: what was asked is asked no more.
    shelf: Any = live.process.rulebooks
    given, none = shelf.in_force, rules.ManagementRules(core_actions=0)
    shelf.in_force = lambda model, at: none if model is rules.ManagementRules else given(model, at)
    await _morning(company, moment(date(2026, 4, 29), 9))
    shelf.in_force = given
    assert untested.cause_key in {one.cause_key for one in await live.told(approvals.TaskWithdrawn)}

    await _morning(company, moment(date(2026, 7, 6), 9))
    flat = await me.GetManagementAction(pb.GetManagementActionRequest(action_id=made.id))
    assert (flat.flat_quarters, len(flat.quarters)) == (2, 2)
    said = {one.name: one for one in flat.comparison.evidence}
    assert list(flat.comparison.practice_card_ids) == [card["id"]]
    assert "需求报告先行" in flat.comparison.summary
    assert (said["best_others"].value, said["action_unit:needs_report"].value) == (1, 1)
    assert said["own_people"].value < 0.6
    assert all("n=" in one.text and "%" in one.text for one in flat.comparison.evidence)
    requested = await live.told(approvals.TaskRequested)
    for one in requested:
        protovalidate.validate(one)
    [task] = [one.content for one in requested if one.content.subject_id == made.id]
    assert (task.assignee_role, task.ownership.owner_id, task.description) == ("owner", "m1", flat.comparison.summary)
    warnings = live.stub(warnings_pb2_grpc.WarningServiceStub, "m1", "manager")
    ask = warnings_pb2.ListWarningsRequest(kinds=[warnings_pb2.WARNING_KIND_MANAGEMENT_ACTION_FLAT])
    [warned] = (await warnings.ListWarnings(ask)).warnings
    assert (warned.subject_id, warned.ownership.owner_id, warned.state) == (
        made.id,
        "m1",
        warnings_pb2.WARNING_STATE_OPEN,
    )
    # One seller says nothing: no number, no flat quarter, no comparison.
    quiet = await ops.GetManagementAction(pb.GetManagementActionRequest(action_id=small.id))
    assert [one.change.verdict for one in quiet.quarters] == [pb.ESTIMATE_VERDICT_CANNOT_SAY] * 2
    assert not any(one.change.HasField("value") or one.value.HasField("value") for one in quiet.quarters)
    assert (quiet.flat_quarters, quiet.HasField("comparison")) == (0, False)
    listed = await ops.ListManagementActions(pb.ListManagementActionsRequest(least_flat_quarters=2, core_only=True))
    assert [one.id for one in listed.actions] == [made.id]
    pages = await ops.ListManagementActions(pb.ListManagementActionsRequest(page_size=1))
    rest = await ops.ListManagementActions(
        pb.ListManagementActionsRequest(page_size=1, page_token=pages.next_page_token)
    )
    assert {one.id for one in (*pages.actions, *rest.actions)} == {made.id, small.id}

    # He acts; the third quarter moves, so the run ends and the warning has worked.
    acted = warnings_pb2.RecordWarningActionRequest(
        request_id=rid(), warning_id=warned.id, etag=warned.etag, action="改用需求报告"
    )
    await warnings.RecordWarningAction(acted)
    await _quarter(company, date(2026, 8, 3), east=2)
    await _morning(company, moment(date(2026, 10, 5), 9))
    moving = await me.GetManagementAction(pb.GetManagementActionRequest(action_id=made.id))
    assert (moving.flat_quarters, moving.quarters[-1].flat) == (0, False)
    assert moving.quarters[-1].change.verdict == pb.ESTIMATE_VERDICT_HIGHER
    await _morning(company, moment(date(2026, 10, 7), 9))
    assert (await warnings.ListWarnings(ask)).warnings[0].state == warnings_pb2.WARNING_STATE_WORKED

    change = pb.UpdateManagementActionRequest(request_id=rid(), action_id=made.id, etag=made.etag)
    change.update_mask.paths[:] = ["end_date"]
    change.end_date.CopyFrom(day(2025, 12, 1))
    with refused("ABORTED", "ETAG_MISMATCH"):
        await me.UpdateManagementAction(change)
    change.etag = moving.etag
    with refused("INVALID_ARGUMENT", "DATES_REVERSED"):
        await me.UpdateManagementAction(change)
    change.end_date.CopyFrom(day(2026, 10, 7))
    ended = await me.UpdateManagementAction(change)
    assert ended.state == pb.MANAGEMENT_ACTION_STATE_ENDED
    with refused("PERMISSION_DENIED"):
        await client(company, "m2").GetManagementAction(pb.GetManagementActionRequest(action_id=made.id))
    with refused("NOT_FOUND", "ACTION_UNKNOWN"):
        await me.GetManagementAction(pb.GetManagementActionRequest(action_id=card["id"]))
