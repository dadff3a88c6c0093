"""What happens in real companies while a matter is open: people leave and move, zones differ, holidays begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.approvals.v1 import events_pb2, requests_pb2, tasks_pb2
from closedloop.options.v1.options_pb2 import ROLE_AUDITOR
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1.events_pb2 import OrgUnitChanged, PersonChanged
from closedloop_approvals.signatories import About, find, next_above
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit

from .conftest import Company, approval, asked, facts, quote, rid, state
from .test_delegations import delegate

SHANGHAI = ZoneInfo("Asia/Shanghai")


async def leaves(company: Company, person_id: str, unit_id: str, manager_id: str = "") -> None:
    gone = PersonChanged(
        person_id=person_id, unit_id=unit_id, name=person_id, active=False, version=10**6, manager_id=manager_id
    )
    await company.live.hear(gone, person_id, source="targets")


@pytest.mark.mission("U10")
async def test_a_signer_whose_turn_has_not_come_leaves(company: Company) -> None:
    """The second step is the director's; he leaves while the first is asked, and while it is back with its submitter."""
    held = await company.ask()
    back = await company.decide("lead", await company.ask(approval(quote(subject_id="Q-2"))), "RETURN")
    await leaves(company, "director", "east")
    assert await company.breaks(back.id) == [], "nobody changed what is back with its submitter behind our back"
    for one in (await company.read(held.id), await company.ask(approval(quote(2, subject_id="Q-2")))):
        assert asked(one) == ["lead"]
        after = await company.decide("lead", one)
        assert asked(after) == ["boss"], "nobody waits for somebody who is gone"
        assert state(await company.decide("boss", after)) == "approved"
    assert "rerouted:approvals>boss" in await company.trail(held)
    assert await company.breaks(held.id, back.id) == []


async def test_the_top_of_the_line_leaves_and_operations_are_asked_whom_to_put_there(company: Company) -> None:
    boss = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15, owner="director")))
    assert asked(boss) == ["boss"]
    await leaves(company, "boss", "co")
    [task] = (
        await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest(warning="approvals.signer_missing"))
    ).tasks
    assert (task.assignee_id, task.content.subject_id) == ("ops", boss.id)
    call = requests_pb2.HandOverRequest(
        request_id=rid(), id=boss.id, etag=boss.etag, from_person_id="boss", to_person_id="fin1", reason="空缺"
    )
    after = await company.requests("ops").HandOver(call)
    assert asked(after) == ["fin1"]
    assert state(await company.decide("fin1", after)) == "approved"


@pytest.mark.mission("U10")
async def test_asked_again_after_he_left_his_signature_is_the_next_ones(company: Company) -> None:
    held = await company.decide("lead", await company.ask())
    await leaves(company, "lead", "team1")
    held = await company.decide("director", await company.read(held.id), "RETURN", return_to_step=1)
    assert asked(held) == ["director"], "nobody waits for somebody who is gone"
    assert (await company.trail(held))[-2:] == ["returned:director", "rerouted:approvals>director"]
    held = await company.decide("director", held)
    assert state(await company.decide("director", held)) == "approved"
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S64")
async def test_who_is_no_longer_of_finance_signs_nothing_for_finance(company: Company) -> None:
    """Finance and legal countersign. One of finance goes to sales, then the other, then a new one comes; legal leaves."""

    async def becomes(person_id: str, function: str, version: int) -> None:
        person = PersonChanged(person_id=person_id, unit_id="office", name=person_id, function=function, active=True)
        person.roles.append(5)
        person.version = version
        await company.live.hear(person, person_id, source="targets")

    held = await company.ask(approval(told=facts(0.05, 2_000_000)))
    signed = await company.decide("fin1", await company.ask(approval(quote(subject_id="Q-2"), facts(0.05, 2_000_000))))
    await becomes("fin1", "sales", 10)
    held = await company.read(held.id)
    assert sorted(asked(held)) == ["fin2", "law"]
    with company.live.refused("FAILED_PRECONDITION", "STEP_NOT_ACTIVE"):
        await company.decide("fin1", held)
    assert state(await company.decide("law", await company.read(signed.id))) == "approved", "given while he was"
    await becomes("fin3", "finance", 1)
    await becomes("fin2", "sales", 10)
    held = await company.read(held.id)
    assert sorted(asked(held)) == ["fin3", "law"], "whoever is of finance today"
    await becomes("fin3", "sales", 10)
    held = await company.read(held.id)
    assert sorted(asked(held)) == ["cfo", "law"], "of an empty department whoever stands above"
    looks_on = PersonChanged(person_id="cfo", unit_id="office", name="cfo", active=True, version=10**6)
    looks_on.roles.append(ROLE_AUDITOR)
    await company.live.hear(looks_on, "cfo", source="targets")
    held = await company.read(held.id)
    assert sorted(asked(held)) == ["boss", "law"], "who may only look on could not answer"
    assert {"rerouted:approvals>cfo", "rerouted:approvals>boss"} <= set(await company.trail(held))
    assert await company.breaks(held.id, signed.id) == []


