"""Answers that are kept, encoded, for as long as nothing they speak of has changed.

An answer belongs to its question (the RPC, the request's bytes, who asks with which roles), to the organisation and the
rulebooks in memory, to the revisions of its topics, and to a span of time. The revisions are read from PostgreSQL at every
call, before the answer is taken or made: nobody is shown less than what was committed when the question came, whichever
replica wrote it and whatever became of Redis.

It is kept in the process, and in Redis for the other replicas and the next start. The key in Redis has all of the above
in it, so nothing there ever has to be forgotten in time; where Redis is away, answers are made.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
from google.protobuf.message import Message

from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.telemetry.metrics import ANSWERS
from closedloop_chassis.work import Call

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

# In the process; the one that was not asked for longest makes room.
MOST_ANSWERS = 10_000
MOST_BYTES = 16 << 20
# In Redis; whoever asks again within it finds it there.
REMEMBERED_SECONDS = 300.0

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

OF_MEMORY, OF_REDIS, MADE = (ANSWERS.labels(source) for source in ("memory", "redis", "made"))

Key = tuple[str, bytes, str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Topics:
    """What an answer speaks of, and until when that holds by itself."""

    names: tuple[str, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class _Kept:
    topics: Topics
    incarnation: str
    revisions: tuple[int, ...]
    org: OrgSnapshot
    rulebooks: int
    since: datetime
    answer: bytes


class Answers:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0

    def keeps(self, key: Key) -> bool:
        return key in self._kept

    async def again(self, key: Key) -> bytes | None:
        """What was answered before, if that still holds."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        found = await self._look(kept.topics.names)
        holds = self._holds(kept, found)
        if self._kept.get(key) is kept:
            if holds:
                self._kept.move_to_end(key)
            else:
                # Whoever asks does not look for it once more.
                self._bytes -= len(self._kept.pop(key).answer)
        if not holds:
            return None
        OF_MEMORY.inc()
        return kept.answer

    async def answer(
        self, call: Call, topics: Callable[[], Awaitable[Topics]], make: Callable[[], Awaitable[Message]]
    ) -> bytes:
        """What `make` answers or has answered before. `topics` is asked first where nothing is kept: the answer speaks of
        nothing else, besides the organisation and the rulebooks, until then."""
        key: Key = (call.method.full_name, call.payload, call.caller.subject, call.caller.roles)
        if (answer := await self.again(key)) is not None:
            return answer
        about = await topics()
        incarnation = self._process.incarnation
        found = await self._look(about.names)
        org, rulebooks = call.org, self._process.rulebooks.revision
        if not incarnation or incarnation != self._process.incarnation:
            return (await make()).SerializeToString()
        shared = self._shared_key(key, about, found)
        answer = await self._from_redis(shared, call.now)
        if answer is None:
            answer = (await make()).SerializeToString()
            MADE.inc()
            await self._to_redis(shared, answer, call.now, about.until)
        self._keep(key, _Kept(about, incarnation, found, org, rulebooks, call.now, answer))
        return answer

    async def _look(self, topics: tuple[str, ...]) -> tuple[int, ...]:
        try:
            return await self._process.revisions.of(topics)
        except psycopg.OperationalError:
            # Whatever answers next may be another one.
            self._process.incarnation = ""
            raise

    def _holds(self, kept: _Kept, found: tuple[int, ...]) -> bool:
        process, now = self._process, self._process.time.now()
        return (
            kept.revisions == found
            and kept.incarnation == process.incarnation
            and kept.org is process.org.current
            and kept.rulebooks == process.rulebooks.revision
            and kept.since <= now < kept.topics.until
            and not process.rulebooks.changed_between(kept.since, now)
        )

    def _keep(self, key: Key, kept: _Kept) -> None:
        before = self._kept.pop(key, None)
        self._kept[key] = kept
        self._bytes += len(kept.answer) - (len(before.answer) if before else 0)
        while self._bytes > MOST_BYTES or len(self._kept) > MOST_ANSWERS:
            self._bytes -= len(self._kept.popitem(last=False)[1].answer)

    def _shared_key(self, key: Key, about: Topics, found: tuple[int, ...]) -> str:
        method, payload, subject, roles = key
        memory = self._process.memory_revisions
        told = repr(
            (payload, subject, sorted(roles), about.names, found, sorted(memory.items()), self._process.release)
        )
        return f"{method}:{hashlib.sha256(told.encode()).hexdigest()}"

    async def _from_redis(self, key: str, now: datetime) -> bytes | None:
        found = await self._process.cache.get(key)
        if found is None:
            return None
        since, until = (int.from_bytes(found[at : at + 8], "big") for at in (0, 8))
        if not since <= (now - EPOCH) // MICROSECOND < until or self._process.rulebooks.changed_between(
            EPOCH + since * MICROSECOND, now
        ):
            return None
        OF_REDIS.inc()
        return found[16:]

    async def _to_redis(self, key: str, answer: bytes, now: datetime, until: datetime) -> None:
        span = b"".join(((moment - EPOCH) // MICROSECOND).to_bytes(8, "big") for moment in (now, until))
        seconds = min((until - now).total_seconds(), REMEMBERED_SECONDS)
        if seconds >= 1:
            await self._process.cache.put(key, span + answer, seconds)
