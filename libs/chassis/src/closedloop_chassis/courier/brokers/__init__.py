"""What carries events between services: RabbitMQ, or the Redis of one machine.

Neither is trusted with the only copy of anything: a row leaves its outbox when every consumer has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from closedloop_chassis.courier.link import Link
    from closedloop_chassis.courier.pace import Pace
    from closedloop_chassis.settings import Settings

EVENT_CONTENT = "application/cloudevents+protobuf"
RECEIPT_CONTENT = "application/json"

# An exchange, "" for the queue of that name, and a routing key.
Route = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message and where it goes."""

    id: str
    content_type: str
    body: bytes
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order the broker delivered them. Neither method raises: what is not heard is delivered again."""

    bodies: Sequence[bytes]
    acknowledge: Callable[[], None]
    give_back: Callable[[], None]


class Press(Protocol):
    """Sends. One connection for one greenthread; a method raises when the broker is away, the next call reconnects."""

    def open(self) -> None: ...

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Returns when the broker has them all; when it raises it may have any of them."""

    def prepare(self, consumer: str, types: Sequence[str]) -> None:
        """Makes sure that the consumer's inbox queue exists and gets these types, also if it was never started."""

    def depth(self, consumer: str) -> int:
        """How many messages wait in the consumer's inbox queue."""

    def close(self) -> None: ...


class Subscription(Protocol):
    """Receives: `run` in one greenthread, `take` in another. Both wait for a broker that is away."""

    # An eventlet Event: sent when `run` has returned.
    ended: Any

    def run(self) -> None: ...

    def take(self, limit: int, timeout: float) -> Batch | None:
        """What has arrived, up to `limit`; None if nothing did for `timeout` seconds."""

    def stop(self) -> None: ...


class Broker(Protocol):
    @property
    def service(self) -> str: ...

    @property
    def pace(self) -> Pace: ...

    def press(self) -> Press: ...

    def inbox(self, link: Link) -> Subscription: ...

    def receipts(self, link: Link) -> Subscription: ...

    def event_routes(self, type: str, waiting: Collection[str], again: bool) -> tuple[Route, ...]:
        """Where an event goes that these consumers wait for, for the first time or again."""

    def receipt_routes(self, source: str) -> tuple[Route, ...]: ...


def broker(settings: Settings, service: str, pace: Pace) -> Broker:
    url = settings.amqp_url.get_secret_value()
    if url.startswith(("redis://", "rediss://", "unix://")):
        from closedloop_chassis.courier.brokers.redis_lists import RedisBroker

        return RedisBroker(url, service, pace)
    from closedloop_chassis.courier.brokers.rabbit import RabbitBroker

    return RabbitBroker(url, service, pace)


def inbox_name(service: str) -> str:
    return f"{service}.inbox"


def receipts_name(service: str) -> str:
    return f"{service}.receipts"