@pytest.mark.mission("U-A")
async def test_tasks_of_the_top_of_the_line_and_of_nobody_are_operations(company: Company) -> None:
    task = await company.raise_task("ops", assignee_id="boss")
    await leaves(company, "boss", "co")
    read = tasks_pb2.GetTaskRequest(id=task.id)
    assert (await company.tasks("ops").GetTask(read)).assignee_id == "ops"
    content = tasks_pb2.TaskContent(
        kind="intervention", title="?", assignee_id="boss", origin="funnel", cause_key="x", warning="w"
    )
    await company.live.hear(events_pb2.TaskRequested(content=content), "x", source="funnel")
    found = await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest(origin="funnel"))
    assert [task.assignee_id for task in found.tasks] == ["ops"], "a warning is nobody's no more than any other"


async def test_the_organisation_changes_while_a_matter_is_open(company: Company) -> None:
    """Who was asked by name stays asked; whoever is above him today is who it escalates to."""
    held = await company.ask(approval(told=facts(0.15)))
    moved = PersonChanged(person_id="lead", unit_id="north", name="王队长", active=True, version=10**6)
    moved.roles.append(2)
    await company.live.hear(moved, "lead", source="targets")
    unit = OrgUnitChanged(
        unit_id="team1", parent_id="east", kind="team", name="一队", manager_id="peer", active=True, version=10**6
    )
    await company.live.hear(unit, "team1", source="targets")
    assert asked(await company.read(held.id)) == ["lead"]
    await company.live.advance(days=1, hours=1)
    late = await company.read(held.id)
    assert asked(late) == ["lead", "north_director"], "his line of today"
    fresh = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15)))
    assert asked(fresh) == ["peer"], "new matters go by the new organisation"
    assert state(await company.decide("lead", late)) == "approved"


def circle() -> OrgSnapshot:
    """Two units each above the other, led by two people each in the other's unit."""
    rest = {"calendar": "", "time_zone": "", "currency_code": "", "territory": {}, "active": True, "version": 1}
    plain = {"title": "", "email": "", "mobile": "", "handles": {}, "time_zone": "", "language": "", "territory": {}}
    return OrgSnapshot(
        [
            Unit(id=i, parent_id=p, kind="team", name=i, manager_id=m, **rest)
            for i, p, m in (("a", "b", "x"), ("b", "a", "y"))
        ],
        [
            Person(id=i, unit_id=u, name=i, roles=["manager"], function="", active=True, version=1, **plain)
            for i, u in (("x", "b"), ("y", "a"), ("z", "a"))
        ],
    )


def test_an_organisation_that_runs_in_a_circle_ends_somewhere() -> None:
    org = circle()
    assert [p.person_id for p in find("director_of_owner", About("z", "a"), org, {})] == ["y"]
    assert next_above("x", org, {"x", "y"}) == ""
    assert [p.person_id for p in find("role:manager", About("z", "a"), org, {})] == ["x", "y", "z"]


