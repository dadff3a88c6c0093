"""A process that is asked to leave does, whatever comes in the same turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydantic import SecretStr

from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings


async def test_who_is_told_to_look_in_the_turn_in_which_he_leaves_leaves(
    service: Service, database: Callable[[Service], str]
) -> None:
    process = Process(service, Settings(database_url=SecretStr(database(service)), development=True))
    await process.start()
    await process.ready.wait()
    # The first look is over when it waits for the next.
    await asyncio.sleep(0.1)
    process.reload_soon()
    async with asyncio.timeout(30):
        await process.stop()
