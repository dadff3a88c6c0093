"""Where the broker is, and what stands on it: exchanges, queues and routes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from kombu import Connection, Exchange, Queue, binding

from closedloop_chassis.courier.pace import Pace
from closedloop_chassis.settings import Settings

EVENTS = Exchange("closedloop.events", type="topic", durable=True)
RECEIPTS = Exchange("closedloop.receipts", type="direct", durable=True)

EVENT_CONTENT = "application/cloudevents+protobuf"
RECEIPT_CONTENT = "application/json"

# Replicated and on disk; refused to lose messages when a node goes. Redis ignores it.
QUORUM = {"x-queue-type": "quorum"}

Route = tuple[str, str]


@dataclass(frozen=True)
class Parcel:
    """One message for the broker, with the (exchange, routing key) pairs it goes to."""

    id: str
    content_type: str
    body: bytes
    routes: tuple[Route, ...]


def inbox_name(service: str) -> str:
    return f"{service}.inbox"


def inbox_queue(service: str, types: Iterable[str]) -> Queue:
    bindings = [binding(EVENTS, routing_key=type) for type in sorted(types)]
    return Queue(inbox_name(service), bindings=bindings, durable=True, queue_arguments=QUORUM)


def receipts_queue(service: str) -> Queue:
    return Queue(f"{service}.receipts", RECEIPTS, routing_key=service, durable=True, queue_arguments=QUORUM)


@dataclass(frozen=True)
class Broker:
    """RabbitMQ, or Redis on one machine; the difference ends in this class and in the two presses."""

    url: str
    service: str
    pace: Pace

    @classmethod
    def of(cls, settings: Settings, service: str, pace: Pace) -> Broker:
        return cls(settings.amqp_url.get_secret_value(), service, pace)

    @property
    def is_redis(self) -> bool:
        return self.url.startswith(("redis://", "rediss://", "sentinel://"))

    def connection(self, heartbeat: float = 0) -> Connection:
        """Not yet connected. The caller closes it."""
        if self.is_redis:
            return Connection(self.url, transport_options=self._redis_options())
        return Connection(self.url, heartbeat=heartbeat, connect_timeout=3)

    def event_routes(self, type: str, waiting: Collection[str], again: bool) -> tuple[Route, ...]:
        """Told again, an event goes only to those who still wait. So it always does over Redis, where the topic
        exchange is a table of routes that costs a look-up per message and does not survive a FLUSHALL."""
        if again or self.is_redis:
            return tuple(("", inbox_name(consumer)) for consumer in waiting)
        return ((EVENTS.name, type),)

    def receipt_routes(self, source: str) -> tuple[Route, ...]:
        return (("", f"{source}.receipts"),) if self.is_redis else ((RECEIPTS.name, source),)

    def _redis_options(self) -> dict[str, Any]:
        return {
            "global_keyprefix": "closedloop.",
            # Own bookkeeping per service, so that a courier gives back what its own replicas left behind.
            "unacked_key": f"{self.service}.unacked",
            "unacked_index_key": f"{self.service}.unacked_index",
            "unacked_mutex_key": f"{self.service}.unacked_mutex",
            "visibility_timeout": self.pace.visibility_seconds,
            # Look for abandoned messages at every pause, not at every tenth.
            "unacked_restore_throttle": 1,
            # A lock left by a killed courier must not hide abandoned messages for five minutes.
            "unacked_mutex_expire": 10,
            "socket_connect_timeout": 3,
            "socket_timeout": 10,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "priority_steps": [0],
        }