@pytest.mark.mission("U8", "S65")
async def test_asked_in_the_last_working_hour_before_a_week_of_holidays(company: Company) -> None:
    """Saturday, 14 February 2026 is worked (调休); from the 15th to the 23rd China celebrates the new year."""
    await company.live.move_to(datetime(2026, 2, 14, 17, 30, tzinfo=SHANGHAI).astimezone(UTC))
    held = await company.ask(approval(told=facts(0.15)))
    due = held.due_time.ToDatetime(tzinfo=UTC).astimezone(SHANGHAI)
    assert due == datetime(2026, 2, 24, 17, 30, tzinfo=SHANGHAI), "half an hour was used; seven and a half are left"
    await company.live.move_to(datetime(2026, 2, 23, 23, 0, tzinfo=SHANGHAI).astimezone(UTC))
    assert (await company.read(held.id)).escalation_level == 0, "a holiday is nobody's delay"
    await company.live.move_to(datetime(2026, 2, 24, 13, 30, tzinfo=SHANGHAI).astimezone(UTC))
    assert "reminded:clock:approvals.decision>lead" in await company.trail(held)
    await company.live.move_to(datetime(2026, 2, 24, 17, 30, tzinfo=SHANGHAI).astimezone(UTC))
    late = await company.read(held.id)
    assert (late.escalation_level, asked(late)) == (1, ["lead", "director"])
    done = await company.decide("lead", late)
    assert done.elapsed.ToTimedelta() == timedelta(hours=8)


@pytest.mark.mission("U8")
async def test_a_unit_in_another_zone_has_its_own_working_day(company: Company) -> None:
    """Berlin works from 9 to 17 its own time; asked at 20:00 in Shanghai, 13:00 there."""
    berlin = {"country": "", "time_zone": "Europe/Berlin", "hours": [{"start": "09:00", "end": "17:00"}]}
    body = json_format.ParseDict({"calendars": {"business": {}, "berlin": berlin}}, Struct())
    stub = company.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations", "admin")
    await stub.PublishRulebook(
        platform_pb2.PublishRulebookRequest(request_id=rid(), name="platform.calendars", body=body, reason="欧洲")
    )
    unit = OrgUnitChanged(
        unit_id="team1", parent_id="east", kind="team", name="Team", manager_id="lead", active=True, version=10**6
    )
    unit.calendar, unit.time_zone = "berlin", "Europe/Berlin"
    await company.live.hear(unit, "team1", source="targets")
    await company.live.move_to(datetime(2026, 1, 5, 20, 0, tzinfo=SHANGHAI).astimezone(UTC))
    held = await company.ask(approval(told=facts(0.15)))
    due = held.due_time.ToDatetime(tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    assert due == datetime(2026, 1, 6, 13, 0, tzinfo=ZoneInfo("Europe/Berlin")), "four hours today, four tomorrow"
    await company.live.advance(hours=2)
    done = await company.decide("lead", held)
    assert done.elapsed.ToTimedelta() == timedelta(hours=2), "22:00 in Shanghai is office time in Berlin"


@pytest.mark.mission("S64", "U9")
async def test_a_stand_in_does_not_countersign_himself(company: Company) -> None:
    """Finance and legal sign a major project; legal stands in for finance and is still one person."""
    await delegate(company, "fin1", "law")
    held = await company.ask(approval(told=facts(0.05, 2_000_000)))
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.decide("law", held, on_behalf_of="fin1")
    held = await company.decide("law", held)
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.decide("law", held)
    assert state(await company.decide("fin2", held)) == "approved"


@pytest.mark.mission("S67")
async def test_nobody_takes_back_what_is_another_services(company: Company) -> None:
    held = await company.ask()
    taken = events_pb2.ApprovalWithdrawn(origin="funnel", kind="quote", subject_id="Q-1", version=9, reason="?")
    with pytest.raises(AssertionError, match="targets takes back a matter of funnel"):
        await company.live.hear(taken, "x", source="targets")
    assert state(await company.read(held.id)) == "pending"


@pytest.mark.mission("S65", "U8")
async def test_returned_before_half_time_its_reminder_still_comes(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    await company.live.advance(hours=1)
    await company.decide("lead", held, "RETURN")
    await company.live.advance(days=1)
    held = await company.ask(approval(quote(2), facts(0.15)))
    await company.live.advance(hours=2, minutes=59)
    assert not [line for line in await company.trail(held) if line.startswith("reminded")]
    await company.live.advance(minutes=1)
    # The three hours left until half time run over lunch.
    await company.live.advance(hours=1)
    assert [line for line in await company.trail(held) if line.startswith("reminded")]
