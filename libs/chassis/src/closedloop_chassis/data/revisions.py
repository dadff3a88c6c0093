"""Revisions of topics: whether what an answer was made of has changed since.

They are counted up in the transaction that changes it (`count_up` in SQL, mostly by triggers) and read from PostgreSQL,
so they are exact whichever replica wrote. A look costs a round trip; one look serves all who asked before it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader

LOOK = "SELECT topic, sum(value) AS value FROM revision WHERE topic = ANY(%(topics)s) GROUP BY topic"

# Where several asked together last time, more are on their way: a look costs as much as a call, and they can share it. Who
# asks alone does not wait.
GATHER_SECONDS = 0.001

Waiter = asyncio.Future[dict[str, int]]


class Revisions:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._topics: set[str] = set()
        self._waiters: list[Waiter] = []
        self._looking: asyncio.Task[None] | None = None
        self._together = 0

    async def of(self, topics: Collection[str]) -> tuple[int, ...]:
        """As they are now, in the order of the topics: never older than the call. Raises psycopg's error."""
        self._topics.update(topics)
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="revisions")
        found = await waiter
        return tuple(found.get(topic, 0) for topic in topics)

    async def _look(self) -> None:
        """One look after the other for as long as somebody waits."""
        try:
            while self._waiters:
                if self._together > 1:
                    await asyncio.sleep(GATHER_SECONDS)
                topics, self._topics = list(self._topics), set()
                waiters, self._waiters = self._waiters, []
                self._together = len(waiters)
                await self._serve(topics, waiters)
        finally:
            self._looking = None

    async def _serve(self, topics: list[str], waiters: list[Waiter]) -> None:
        try:
            found = await self._reader.all(LOOK, {"topics": rows.array(topics)})
        except BaseException as error:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        values = {row["topic"]: row["value"] for row in found}
        for waiter in waiters:
            # Whoever left does not wait any more.
            if not waiter.done():
                waiter.set_result(values)
