"""The chassis alone, as a service without slices of its own, on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings

BARE = Service(name="bare", package="closedloop.platform.v1", slices=(), migrations=Path(__file__).parent / "none")


@pytest.fixture
def service() -> Service:
    return BARE


@pytest.fixture
async def process(service: Service, database: Callable[[Service], str]) -> AsyncIterator[Process]:
    process = Process(service, Settings(database_url=SecretStr(database(service)), development=True))
    await process.start()
    await process.ready.wait()
    yield process
    await process.stop()
