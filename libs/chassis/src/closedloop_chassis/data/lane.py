"""One group under way at a time: those who come in one turn of the loop, or while others are under way, go together.

Nobody waits for company: who finds nobody under way goes at the end of the turn in which he came, which is when all who
came with him have. The busier a process, the larger its groups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

# More at once would make those wait who came first, and save little more.
MOST = 32
# Who waits longer, for a lock or for the disk, does not keep the next from going.
PATIENCE_SECONDS = 0.02

Member = TypeVar("Member")


class Lane(Generic[Member]):
    """`go(group)` is run for each group, as nobody's own: in a task, with a context, that are none of its members'.

    `picked(waiting)` says who of them goes now, one at least; without it the first MOST.
    """

    def __init__(
        self,
        go: Callable[[list[Member]], Coroutine[Any, Any, None]],
        picked: Callable[[Sequence[Member]], list[Member]] = lambda waiting: list(waiting[:MOST]),
    ) -> None:
        self._go = go
        self._picked = picked
        self._closed = False
        self._waiting: list[Member] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, member: Member) -> None:
        self._waiting.append(member)
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._depart)

    def leave(self, member: Member) -> bool:
        """Whether it could still be left behind."""
        if member not in self._waiting:
            return False
        self._waiting.remove(member)
        return True

    def _depart(self) -> None:
        if not self._waiting:
            self._closed = False
            return
        group = self._picked(self._waiting)
        gone = set(map(id, group))
        self._waiting = [member for member in self._waiting if id(member) not in gone]
        passed = False

        def over() -> None:
            nonlocal passed
            late.cancel()
            if not passed:
                passed = True
                self._depart()

        loop = asyncio.get_running_loop()
        late = loop.call_later(PATIENCE_SECONDS, over)
        task = loop.create_task(self._go(group), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: over())
