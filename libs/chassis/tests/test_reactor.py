"""The inbox: applied in order and once; a poison event is parked alone and can be redriven."""

from __future__ import annotations

from closedloop.targets.v1.events_pb2 import OrgUnitChanged
from closedloop_chassis import ids
from closedloop_chassis.events.reactor import Reactor
from closedloop_chassis.process import Process
from closedloop_chassis.service import Reactions, Slice
from closedloop_chassis.work import Heard, Work

TYPE = "closedloop.targets.org_unit.changed.v1"
PUT = """
INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot)
VALUES (%(id)s, 'targets', %(type)s, %(subject)s, %(sequence)s, %(time)s, %(data)s, abs(hashtext(%(subject)s)) %% 8)
ON CONFLICT (id) DO NOTHING
"""


async def put(process: Process, subject: str, sequence: int, event_id: str = "") -> str:
    event_id = event_id or ids.new_id()
    tx = process.database.transaction()
    data = OrgUnitChanged(unit_id=subject, version=sequence).SerializeToString()
    row = {"id": event_id, "type": TYPE, "subject": subject, "sequence": sequence, "time": process.time.now()}
    tx.do(PUT, {**row, "data": data})
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
