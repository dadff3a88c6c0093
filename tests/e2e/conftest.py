"""Two whole platforms per session, one per broker, with a small company in each; a collector of their traces."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.home import project
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.testing.servers import require_rabbitmq
from closedloop_proofs.loop import Stage, found_company

from .collector import Collector

BROKERS = ("redis", "rabbitmq")
# Some requests of this module are acted on, rulebooks and policies among them: it comes last.
LAST = "test_fuzz"
ALONE = "test_demo"
ATTEMPTS = 3
# One application of WeCom's and one of DingTalk's.
CALLBACK = {"token": "token", "aes_key": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "receiver": "corp1"}
WEBHOOK_SECRET = "whsec_" + b64encode(b"of the end to end tests").decode()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LAST in item.nodeid)
    if config.pluginmanager.hasplugin("xdist"):
        # Where tests are shared out by group, each worker keeps one platform. The demo brings its own.
        for item in items:
            if Path(item.path).parent == Path(__file__).parent and ALONE not in item.nodeid:
                item.add_marker(pytest.mark.xdist_group(f"e2e-{_broker(item)}"))


def _broker(item: pytest.Item) -> str:
    named = "rabbitmq" in item.name or "over_rabbitmq" in getattr(item, "fixturenames", ())
    return "rabbitmq" if named else "redis"


@dataclass(frozen=True)
class Standing:
    """A platform that runs, how long it took to be healthy, and whether it had the machine to itself at first."""

    platform: Platform
    seconds: float
    alone: bool


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with Collector() as collecting:
        yield collecting


@pytest.fixture(scope="session")
def standing(
    session_folder: Path, request: pytest.FixtureRequest, collector: Collector
) -> Iterator[Callable[[str], Standing]]:
    """`standing("rabbitmq")`: started when first asked for. Logs of a session that failed are kept in build/e2e-logs."""
    started: dict[str, Standing] = {}

    def start(broker: str) -> Standing:
        if broker not in started:
            if broker == "rabbitmq":
                require_rabbitmq(request.config)
            started[broker] = _start(broker, session_folder, collector.url)
            asyncio.run(_found(started[broker].platform))
        return started[broker]

    yield start
    for broker, one in started.items():
        one.platform.stop()
        if request.session.testsfailed:
            shutil.copytree(one.platform.home.logs, project() / "build" / "e2e-logs" / broker, dirs_exist_ok=True)


def _start(broker: str, folder: Path, otlp_endpoint: str) -> Standing:
    for attempt in range(ATTEMPTS):
        options = Options(
            port_base=ports.free_block(SIZE),
            broker="rabbitmq" if broker == "rabbitmq" else "redis",
            ready_seconds=150,
            environment={
                "CLOSEDLOOP_OTLP_ENDPOINT": otlp_endpoint,
                "CLOSEDLOOP_TRACE_RATIO": "1",
                "CLOSEDLOOP_INTEGRATIONS_WEBHOOK_SECRET": WEBHOOK_SECRET,
                "CLOSEDLOOP_INTEGRATIONS_CALLBACKS": json.dumps(
                    {"wecom": {"sales": [CALLBACK]}, "dingtalk": {"sales": [CALLBACK, {"app_secret": "app-secret"}]}}
                ),
                # One caller plays the whole company here.
                "CLOSEDLOOP_RATE_PER_CALLER": "0",
            },
        )
        platform = Platform(Path(tempfile.mkdtemp(prefix=f"e2e-{broker}-", dir=folder)), options)
        alone = _idle()
        began = time.monotonic()
        try:
            return Standing(platform.start(), time.monotonic() - began, alone)
        except PlatformError as error:
            # Another session's platform took one of the ports since we looked.
            if "is taken by" not in str(error) or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _idle() -> bool:
    """Nobody works now, nor did in the last minute: others who begin together with us have collected tests till now."""
    return psutil.cpu_percent(0.5) < 20 and os.getloadavg()[0] < 0.5 * (os.cpu_count() or 1)


async def _found(platform: Platform) -> None:
    async with Stage(platform) as stage:
        await found_company(stage)


@pytest_asyncio.fixture(params=BROKERS)
async def stage(request: pytest.FixtureRequest, standing: Callable[[str], Standing]) -> AsyncIterator[Stage]:
    """The platform over each broker in turn."""
    async with Stage((await asyncio.to_thread(standing, request.param)).platform) as playing:
        yield playing


@pytest_asyncio.fixture
async def over_redis(standing: Callable[[str], Standing]) -> AsyncIterator[Stage]:
    async with Stage((await asyncio.to_thread(standing, "redis")).platform) as playing:
        yield playing


@pytest_asyncio.fixture
async def over_rabbitmq(standing: Callable[[str], Standing]) -> AsyncIterator[Stage]:
    async with Stage((await asyncio.to_thread(standing, "rabbitmq")).platform) as playing:
        yield playing


@pytest.fixture(scope="session")
def busy() -> Callable[[], float]:
    """How much slower than alone this machine is now: waiting processes per core, at least 1."""
    return lambda: max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
