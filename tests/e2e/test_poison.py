"""An event that cannot be applied parks once, alone; it is seen and redriven through the API, and stops nobody."""

from __future__ import annotations

import psycopg
import pytest
from google.protobuf.struct_pb2 import Struct

from closedloop.customers.v1 import accounts_pb2, events_pb2
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import contract, ids
from closedloop_proofs import loop
from closedloop_proofs.loop import ADMIN, OPERATIONS, Stage

SERVICE = "funnel"
ATTEMPTS = 3
PUT = """
INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot)
VALUES (%(id)s, 'customers', %(type)s, %(subject)s, 1, clock_timestamp(), %(data)s, abs(hashtext(%(subject)s)) %% 8)
"""
ROW = "SELECT state, attempts FROM inbox WHERE id = %s"
MEND = "UPDATE inbox SET data = %(data)s WHERE id = %(id)s"
UNREADABLE = b"\xff\xff\xff\xff"


@pytest.mark.timeout(180)
async def test_a_poison_event(over_redis: Stage) -> None:
    stage = over_redis
    events = platform_pb2_grpc.EventServiceStub
    await _try_no_more_than(stage, ATTEMPTS)
    account_id = ids.new_id()
    # One cannot be parsed; the other can, and its handler cannot store it.
    status = accounts_pb2.ACCOUNT_STATUS_CUSTOMER
    good = events_pb2.AccountChanged(account_id=account_id, name="mended", status=status, version=1)
    unstorable = events_pb2.AccountChanged(account_id="no uuid", name="bad", status=status, version=1)
    poison = {ids.new_id(): UNREADABLE, ids.new_id(): unstorable.SerializeToString()}
    kind = contract.route(events_pb2.AccountChanged).type
    url = stage.platform.database(SERVICE)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for event_id, data in poison.items():
            await connection.execute(PUT, {"id": event_id, "type": kind, "subject": event_id, "data": data})

        # Everybody else goes on meanwhile.
        turn = await loop.play(stage, loop.new_turn())

        async def parked() -> list[platform_pb2.ParkedEvent] | None:
            found = await stage.ask(events, "ListParkedEvents", platform_pb2.ListParkedEventsRequest(), ADMIN, SERVICE)
            return list(found.events) if len(found.events) >= len(poison) else None

        seen = {event.event_id: event for event in await stage.until("the poison to park", parked)}
        assert set(seen) == set(poison)
        assert all(event.error and event.type == kind and event.source == "customers" for event in seen.values())
        for event_id in poison:
            assert await (await connection.execute(ROW, [event_id])).fetchone() == (2, ATTEMPTS)

        # Once its cause is mended, a redriven event is applied.
        for event_id in poison:
            await connection.execute(MEND, {"id": event_id, "data": good.SerializeToString()})
        again = platform_pb2.RedriveParkedEventsRequest(request_id=ids.new_id(), event_ids=list(poison))
        await stage.ask(events, "RedriveParkedEvents", again, ADMIN, SERVICE)
        await stage.settle()
        for event_id in poison:
            state, _ = await (await connection.execute(ROW, [event_id])).fetchone() or (None, None)
            assert state == 1
    await loop.expect_once(stage, [turn])


async def _try_no_more_than(stage: Stage, attempts: int) -> None:
    """Through the rulebook, so that parking takes seconds."""
    body = Struct()
    body.update({"attempts": attempts, "first_delay_seconds": 0.2})
    stub = platform_pb2_grpc.RulebookServiceStub
    request = platform_pb2.PublishRulebookRequest(
        request_id=ids.new_id(), name="platform.reactor", body=body, reason="poison parks sooner in this test"
    )
    await stage.ask(stub, "PublishRulebook", request, OPERATIONS, SERVICE)
