"""An event told is an event received: once, with all it carries, and acknowledged end to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from closedloop.common.v1.event_pb2 import Event
from closedloop.customers.v1.events_pb2 import LeadReceived
from closedloop_chassis import bells

from .conftest import Pair, rows

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_events_arrive_whole_and_their_outbox_rows_go(pair: Any, rows: Callable[..., Any]) -> None:
    pair.start()
    told = pair.tell(1200, traceparent=TRACE)
    pair.complete(told)
    received = rows(
        pair.consumer.dsn,
        "SELECT DISTINCT source, type, traceparent, state, attempts FROM inbox",
    )
    assert received == [("customers", "closedloop.customers.lead.received.v1", TRACE, 0, 0)]
    subject, slot, data, delay = rows(
        pair.consumer.dsn,
        "SELECT subject, slot, data, received_at - time FROM inbox ORDER BY sequence LIMIT 1",
    )[0]
    assert LeadReceived.FromString(data).lead_id == subject == "lead-0"
    assert 0 <= slot < 8
    assert delay.total_seconds() < 30
    orders = rows(pair.consumer.dsn, "SELECT count(DISTINCT sequence), count(DISTINCT (subject, slot)) FROM inbox")
    assert orders == [(1200, 7)]


def test_the_contract_says_who_receives_what() -> None:
    from closedloop_chassis.courier.routes import consumed_types

    lead = "closedloop.customers.lead.received.v1"
    assert lead in consumed_types("funnel") & consumed_types("targets")
    assert lead not in consumed_types("customers")
    assert consumed_types("nobody") == frozenset()


def test_an_event_sent_twice_arrives_once(pair: Any, rows: Callable[..., Any], eventually: Callable[..., None]) -> None:
    pair.start()
    told = pair.tell(3)
    pair.complete(told)
    row = rows(pair.consumer.dsn, f"SELECT source, type, subject, sequence, data FROM inbox WHERE id = '{told[0]}'")[0]
    event = Event(id=told[0], source=row[0], type=row[1], subject=row[2], sequence=row[3], data=row[4])
    event.time.GetCurrentTime()
    for _ in range(3):
        pair.broker.put("funnel.inbox", event.SerializeToString())
    eventually(lambda: pair.consumer.metric("closedloop_courier_duplicates_total") == 3, "repeats are noticed")
    assert sorted(pair.arrived()) == sorted(told)


def test_a_courier_asleep_is_woken_by_its_bell(
    broker: Any, new_courier: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    patient = {"CLOSEDLOOP_COURIER_ASLEEP_SECONDS": "300", "CLOSEDLOOP_COURIER_RESEND_SECONDS": "3000"}
    pair = Pair(broker, new_courier("customers", broker.url, **patient), new_courier("funnel", broker.url)).start()
    # Asleep: what nobody rings for stays where it is.
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    eventually(lambda: rows(pair.source.dsn, listening)[0][0] == 1, "the courier listens")
    with psycopg.connect(pair.consumer.dsn, autocommit=True) as reactor:
        reactor.execute(bells.LISTEN.format(bell=bells.INBOX))
        told = pair.tell(3)
        with psycopg.connect(pair.source.dsn, autocommit=True) as api:
            api.execute(bells.RING, {"bell": bells.OUTBOX})
        pair.complete(told)
        assert {rung.channel for rung in reactor.notifies(timeout=20, stop_after=1)} == {bells.INBOX}


def test_an_event_says_which_one_before_it_its_consumer_may_lack(
    pair: Any, rows: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    """lead-0 … lead-6, then lead-0 again. What got lost on the way comes later, and is waited for."""
    pair.source.extra["CLOSEDLOOP_COURIER_RESEND_SECONDS"] = "3000"
    pair.source.start()
    told = pair.tell(8)
    eventually(lambda: pair.broker.ready("funnel.inbox") == 8, "all are told")
    events = {event.id: event for event in map(Event.FromString, pair.broker.take("funnel.inbox"))}
    assert [dict(events[id].after) for id in told] == [{}] * 7 + [{"funnel": told[0]}]
    lost, last = events.pop(told[0]), events[told[7]]
    for event in events.values():
        pair.broker.put("funnel.inbox", event.SerializeToString())
    pair.consumer.start()
    eventually(lambda: len(pair.arrived()) >= 7, "the others arrive")
    waiting = "SELECT id::text, after_id::text FROM inbox WHERE after_id IS NOT NULL"
    assert rows(pair.consumer.dsn, waiting) == [(last.id, lost.id)]
    pair.source.kill()
    pair.source.extra.clear()
    pair.source.start()
    # The lost one is told again; what is told once it has arrived waits for nothing.
    pair.complete(told)
    pair.complete([*told, *pair.tell(1)])
    assert rows(pair.consumer.dsn, waiting) == [(last.id, lost.id)]


def test_replicas_share_the_work(
    pair: Any, new_courier: Callable[..., Any], rows: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    # On a slow machine receipts take their time; what is told again would be counted twice.
    patient = {"CLOSEDLOOP_COURIER_RESEND_SECONDS": "120"}
    pair.source.extra.update(patient)
    pair.start()
    couriers = [pair.source, pair.consumer]
    couriers += [new_courier(courier.service, courier.broker, courier.dsn, **patient).start() for courier in couriers]
    told = [id for _ in range(10) for id in pair.tell(300)]
    pair.complete(told)
    received = [couriers[at].metric("closedloop_courier_received_total") for at in (1, 3)]
    relayed = [couriers[at].metric("closedloop_courier_relayed_total") for at in (0, 2)]
    assert sum(received) == sum(relayed) == len(told)


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_sampled_trace_goes_on_and_an_unsampled_one_costs_nothing(
    pair: Any, collector: Any, eventually: Callable[..., None]
) -> None:
    for courier in (pair.source, pair.consumer):
        courier.extra["CLOSEDLOOP_OTLP_ENDPOINT"] = collector.url
    pair.start()
    told = pair.tell(5, traceparent=TRACE) + pair.tell(5, traceparent=TRACE[:-1] + "0")
    pair.complete(told)
    eventually(lambda: len(collector.spans) >= 10, "spans are exported")
    lead = "closedloop.customers.lead.received.v1"
    assert sorted(span.name for span in collector.spans) == [f"receive {lead}"] * 5 + [f"tell {lead}"] * 5
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE[3:35]}
    assert {span.parent_span_id.hex() for span in collector.spans} == {TRACE[36:52]}


def test_an_event_waits_for_a_consumer_that_was_never_started(pair: Any, eventually: Callable[..., None]) -> None:
    pair.source.start()
    told = pair.tell(50)
    eventually(lambda: pair.broker.ready("funnel.inbox") >= 50, "the broker keeps them")
    assert pair.outstanding() == 50
    pair.consumer.start()
    pair.complete(told)


def test_a_row_stays_until_the_last_consumer_has_acknowledged(
    pair: Any, rows: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    pair.start()
    pair.tell(10, waiting=("funnel", "targets"))
    waiting = "SELECT DISTINCT waiting FROM outbox"
    eventually(lambda: rows(pair.source.dsn, waiting) == [(["targets"],)], "funnel is struck")
    assert pair.outstanding() == 10
    pair.broker.put("customers.receipts", b"neither json nor anything")
    ids = [row[0] for row in rows(pair.source.dsn, "SELECT id::text FROM outbox")]
    quoted = ", ".join(f'"{id}"' for id in ids)
    pair.broker.put("customers.receipts", f'{{"consumer": "targets", "ids": [{quoted}]}}'.encode())
    eventually(lambda: pair.outstanding() == 0, "the last one is struck")


def test_poison_is_parked_once_and_stops_nobody(
    pair: Any, rows: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    pair.start()
    bodies = [
        b"\xff\xfe not protobuf",
        Event(id="not a uuid", source="customers", type="x").SerializeToString(),
        Event(id="0193b1c0-0000-7000-8000-000000000001", source="customers").SerializeToString(),
        Event(
            id="0193b1c0-0000-7000-8000-000000000002", source="customers", type="x", subject="a\0b"
        ).SerializeToString(),
    ]
    for body in [*bodies, bodies[0]]:
        pair.broker.put("funnel.inbox", body)
    told = pair.tell(20)
    pair.complete(told)
    parked = "SELECT data, error, parked_at IS NOT NULL FROM inbox WHERE state = 2"
    eventually(lambda: len(rows(pair.consumer.dsn, parked)) == 4, "all four are parked")
    found = rows(pair.consumer.dsn, parked)
    assert sorted(row[0] for row in found) == sorted(bodies)
    assert all(row[1] and row[2] for row in found)
    assert pair.broker.ready("funnel.inbox") == 0
