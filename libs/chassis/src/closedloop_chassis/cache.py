"""Redis as it may be: fast, shared, and gone at any moment. Nothing here raises because Redis is away."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# Waiting longer than this for a cache would be slower than asking PostgreSQL.
PATIENCE_SECONDS = 0.05
# After a failure nobody asks again for so long.
REST_SECONDS = 1.0


class Cache:
    """Bytes by key with a time to live. A miss and an absent Redis look the same."""

    def __init__(self, url: str, prefix: str, patience: float = PATIENCE_SECONDS) -> None:
        self._redis = Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=patience, max_connections=32)
        self._prefix = prefix
        self._rests_until = 0.0

    async def get(self, key: str) -> bytes | None:
        if time.monotonic() < self._rests_until:
            return None
        try:
            value = await self._redis.get(f"{self._prefix}:{key}")
        except (RedisError, OSError) as error:
            self._rest(error)
            return None
        return value.encode() if isinstance(value, str) else value

    async def put(self, key: str, value: bytes, ttl_seconds: float) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            await self._redis.set(f"{self._prefix}:{key}", value, px=int(ttl_seconds * 1000))
        except (RedisError, OSError) as error:
            self._rest(error)

    async def forget(self, *keys: str) -> None:
        if not keys or time.monotonic() < self._rests_until:
            return
        try:
            await self._redis.delete(*(f"{self._prefix}:{key}" for key in keys))
        except (RedisError, OSError) as error:
            self._rest(error)

    async def call_out(self, channel: str) -> None:
        """Tells whoever listens, in any process, to look now; unheard when Redis is away."""
        if time.monotonic() < self._rests_until:
            return
        try:
            await self._redis.publish(f"{self._prefix}:{channel}", b"")
        except (RedisError, OSError) as error:
            self._rest(error)

    def ear(self, channel: str) -> Ear:
        return Ear(self._redis, f"{self._prefix}:{channel}")

    async def close(self) -> None:
        try:
            await self._redis.aclose()
        except (RedisError, OSError) as error:
            log.debug("cache did not close", error=str(error))

    def _rest(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + REST_SECONDS
        log.warning("cache away, going on without", error=str(error))


class Ear:
    """Hears what is called out on one channel. Who relies on it looks by itself now and then."""

    def __init__(self, redis: Redis, channel: str) -> None:
        self._redis = redis
        self._channel = channel
        self._pubsub: PubSub | None = None

    async def wait(self, seconds: float, away_seconds: float) -> bool:
        """Until somebody has called out (True), or `seconds` have passed; at once after it began to listen, because of what
        was called out before; after `away_seconds` while Redis is away."""
        try:
            if self._pubsub is None:
                self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
                await self._pubsub.subscribe(self._channel)
                return False
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                # None is also what a confirmed subscription gives.
                if await self._pubsub.get_message(timeout=left) is not None:
                    return True
        except (RedisError, OSError) as error:
            log.debug("not listening", channel=self._channel, error=str(error))
            await self.close()
            await asyncio.sleep(away_seconds)
        return False

    async def close(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
