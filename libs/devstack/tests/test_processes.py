"""A process is its pid and its birth; leftovers are found and ended, strangers are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop_devstack.processes.child import Child
from closedloop_devstack.processes.identity import Identity, alive, identify, myself
from closedloop_devstack.processes.ledger import Entry, Ledger

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [sys.executable, "-uc", "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(60)"]
WITH_CHILD = [
    sys.executable,
    "-uc",
    "import subprocess; subprocess.Popen(['sleep', '60']); print('two'); subprocess.time.sleep(60)",
]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def entry(name: str, identity: Identity, wave: int = 0) -> Entry:
    return Entry(name, wave, signal.SIGTERM, (identity,))


def test_a_recycled_pid_is_somebody_else(stranger: subprocess.Popen[bytes], tmp_path: Path) -> None:
    truth = identify(stranger.pid)
    assert truth
    recycled = Identity(stranger.pid, "an earlier boot:42")
    assert alive(truth)
    assert not alive(recycled)
    ledger = Ledger(tmp_path / "processes.json")
    ledger.note(entry("funnel.api", recycled))
    assert ledger.end_all(grace=1) == []
    assert stranger.poll() is None


def test_a_dead_process_nobody_waited_for_is_not_alive() -> None:
    process = subprocess.Popen(["true"])
    identity = identify(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identify(process.pid) is None
    assert identity is None or not alive(identity)
    process.wait()


def test_leftovers_are_ended_services_before_servers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ledger = Ledger(tmp_path / "processes.json")
    server, service = Child("postgresql", log, ledger, wave=1), Child("funnel.api", log, ledger)
    server.start(SLEEP, os.environ)
    service.start(DEAF, os.environ)
    while "deaf" not in log.read_text():
        assert service.alive
    successor = Ledger(tmp_path / "processes.json")
    assert successor.end_all(grace=0.5) == ["postgresql", "funnel.api"]
    assert (server.exit_code, service.exit_code) == (-signal.SIGTERM, -signal.SIGKILL)
    assert successor.entries() == []


def test_a_child_never_entered_is_found(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    ledger = Ledger(tmp_path / "processes.json")
    child = Child("funnel.api", tmp_path / "log", ledger)
    child.start(SLEEP, os.environ)
    ledger.strike("funnel.api")
    (ended,) = Ledger(tmp_path / "processes.json").end_all(grace=5)
    assert ended.endswith(f"({child.pid})")
    assert child.exit_code == -signal.SIGTERM
    assert stranger.poll() is None


def test_a_damaged_ledger_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    for damage in ("", "{", '[{"name": "x"}]', "7"):
        path.write_text(damage)
        assert Ledger(path).entries() == []
        assert Ledger(path).end_all() == []


def test_kill_ends_descendants_too(tmp_path: Path) -> None:
    child = Child("family", tmp_path / "log", Ledger(tmp_path / "processes.json"))
    child.start(WITH_CHILD, os.environ)
    while "two" not in child.log.read_text():
        assert child.alive
    child.note()
    (noted,) = Ledger(tmp_path / "processes.json").entries()
    assert len(noted.identities) == 2
    child.kill()
    assert not any(map(alive, noted.identities))
    assert Ledger(tmp_path / "processes.json").entries() == []


def test_stop_asks_first_and_kills_the_deaf(tmp_path: Path) -> None:
    child = Child("deaf", tmp_path / "log", Ledger(tmp_path / "processes.json"))
    child.start(SLEEP, os.environ)
    assert child.stop(grace=5) == -signal.SIGTERM
    child.start(DEAF, os.environ)
    while "deaf" not in child.log.read_text():
        assert child.alive
    assert child.stop(grace=0.3) == -signal.SIGKILL


def test_we_know_ourselves() -> None:
    assert alive(myself())
