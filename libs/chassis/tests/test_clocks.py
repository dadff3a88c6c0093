"""Clocks: warned before, fired when due, each exactly once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from closedloop_chassis.clocks import sweep
from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.events.reactor import Reactor
from closedloop_chassis.process import Process
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions, Slice
from closedloop_chassis.work import Work
from closedloop_devstack.testing.service import work

MONDAY = datetime(2026, 1, 5, 9, tzinfo=ZoneInfo("Asia/Shanghai"))
TWO_HOURS = ClockSetting(hours=2, calendar="business", warn_at=0.5)


def reactor(process: Process, handler: object) -> Reactor:
    reactions = Reactions()
    reactions.clock("k")(handler)  # type: ignore[type-var]
    process.slices = (Slice("test", reactions=reactions),)
    return Reactor(process)


async def start(process: Process, *subjects: str, setting: ClockSetting = TWO_HOURS) -> None:
    doing = work(process)
    for subject in subjects:
        doing.clocks.start("k", subject, setting, owner_id="o", unit_id="u", attributes={"n": subject})
    await doing.tx.commit()


async def states(process: Process) -> dict[str, str]:
    return {
        row["subject"]: row["state"] for row in await process.database.reader.all("SELECT subject, state FROM clock")
    }


async def test_warns_then_falls_due_once(process: Process) -> None:
    fired: list[tuple[str, str]] = []

    async def handler(due: list[Due], _: Work) -> None:
        fired.extend((d.subject, d.phase) for d in due)

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    await start(process, "a")
    for minutes, expected in ((59, []), (60, [("a", "warn")]), (119, []), (120, [("a", "due")]), (300, [])):
        process.time.stop_at(MONDAY + timedelta(minutes=minutes))
        fired.clear()
        await turning.sweep_clocks()
        await turning.sweep_clocks()
        assert fired == expected, minutes
    assert await states(process) == {"a": "breached"}


async def test_met_in_time_never_fires_and_late_is_noted(process: Process) -> None:
    async def handler(due: list[Due], _: Work) -> None:
        assert [d.subject for d in due] == ["late"]

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    await start(process, "early", "late", setting=ClockSetting(hours=2))
    doing = work(process)
    doing.clocks.meet("k", "early")
    await doing.tx.commit()
    process.time.stop_at(MONDAY + timedelta(hours=3))
    await turning.sweep_clocks()
    doing = work(process)
    doing.clocks.meet("k", "late", "early")
    await doing.tx.commit()
    assert await states(process) == {"early": "met", "late": "breached"}
    assert await process.database.reader.value("SELECT count(*) FROM clock WHERE answered_at IS NOT NULL") == 2


@pytest.mark.mission("U8")
async def test_a_pause_keeps_what_is_left_of_working_time(process: Process) -> None:
    process.time.stop_at(MONDAY)
    await start(process, "a", setting=ClockSetting(hours=8, calendar="business"))
    process.time.stop_at(MONDAY + timedelta(hours=2))
    doing = work(process)
    await doing.clocks.pause("k", "a")
    await doing.tx.commit()
    process.time.stop_at(MONDAY + timedelta(days=2))
    doing = work(process)
    due = await doing.clocks.resume("k", "a")
    await doing.tx.commit()
    # Six hours were left on Wednesday at nine: over lunch until four.
    assert due == MONDAY + timedelta(days=2, hours=7)


async def test_a_pause_before_half_time_keeps_the_warning(process: Process) -> None:
    process.time.stop_at(MONDAY)
    await start(process, "a", setting=ClockSetting(hours=8, calendar="business", warn_at=0.5))
    process.time.stop_at(MONDAY + timedelta(hours=2))
    doing = work(process)
    await doing.clocks.pause("k", "a")
    await doing.tx.commit()
    process.time.stop_at(MONDAY + timedelta(days=2))
    doing = work(process)
    await doing.clocks.resume("k", "a")
    await doing.tx.commit()
    clock = await process.database.reader.one("SELECT warn_at, next_at FROM clock WHERE subject = 'a'")
    # Two of four hours had passed: the other two end on Wednesday at eleven.
    assert clock == {"warn_at": MONDAY + timedelta(days=2, hours=2), "next_at": MONDAY + timedelta(days=2, hours=2)}


async def test_rearmed_clocks_climb_a_level(process: Process) -> None:
    levels: list[int] = []

    async def handler(due: list[Due], doing: Work) -> None:
        for d in due:
            levels.append(d.level)
            doing.clocks.rearm(d, ClockSetting(hours=1), owner_id="boss")

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    await start(process, "a", setting=ClockSetting(hours=1))
    for hour in range(1, 4):
        process.time.stop_at(MONDAY + timedelta(hours=hour))
        await turning.sweep_clocks()
    assert levels == [0, 1, 2]
    told = await process.database.reader.all("SELECT level, state, owner_id FROM clock ORDER BY level")
    # Every level stays to be asked for: who had it, and how it ended.
    assert [(row["level"], row["state"], row["owner_id"]) for row in told] == [
        (0, "breached", "o"),
        (1, "breached", "boss"),
        (2, "breached", "boss"),
        (3, "open", "boss"),
    ]


async def test_many_are_rearmed_at_once_each_by_its_units_calendar(process: Process) -> None:
    setting = ClockSetting(hours=2, calendar="business", warn_at=0.5)

    async def handler(due: list[Due], doing: Work) -> None:
        breached = [d for d in due if d.level == 0 and d.phase == "due"]
        doing.clocks.rearm_many(breached, setting)
        doing.clocks.rearm_many([], setting)

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    for name in ("a", "b"):
        await start(process, name, setting=ClockSetting(hours=1))
    process.time.stop_at(MONDAY + timedelta(hours=1))
    await turning.sweep_clocks()
    told = await process.database.reader.all("SELECT * FROM clock WHERE level = 1 ORDER BY subject")
    assert [(row["subject"], row["owner_id"], row["state"], row["calendar"]) for row in told] == [
        ("a", "o", "open", "business"),
        ("b", "o", "open", "business"),
    ]
    for row in told:
        assert row["due_at"] == MONDAY + timedelta(hours=3)
        assert row["warn_at"] == row["next_at"] == MONDAY + timedelta(hours=2)


async def test_three_sweepers_fire_each_clock_exactly_once(process: Process) -> None:
    fired: list[str] = []

    async def handler(due: list[Due], _: Work) -> None:
        fired.extend(d.subject for d in due)

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    doing = work(process)
    doing.clocks.start_many("k", ClockSetting(hours=1), [(f"s{n}", "o", "u", {"n": n}) for n in range(5000)])
    await doing.tx.commit()
    process.time.stop_at(MONDAY + timedelta(hours=2))

    async def sweeper() -> None:
        while await turning.sweep_clocks():
            pass

    await asyncio.gather(sweeper(), sweeper(), sweeper())
    assert len(fired) == len(set(fired)) == 5000


async def test_a_clock_whose_handler_fails_does_not_hold_the_others(process: Process) -> None:
    fired: list[str] = []

    async def handler(due: list[Due], _: Work) -> None:
        for d in due:
            if d.subject == "bad":
                raise ValueError("cannot")
            fired.append(d.subject)

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    await start(process, "bad", "good-1", "good-2", setting=ClockSetting(hours=1))
    process.time.stop_at(MONDAY + timedelta(hours=2))
    await turning.sweep_clocks()
    assert {"good-1", "good-2"} <= set(fired)
    assert (await states(process))["bad"] == "open"


async def test_where_many_are_due_several_batches_go_on_at_once_and_one_that_fails_is_put_off_alone(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired: list[str] = []
    together, met = 0, asyncio.Event()

    async def handler(due: list[Due], doing: Work) -> None:
        nonlocal together
        together += 1
        try:
            if together > 1:
                met.set()
            if fired and len(due) == sweep.BATCH:
                # The first batch goes alone, here one by one, and tells that there are more; then there are two at once.
                async with asyncio.timeout(30):
                    await met.wait()
            if any(d.subject == "s7" for d in due):
                raise ValueError("cannot")
        finally:
            together -= 1
        doing.tx.after_commit(partial(fired.extend, [d.subject for d in due]))

    monkeypatch.setattr(sweep, "BATCH", 10)
    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    doing = work(process)
    doing.clocks.start_many("k", ClockSetting(hours=1), [(f"s{n}", "o", "u", {}) for n in range(200)])
    await doing.tx.commit()
    process.time.stop_at(MONDAY + timedelta(hours=2))
    await turning.sweep_all_clocks()
    assert len(fired) == len(set(fired)) == 199
    left = await process.database.reader.all("SELECT subject, next_at FROM clock WHERE state = 'open'")
    assert left == [{"subject": "s7", "next_at": MONDAY + timedelta(hours=2, minutes=1)}]


async def test_a_timer_rings_once_and_is_no_breach(process: Process) -> None:
    rung: list[tuple[str, datetime, dict[str, int]]] = []

    async def handler(timers: list[Rung], _: Work) -> None:
        rung.extend((one.subject, one.time, one.attributes) for one in timers)

    reactions = Reactions()
    reactions.timer("t")(handler)
    process.slices = (Slice("test", reactions=reactions),)
    turning = Reactor(process)
    process.time.stop_at(MONDAY)
    doing = work(process)
    doing.timers.set("t", "a", MONDAY + timedelta(hours=1), {"n": 1})
    doing.timers.set("t", "a", MONDAY + timedelta(hours=2), {"n": 2})
    doing.timers.set("t", "b", MONDAY + timedelta(hours=1))
    doing.timers.cancel("t", "b")
    await doing.tx.commit()
    for minutes, expected in ((59, []), (60, [("a", MONDAY + timedelta(hours=1), {"n": 1})]), (180, [])):
        process.time.stop_at(MONDAY + timedelta(minutes=minutes))
        rung.clear()
        await turning.sweep_clocks()
        assert rung == expected, minutes
    assert await states(process) == {}
    assert await process.database.reader.value("SELECT count(*) FROM timer") == 0


async def test_many_timers_are_brought_forward_at_once_and_none_is_put_off(process: Process) -> None:
    rung: list[str] = []

    async def handler(timers: list[Rung], _: Work) -> None:
        rung.extend(one.subject for one in timers)

    reactions = Reactions()
    reactions.timer("t")(handler)
    process.slices = (Slice("test", reactions=reactions),)
    turning = Reactor(process)
    process.time.stop_at(MONDAY)
    doing = work(process)
    doing.timers.set("t", "early", MONDAY + timedelta(hours=1))
    doing.timers.set("t", "late", MONDAY + timedelta(hours=5))
    both = {name: MONDAY + timedelta(hours=2) for name in ("early", "late")}
    doing.timers.bring_forward("t", {**both, **{f"n{n}": MONDAY + timedelta(hours=3) for n in range(300)}})
    doing.timers.bring_forward("t", {})
    await doing.tx.commit()
    for hours, expected in ((1, ["early"]), (2, ["late"]), (3, sorted(f"n{n}" for n in range(300))), (9, [])):
        process.time.stop_at(MONDAY + timedelta(hours=hours))
        rung.clear()
        await turning.sweep_clocks()
        assert sorted(rung) == expected, hours


async def test_a_timer_whose_handler_fails_is_tried_again_and_holds_nobody(process: Process) -> None:
    rung: list[str] = []
    broken = True

    async def handler(timers: list[Rung], doing: Work) -> None:
        for one in timers:
            if one.subject == "bad" and broken:
                raise ValueError("cannot")
            doing.tx.after_commit(partial(rung.append, one.subject))

    reactions = Reactions()
    reactions.timer("t")(handler)
    process.slices = (Slice("test", reactions=reactions),)
    turning = Reactor(process)
    process.time.stop_at(MONDAY)
    doing = work(process)
    for subject in ("bad", "good-1", "good-2"):
        doing.timers.set("t", subject, MONDAY)
    await doing.tx.commit()
    await turning.sweep_clocks()
    assert sorted(rung) == ["good-1", "good-2"]
    broken = False
    process.time.stop_at(MONDAY + timedelta(minutes=2))
    await turning.sweep_clocks()
    assert sorted(rung) == ["bad", "good-1", "good-2"]


async def test_a_sweep_that_is_stopped_gives_back_what_it_held(process: Process) -> None:
    """A process that leaves in the middle of a batch: the next one fires it at once."""
    begun, fired = asyncio.Event(), []

    async def handler(due: list[Due], _: Work) -> None:
        fired.extend(d.subject for d in due)
        if len(fired) == 1:
            begun.set()
            await asyncio.Event().wait()

    turning = reactor(process, handler)
    process.time.stop_at(MONDAY)
    await start(process, "a", setting=ClockSetting(hours=2))
    process.time.stop_at(MONDAY + timedelta(hours=3))
    stopped = asyncio.create_task(turning.sweep_clocks())
    await begun.wait()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    # Its connection comes back; the process looks at its memory meanwhile, and has one for a moment.
    async with asyncio.timeout(30):
        while (stats := process.database.pool.stats())["pool_available"] < stats["pool_size"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await states(process) == {"a": "open"}
    assert await turning.sweep_clocks() == 1
    assert (fired, await states(process)) == (["a", "a"], {"a": "breached"})
