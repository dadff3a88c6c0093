"""Two tiny services, importable here and in the processes we start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SERVICES = Path(__file__).parent / "services"


@pytest.fixture
def tiny_services(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Puts `closedloop_echo` and `closedloop_ping` on the path of this process and of its children."""
    monkeypatch.syspath_prepend(str(SERVICES))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SERVICES), os.environ.get("PYTHONPATH", "")]))
    return ("echo", "ping")


@pytest.fixture
def folder(session_folder: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own that servers under other accounts can reach."""
    made: Path = session_folder / request.node.name.replace("[", "-").replace("]", "")
    made.mkdir()
    return made
