"""Redis as broker of one machine: a list per service for its inbox and one for its receipts.

A message is popped before it is in the inbox, so a courier that is killed loses at most one batch on its way. That
needs no bookkeeping here: the source tells again whatever nobody acknowledged, as it does after a FLUSHALL.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import eventlet
import redis
from eventlet.event import Event
from redis.backoff import NoBackoff
from redis.retry import Retry

from closedloop_chassis.courier.brokers import Batch, Parcel, Press, Route, Subscription, inbox_name, receipts_name
from closedloop_chassis.courier.link import Link
from closedloop_chassis.courier.pace import Pace

PREFIX = "closedloop."


@dataclass(frozen=True)
class RedisBroker:
    url: str
    service: str
    pace: Pace

    def client(self) -> Any:
        return redis.Redis.from_url(
            self.url,
            socket_connect_timeout=3,
            socket_timeout=self.pace.confirm_seconds,
            socket_keepalive=True,
            health_check_interval=10,
            # Whether a lost answer means a lost command is decided by the receipts, not by trying twice.
            retry=Retry(NoBackoff(), 0),
        )

    def press(self) -> Press:
        return RedisPress(self.client())

    def inbox(self, link: Link) -> Subscription:
        return RedisSubscription(self.client(), inbox_name(self.service), link)

    def receipts(self, link: Link) -> Subscription:
        return RedisSubscription(self.client(), receipts_name(self.service), link)

    def event_routes(self, type: str, waiting: Collection[str], again: bool) -> tuple[Route, ...]:
        return tuple(("", inbox_name(consumer)) for consumer in waiting)

    def receipt_routes(self, source: str) -> tuple[Route, ...]:
        return (("", receipts_name(source)),)


class RedisPress:
    """One pipeline per batch: Redis answers when all messages are in its lists."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def open(self) -> None:
        self._client.ping()

    def send(self, parcels: Sequence[Parcel]) -> None:
        queues: dict[str, list[bytes]] = {}
        for parcel in parcels:
            for _, queue in parcel.routes:
                queues.setdefault(queue, []).append(parcel.body)
        pipeline = self._client.pipeline(transaction=False)
        for queue, bodies in queues.items():
            pipeline.rpush(PREFIX + queue, *bodies)
        pipeline.execute()

    def prepare(self, consumer: str, types: Sequence[str]) -> None:
        """Nothing to do: a list is there as soon as something is pushed."""

    def depth(self, consumer: str) -> int:
        return int(self._client.llen(PREFIX + inbox_name(consumer)))

    def close(self) -> None:
        self._client.close()


class RedisSubscription:
    def __init__(self, client: Any, queue: str, link: Link) -> None:
        self._client = client
        self._list = PREFIX + queue
        self._link = link
        self.ended = Event()

    def run(self) -> None:
        self.ended.send()

    def take(self, limit: int, timeout: float) -> Batch | None:
        try:
            popped = self._client.blpop([self._list], timeout=timeout)
            self._link.up()
        except Exception as cause:
            eventlet.sleep(min(self._link.down(cause), timeout))
            return None
        if not popped:
            return None
        bodies = [popped[1], *self._more(limit - 1)]
        return Batch(bodies, acknowledge=_nothing, give_back=lambda: self._return(bodies))

    def stop(self) -> None:
        self._client.close()

    def _more(self, limit: int) -> list[bytes]:
        try:
            return (self._client.lpop(self._list, limit) or []) if limit else []
        except redis.RedisError:
            return []

    def _return(self, bodies: Sequence[bytes]) -> None:
        try:
            self._client.lpush(self._list, *reversed(bodies))
        except redis.RedisError as cause:
            self._link.down(cause)


def _nothing() -> None:
    """A popped message is gone from its list already."""
