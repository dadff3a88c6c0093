"""Dwell and pace by the working calendar, across the October holiday and its make-up Saturday (S41, S58)."""

from __future__ import annotations

from datetime import UTC, date

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import watch_pb2

from .conftest import ACME, PROFILE, Company
from .raw_history import moment
from .test_pipeline_lines import lines
from .test_watch import begun, change, watch


@pytest.mark.mission("S41", "S58", "U8")
async def test_five_working_days_and_the_pace_count_october_as_it_is_worked(company: Company) -> None:
    live = company.live
    # Tuesday; then Wednesday, the holiday from Thursday on, Thursday and Friday the week after, and a worked Saturday.
    await live.move_to(moment(date(2026, 9, 29), 9))
    deal = await company.open(account_id=ACME)
    assert deal.stage_due_time.ToDatetime() == moment(date(2026, 10, 10), 10).replace(
        tzinfo=None
    )  # 18:00 there, in UTC
    await live.move_to(moment(date(2026, 10, 7), 12))
    assert (await company.read(deal.id)).dwell_days == pytest.approx(2)
    await live.move_to(moment(date(2026, 10, 10), 17))
    assert not await live.told(approvals.TaskRequested)
    await live.move_to(moment(date(2026, 10, 10), 19))
    [task] = await live.told(approvals.TaskRequested)
    assert (task.content.assignee_role, task.content.opportunity_id) == ("manager_of_owner", deal.id)
    late = await company.read(deal.id)
    assert (late.dwell_light, late.dwell_days) == (common_pb2.LIGHT_YELLOW, pytest.approx(5))
    # Other services keep no light: besides the task they hear nothing of it.
    assert [one.version for one in await live.told(funnel.OpportunityChanged)] == [1]
    # The pace is half a day more: Monday after lunch, and the regional director is told.
    await live.move_to(moment(date(2026, 10, 12), 13))
    assert len(await live.told(approvals.TaskRequested)) == 1
    await live.move_to(moment(date(2026, 10, 12), 15))
    told = await live.told(approvals.TaskRequested)
    assert [one.content.assignee_role for one in told] == ["manager_of_owner", "director_of_owner"]
    slow = await company.read(deal.id)
    assert slow.dwell_light == common_pb2.LIGHT_RED
    moved = await company.climb(slow, PROFILE)
    assert moved.dwell_light == common_pb2.LIGHT_NONE
    cleared = await live.told(approvals.TaskWithdrawn)
    assert {one.cause_key for one in cleared} == {f"funnel.stage_dwell:{deal.id}", f"funnel.stage_pace:{deal.id}"}


@pytest.mark.mission("S41")
async def test_deals_that_darken_together_are_seen_at_once_in_lists_and_streams(company: Company) -> None:
    live = company.live
    await live.move_to(moment(date(2026, 3, 2), 9))
    deals = [await company.open(account_id=ACME, name=name) for name in ("一", "二")]
    assert {line.dwell_light for line in (await lines(company)).opportunities} == {common_pb2.LIGHT_NONE}
    stream = watch(live)
    await begun(stream)
    await live.move_to(moment(date(2026, 3, 6), 19))
    shown = (await lines(company)).opportunities
    assert {line.dwell_light for line in shown} == {common_pb2.LIGHT_YELLOW}
    seen = [await change(stream) for _ in deals]
    assert {one.kind for one in seen} == {watch_pb2.FUNNEL_CHANGE_KIND_OPPORTUNITY_UPDATED}
    assert {(one.record_id, one.etag) for one in seen} == {(line.id, line.etag) for line in shown}
    # When it darkened, not when somebody last wrote: a stream that comes back tomorrow still hears of it.
    assert {one.time.ToDatetime(UTC) for one in seen} == {moment(date(2026, 3, 6), 18)}
    stream.cancel()
