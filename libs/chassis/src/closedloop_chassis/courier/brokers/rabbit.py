"""RabbitMQ: a topic exchange for events, one quorum queue per service for its inbox and one for its receipts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from kombu import Connection, Exchange, Queue, binding

from closedloop_chassis.courier import routes
from closedloop_chassis.courier.brokers import Press, Route, Subscription, inbox_name, receipts_name
from closedloop_chassis.courier.link import Link
from closedloop_chassis.courier.pace import Pace

EVENTS = Exchange("closedloop.events", type="topic", durable=True)
RECEIPTS = Exchange("closedloop.receipts", type="direct", durable=True)

# Replicated and on disk; kept when a node goes.
QUORUM = {"x-queue-type": "quorum"}


def inbox_queue(service: str, types: Iterable[str]) -> Queue:
    bindings = [binding(EVENTS, routing_key=type) for type in sorted(types)]
    return Queue(inbox_name(service), bindings=bindings, durable=True, queue_arguments=QUORUM)


def receipts_queue(service: str) -> Queue:
    return Queue(receipts_name(service), RECEIPTS, routing_key=service, durable=True, queue_arguments=QUORUM)


@dataclass(frozen=True)
class RabbitBroker:
    url: str
    service: str
    pace: Pace

    def connection(self, heartbeat: float = 0) -> Connection:
        """Not yet connected. The caller closes it."""
        return Connection(self.url, heartbeat=heartbeat, connect_timeout=3)

    def press(self) -> Press:
        from closedloop_chassis.courier.brokers.rabbit_press import RabbitPress

        return RabbitPress(self)

    def inbox(self, link: Link) -> Subscription:
        return self._subscription(inbox_queue(self.service, routes.consumed_types(self.service)), link)

    def receipts(self, link: Link) -> Subscription:
        return self._subscription(receipts_queue(self.service), link)

    def event_routes(self, type: str, waiting: Collection[str], again: bool) -> tuple[Route, ...]:
        # Told again, an event goes past the exchange, only to those who still wait.
        if again:
            return tuple(("", inbox_name(consumer)) for consumer in waiting)
        return ((EVENTS.name, type),)

    def receipt_routes(self, source: str) -> tuple[Route, ...]:
        return ((RECEIPTS.name, source),)

    def _subscription(self, queue: Queue, link: Link) -> Subscription:
        from closedloop_chassis.courier.brokers.rabbit_subscription import RabbitSubscription

        return RabbitSubscription(self, queue, link)
