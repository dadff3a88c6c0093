"""Revisions: counted up where something changes, read once for all who asked before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from closedloop_chassis.data.revisions import LOOK, Revisions
from closedloop_devstack.testing.service import Live

UP = "SELECT count_up(%(topics)s)"


class Counting:
    """A reader that counts how often it was asked."""

    def __init__(self, live: Live) -> None:
        self._reader = live.db
        self.looks = 0

    async def all(self, sql: str, params: dict[str, Any]) -> Any:
        assert sql == LOOK
        self.looks += 1
        return await self._reader.all(sql, params)


async def test_a_revision_is_as_new_as_the_question_and_one_look_serves_many(live: Live) -> None:
    reader = Counting(live)
    revisions = Revisions(reader)  # type: ignore[arg-type]
    assert await revisions.of(["a", "b"]) == (0, 0)
    one, two = live.process.database.transaction(), live.process.database.transaction()
    await one.all(UP, {"topics": ["a", "a", "b"]})
    await two.all(UP, {"topics": ["a"]})  # nobody waits for anybody
    assert await revisions.of(["a", "b"]) == (0, 0), "what is not committed does not count"
    await one.commit()
    assert await revisions.of(["b", "a"]) == (1, 1)
    await two.rollback()
    assert await revisions.of(["a"]) == (1,)
    reader.looks = 0
    found = await asyncio.gather(*(revisions.of(["a"]) for _ in range(50)))
    assert set(found) == {(1,)}
    assert reader.looks == 1


async def test_who_leaves_leaves_the_others_their_answer(live: Live) -> None:
    revisions = Revisions(live.db)
    leaving, staying = (asyncio.create_task(revisions.of(["a"])) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == (0,)
    with pytest.raises(asyncio.CancelledError):
        await leaving
