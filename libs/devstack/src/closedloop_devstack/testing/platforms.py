"""Whole platforms for end-to-end tests: home, ports and servers of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from closedloop_devstack import ports
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.testing.servers import require_rabbitmq


class StartPlatform(Protocol):
    """`platform(broker="rabbitmq")`: a started platform; keywords are those of `Options`."""

    def __call__(self, **options: Any) -> Platform: ...


@pytest.fixture(scope="module")
def platform(session_folder: Path, pytestconfig: pytest.Config) -> Iterator[StartPlatform]:
    """A factory; what it started is stopped after the module."""
    started: list[Platform] = []

    def start(**options: Any) -> Platform:
        chosen = Options.model_validate({"port_base": ports.free_block(SIZE), **options})
        if chosen.broker == "rabbitmq" and not chosen.amqp_url:
            require_rabbitmq(pytestconfig)
        home = Path(tempfile.mkdtemp(prefix="platform-", dir=session_folder))
        made = Platform(home, chosen)
        started.append(made)
        return made.start()

    yield start
    for made in reversed(started):
        made.stop()
