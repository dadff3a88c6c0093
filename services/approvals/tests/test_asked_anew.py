"""A matter that changes while it is asked: another one gets its own time, the same one goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from closedloop.approvals.v1 import events_pb2, requests_pb2

from .conftest import Company, approval, asked, facts, quote, state
from .test_backtest import policies, publish

SHANGHAI = ZoneInfo("Asia/Shanghai")
EIGHT_HOURS = {"hours": 8, "calendar": "business"}
SILENT = {"on_overdue": "approve", "silence": "一个工作日内无答复视为同意", "decision": EIGHT_HOURS}


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of January 2026 in Shanghai; the 5th is a Monday."""
    return datetime(2026, 1, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


def due(held: requests_pb2.Request) -> datetime:
    return held.due_time.ToDatetime(tzinfo=UTC)


@pytest.mark.mission("S65", "U8")
async def test_silence_gives_another_matter_its_whole_time(company: Company) -> None:
    """Asked at 09:00, changed at 17:50 of the same day's time: nobody agreed to the new one by not answering the old one."""
    await publish(company, policies=policies(discount=SILENT))
    await company.live.move_to(at(5, 9))
    held = await company.ask(approval(told=facts(0.25)))
    await company.live.move_to(at(6, 9))
    held = await company.ask(approval(quote(2), facts(0.20)))
    assert (state(held), asked(held), due(held)) == ("pending", ["lead"], at(6, 18))
    await company.live.move_to(at(6, 17, 50))
    # Returned and mended: other figures, then the same figures in other words, then the very same.
    held = await company.decide("lead", await company.read(held.id), "RETURN")
    held = await company.ask(approval(quote(3), facts(0.15)))
    assert due(held) == at(7, 17, 50)
    await company.live.move_to(at(7, 17, 40))
    held = await company.decide("lead", await company.read(held.id), "RETURN")
    held = await company.ask(approval(quote(4, "other words"), facts(0.15)))
    assert due(held) == at(8, 17, 40), "silence to one text is not silence to another"
    await company.live.move_to(at(8, 17, 30))
    held = await company.decide("lead", await company.read(held.id), "RETURN")
    held = await company.ask(approval(quote(5, "other words"), facts(0.15)))
    assert due(held) == at(8, 17, 40), "of the same ten minutes are left"
    await company.live.move_to(at(8, 17, 39))
    assert state(await company.read(held.id)) == "pending"
    await company.live.move_to(at(8, 17, 41))
    held = await company.read(held.id)
    assert (state(held), held.decided_by) == ("approved", "clock:approvals.decision")
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S65", "U8")
async def test_a_later_version_is_neither_late_nor_escalated_for_the_earlier_one(company: Company) -> None:
    await company.live.move_to(at(5, 9))
    held = await company.ask(approval(told=facts(0.25)))
    await company.live.move_to(at(6, 15))
    held = await company.read(held.id)
    assert (held.escalation_level, asked(held)) == (1, ["lead", "director"])
    held = await company.ask(approval(quote(2), facts(0.15)))
    assert (held.escalation_level, asked(held), due(held)) == (0, ["lead"], at(7, 15))
    await company.live.advance(hours=1)
    held = await company.decide("lead", held)
    assert (state(held), held.elapsed.ToTimedelta()) == ("approved", timedelta(hours=1))
    period = {"start_time": company.live.now - timedelta(days=9), "end_time": company.live.now + timedelta(days=1)}
    for grouping in (requests_pb2.TURNAROUND_GROUPING_PERSON, requests_pb2.TURNAROUND_GROUPING_KIND):
        call = requests_pb2.GetTurnaroundRequest(period=period, grouping=grouping)
        (row,) = (await company.requests("ops").GetTurnaround(call)).rows
        assert (row.decided, row.escalated, row.in_time_ratio) == (1, 0, 1.0)
        assert row.p50.ToTimedelta() == timedelta(hours=1)


@pytest.mark.mission("S65", "U19")
async def test_other_rules_give_their_own_time(company: Company) -> None:
    """The next version falls under a policy of two hours; then the rules themselves change while it is returned."""
    fast = {"large_discount": {"decision": {"hours": 2, "calendar": "business"}}}
    await publish(company, policies=policies(**fast))
    await company.live.move_to(at(5, 9))
    held = await company.ask(approval(told=facts(0.15)))
    assert due(held) == at(5, 18)
    held = await company.ask(approval(quote(2), facts(0.5)))
    assert due(held) == at(5, 11)
    await company.live.move_to(at(5, 10))
    held = await company.decide("lead", held, conditions="预付三成")
    held = await company.decide("director", held, "RETURN", come_back_here=True)
    fast["large_discount"]["decision"]["hours"] = 4
    await publish(company, policies=policies(**fast))
    await company.live.move_to(at(5, 11))
    held = await company.ask(approval(quote(3), facts(0.5)))
    assert (asked(held), held.conditions, due(held)) == (["lead"], "", at(5, 16)), "four hours, lunch between"
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S63", "S82")
async def test_whose_the_deal_becomes_decides_nothing_of_it(company: Company) -> None:
    """It waits for the manager, and then is his: his own line is asked, in its own time, and a returned one stays where it is."""
    await company.live.move_to(at(5, 9))
    held, back = await company.ask(), await company.ask(approval(quote(subject_id="Q-2")))
    back = await company.decide("lead", back, "RETURN")
    await company.live.move_to(at(5, 11))
    for one in (held, back):
        told = events_pb2.ApprovalReassigned(
            origin="funnel", kind="quote", subject_id=one.subject.id, version=1, actor_id="director", reason="接手"
        )
        told.ownership.owner_id, told.ownership.unit_id = "lead", "team1"
        await company.live.hear(told, one.subject.id, source="funnel")
        await company.live.hear(told, one.subject.id, source="funnel")
    held = await company.read(held.id)
    assert (asked(held), due(held), held.facts.ownership.owner_id) == (["director"], at(6, 11), "lead")
    assert (await company.trail(held))[-2:] == ["rerouted:director", "asked:approvals>director"]
    with company.live.refused("PERMISSION_DENIED", "OWN_REQUEST"):
        await company.decide("lead", held)
    assert state(await company.decide("director", held)) == "approved"
    assert state(await company.read(back.id)) == "returned"
    assert await company.breaks(held.id, back.id) == []
