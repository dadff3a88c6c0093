"""The inbox: applied in order and once; a poison event is parked alone and can be redriven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg

from closedloop.approvals.v1.events_pb2 import ApprovalRequested
from closedloop.targets.v1.events_pb2 import OrgUnitChanged
from closedloop_chassis import bells, ids
from closedloop_chassis.events.reactor import Reactor
from closedloop_chassis.events.waves import waves
from closedloop_chassis.process import Process
from closedloop_chassis.service import Reactions, Slice
from closedloop_chassis.work import Heard, Work
from closedloop_devstack.testing.service import work

TYPE = "closedloop.targets.org_unit.changed.v1"
PUT = """
INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot, after_id)
VALUES (%(id)s, %(source)s, %(type)s, %(subject)s, %(sequence)s, %(time)s, %(data)s, abs(hashtext(%(subject)s)) %% 8, %(after)s)
ON CONFLICT (id) DO NOTHING
"""


async def put(
    process: Process, subject: str, sequence: int, event_id: str = "", after: str | None = None, source: str = "targets"
) -> str:
    event_id = event_id or ids.new_id()
    tx = process.database.transaction()
    data = OrgUnitChanged(unit_id=subject, version=sequence).SerializeToString()
    row = {"id": event_id, "type": TYPE, "subject": subject, "sequence": sequence, "time": process.time.now()}
    tx.do(PUT, {**row, "data": data, "after": after, "source": source})
    await tx.commit()
    return event_id


def reactor(process: Process, handler: object) -> Reactor:
    reactions = Reactions()
    reactions.on(OrgUnitChanged)(handler)  # type: ignore[type-var]
    process.slices = (Slice("test", reactions=reactions),)
    return Reactor(process)


async def drain(process: Process, turning: Reactor, rounds: int = 20) -> None:
    for _ in range(rounds):
        await turning.drain_inbox()
        tx = process.database.transaction()
        tx.do("UPDATE inbox SET next_at = NULL WHERE state = 0")
        await tx.commit()


async def test_events_of_a_subject_apply_in_order_whatever_order_they_came_in(process: Process) -> None:
    seen: list[tuple[str, int]] = []

    async def handler(event: Heard[OrgUnitChanged], _: Work) -> None:
        seen.append((event.subject, event.sequence))

    turning = reactor(process, handler)
    for sequence in (3, 1, 2):
        await put(process, "a", sequence)
        await put(process, "b", sequence + 10)
    assert await turning.drain_inbox() == 6
    assert [s for s in seen if s[0] == "a"] == [("a", 1), ("a", 2), ("a", 3)]
    assert await turning.drain_inbox() == 0


async def test_an_event_waits_for_the_one_before_it_that_got_lost_on_the_way(process: Process) -> None:
    seen: list[tuple[str, int]] = []

    async def handler(event: Heard[OrgUnitChanged], _: Work) -> None:
        seen.append((event.subject, event.sequence))

    turning = reactor(process, handler)
    first, second = ids.new_id(), ids.new_id()
    await put(process, "a", 2, second, after=first)
    await put(process, "a", 3, after=second)
    await put(process, "b", 4)
    assert await turning.drain_inbox() == 1
    assert await turning.drain_inbox() == 0
    await put(process, "a", 1, first)
    assert await turning.drain_inbox() == 3
    assert seen == [("b", 4), ("a", 1), ("a", 2), ("a", 3)]


async def test_what_only_its_owner_may_tell_is_not_believed_of_another(process: Process) -> None:
    seen: list[str] = []

    async def handler(event: Heard[OrgUnitChanged], _: Work) -> None:
        seen.append(event.source)

    turning = reactor(process, handler)
    forged = await put(process, "a", 1, source="funnel")
    await put(process, "b", 1)
    await drain(process, turning)
    assert seen == ["targets"]
    row = await process.database.reader.one("SELECT state, error FROM inbox WHERE id = %(id)s", {"id": forged})
    assert row is not None
    assert row["state"] == 2
    assert "only targets tells" in row["error"]


async def test_an_event_twice_acts_once(process: Process) -> None:
    seen: list[str] = []

    async def handler(event: Heard[OrgUnitChanged], _: Work) -> None:
        seen.append(event.id)

    turning = reactor(process, handler)
    event_id = await put(process, "a", 1)
    await turning.drain_inbox()
    await put(process, "a", 1, event_id)
    await turning.drain_inbox()
    assert seen == [event_id]


async def test_effects_and_mark_commit_together(process: Process) -> None:
    async def handler(event: Heard[OrgUnitChanged], doing: Work) -> None:
        doing.audit(event.subject, "seen", {}, {"n": event.sequence})

    turning = reactor(process, handler)
    await put(process, "a", 1)
    await turning.drain_inbox()
    rows = await process.database.reader.all("SELECT actor_id, cause FROM audit_entry")
    assert rows == [{"actor_id": f"event:{TYPE}", "cause": f"event:{TYPE}"}]


async def test_a_poison_event_parks_once_alone_and_can_be_redriven(process: Process) -> None:
    seen: list[int] = []
    broken = True

    async def handler(event: Heard[OrgUnitChanged], doing: Work) -> None:
        doing.audit(event.subject, "tried", {}, {"n": event.sequence})
        if event.sequence == 2 and broken:
            raise ValueError("poison")
        seen.append(event.sequence)

    turning = reactor(process, handler)
    for sequence in (1, 2, 3):
        await put(process, "a", sequence)
    await put(process, "other", 9)
    await turning.drain_inbox()
    # While the second waits for another attempt, the third of the same subject waits too; others do not.
    assert sorted(set(seen)) == [1, 9]
    await drain(process, turning)
    assert sorted(set(seen)) == [1, 3, 9]
    parked = await process.database.reader.all("SELECT sequence, attempts, error FROM inbox WHERE state = 2")
    assert parked == [{"sequence": 2, "attempts": 8, "error": "ValueError: poison"}]
    applied = await process.database.reader.value("SELECT count(*) FROM audit_entry WHERE action = 'tried'")
    assert applied == 3

    broken = False
    tx = process.database.transaction()
    tx.do("UPDATE inbox SET state = 0, attempts = 0, next_at = NULL WHERE state = 2")
    await tx.commit()
    await drain(process, turning, rounds=2)
    assert sorted(set(seen)) == [1, 2, 3, 9]


async def test_an_event_nobody_here_reacts_to_is_done_with(process: Process) -> None:
    process.slices = ()
    turning = Reactor(process)
    await put(process, "a", 1)
    assert await turning.drain_inbox() == 1
    assert await process.database.reader.value("SELECT state FROM inbox") == 1


def batch_reactor(process: Process, handler: object) -> Reactor:
    reactions = Reactions()
    reactions.batch(OrgUnitChanged)(handler)  # type: ignore[type-var]
    process.slices = (Slice("test", reactions=reactions),)
    return Reactor(process)


async def test_a_batch_reaction_gets_many_events_at_once_in_order_of_each_subject(process: Process) -> None:
    batches: list[list[tuple[str, int]]] = []

    async def handler(events: Sequence[Heard[OrgUnitChanged]], doing: Work) -> None:
        batches.append([(event.subject, event.sequence) for event in events])
        for event in events:
            doing.audit(event.subject, "seen", {}, {"n": event.sequence})

    turning = batch_reactor(process, handler)
    subjects = [f"s{n}" for n in range(40)]
    for sequence in (2, 1, 3):
        for number, subject in enumerate(subjects):
            await put(process, subject, sequence * 1000 + number)
    while await turning.drain_inbox():
        pass
    # Eight slots at most, however many events.
    assert len(batches) <= 8
    seen = [one for batch in batches for one in batch]
    for number, subject in enumerate(subjects):
        assert [n for s, n in seen if s == subject] == [1000 + number, 2000 + number, 3000 + number]
    assert await process.database.reader.value("SELECT count(*) FROM audit_entry") == 120


async def test_a_poison_event_in_a_batch_is_parked_alone_and_the_others_apply_once(process: Process) -> None:
    async def handler(events: Sequence[Heard[OrgUnitChanged]], doing: Work) -> None:
        for event in events:
            doing.audit(event.subject, "seen", {}, {"n": event.sequence})
        if any(event.sequence == 77 for event in events):
            raise ValueError("poison")

    turning = batch_reactor(process, handler)
    for sequence in range(70, 170):
        await put(process, f"s{sequence % 20}", sequence)
    await turning.drain_inbox()
    held = "SELECT sequence FROM inbox WHERE state = 0 ORDER BY sequence"
    # Those behind it, of its own subject, wait with it.
    assert [row["sequence"] for row in await process.database.reader.all(held)] == [77, 97, 117, 137, 157]
    await drain(process, turning)
    parked = await process.database.reader.all("SELECT sequence, attempts FROM inbox WHERE state <> 1")
    assert parked == [{"sequence": 77, "attempts": 8}]
    assert await process.database.reader.value("SELECT count(*) FROM audit_entry") == 99
    assert await process.database.reader.value("SELECT count(DISTINCT subject) FROM audit_entry") == 20


async def test_three_reactors_apply_every_event_once_and_in_order(process: Process) -> None:
    seen: list[tuple[str, int]] = []

    async def handler(events: Sequence[Heard[OrgUnitChanged]], doing: Work) -> None:
        # Seen only if it commits.
        for event in events:
            doing.tx.after_commit(partial(seen.append, (event.subject, event.sequence)))
        await doing.tx.value("SELECT pg_sleep(0.001)")

    turning = [batch_reactor(process, handler) for _ in range(3)]
    for sequence in range(300):
        await put(process, f"s{sequence % 30}", sequence)

    async def turn(reactor: Reactor) -> None:
        while await process.database.reader.value("SELECT count(*) FROM inbox WHERE state = 0"):
            await reactor.drain_inbox()

    await asyncio.gather(*map(turn, turning))
    assert len(seen) == len(set(seen)) == 300
    for subject in {s for s, _ in seen}:
        order = [n for s, n in seen if s == subject]
        assert order == sorted(order)


async def test_what_another_applied_between_our_look_and_our_lock_is_not_applied_again(process: Process) -> None:
    """A statement sees what was there when it began, and may get the lock of who has committed since."""

    async def handler(event: Heard[OrgUnitChanged], doing: Work) -> None:
        doing.audit(event.subject, "seen")
        faster = process.database.transaction()
        faster.do("UPDATE inbox SET state = 1")
        await faster.commit()

    turning = reactor(process, handler)
    await put(process, "a", 1)
    await turning.drain_inbox()
    assert await process.database.reader.value("SELECT count(*) FROM audit_entry") == 0
    assert await process.database.reader.all("SELECT state, attempts FROM inbox") == [{"state": 1, "attempts": 0}]


async def test_the_inbox_is_applied_when_its_bell_rings(process: Process) -> None:
    applied = asyncio.Event()

    async def handler(event: Heard[OrgUnitChanged], doing: Work) -> None:
        doing.tx.after_commit(applied.set)

    turning = reactor(process, handler)
    turning.start()
    try:
        await _eventually(lambda: turning.listening)
        await put(process, "a", 1)
        async with await psycopg.AsyncConnection.connect(process.settings.dsn, autocommit=True) as courier:
            await courier.execute(bells.RING, {"bell": bells.INBOX})
            await asyncio.wait_for(applied.wait(), 10)
    finally:
        await turning.stop()


async def test_events_told_ring_the_couriers_bell_once_they_are_committed(process: Process) -> None:
    async with await psycopg.AsyncConnection.connect(process.settings.dsn, autocommit=True) as courier:
        await courier.execute(bells.LISTEN.format(bell=bells.OUTBOX).encode())
        doing = work(process)
        doing.tell(ApprovalRequested(), "a")
        await doing.tx.commit()
        async for rung in courier.notifies(timeout=10, stop_after=1):
            assert rung.channel == bells.OUTBOX


async def _eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_waves_keep_the_order_of_each_subject_and_group_what_they_can() -> None:
    told = [("a", "won"), ("b", "changed"), ("a", "changed"), ("b", "won"), ("c", "won"), ("a", "changed")]
    events = [_Told("s", subject, type, number) for number, (subject, type) in enumerate(told)]
    grouped = [(type, [event.number for event in group]) for type, group in waves(events)]
    assert grouped == [("won", [0, 4]), ("changed", [1]), ("changed", [2, 5]), ("won", [3])]


@dataclass(frozen=True)
class _Told:
    source: str
    subject: str
    type: str
    number: int
