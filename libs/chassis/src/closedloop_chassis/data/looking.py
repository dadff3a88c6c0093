"""Reads of those who ask at once, as one: what `tx.write` is at a call's end, this is at its beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from psycopg_pool import PoolTimeout

from closedloop_chassis.data.lane import Lane

if TYPE_CHECKING:
    from closedloop_chassis.data.transaction import Reader

Question = TypeVar("Question")
Found = TypeVar("Found")
Look = Callable[["Reader", Sequence[Question]], Awaitable[Sequence[Found]]]


class _Asker(Generic[Question, Found]):
    def __init__(self, question: Question) -> None:
        self.question = question
        # What was found, in a list of one; None: the look failed for somebody, and each has to look alone.
        self.answer: asyncio.Future[Sequence[Found] | None] = asyncio.get_running_loop().create_future()
        # Who looks, and for whom, once it is under way.
        self.look: asyncio.Task[None] | None = None
        self.others: Sequence[_Asker[Question, Found]] = ()


class Looking(Generic[Question, Found]):
    """The looks of one kind that a process takes, one at a time, each for all who have asked meanwhile."""

    def __init__(self, look: Look[Question, Found], reader: Reader) -> None:
        self._look = look
        self._reader = reader
        self._lane: Lane[_Asker[Question, Found]] = Lane(self._go)

    async def ask(self, question: Question) -> Found:
        asker = _Asker[Question, Found](question)
        self._lane.join(asker)
        try:
            found = await asker.answer
        except asyncio.CancelledError:
            # Who leaves keeps nobody from looking; who leaves last has PostgreSQL stop.
            self._lane.leave(asker)
            if asker.look is not None and all(other.answer.done() for other in asker.others):
                asker.look.cancel()
            raise
        [answer] = found if found is not None else await self._look(self._reader, [question])
        return answer

    async def _go(self, group: Sequence[_Asker[Question, Found]]) -> None:
        for asker in group:
            asker.look, asker.others = asyncio.current_task(), group
        try:
            found = await self._look(self._reader, [asker.question for asker in group])
            for asker, answer in zip(group, found, strict=True):
                if not asker.answer.done():
                    asker.answer.set_result((answer,))
        except Exception as error:
            # Where no connection can be had, asking one by one would only add to the queue.
            alone = len(group) > 1 and not isinstance(error, PoolTimeout)
            for asker in group:
                if asker.answer.done():
                    continue
                if alone:
                    asker.answer.set_result(None)
                else:
                    asker.answer.set_exception(error)
        except asyncio.CancelledError:
            for asker in group:
                asker.answer.cancel()
            raise
