"""The commands behind `make up` and its sisters, as a user types them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import psutil
import psycopg
import pytest

from closedloop_devstack import ports
from closedloop_devstack.platform.home import Home
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.processes.identity import alive

UP = ("up", "--only", "echo,ping")


class Shell:
    """Runs commands against one home."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.base = ports.free_block(SIZE)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment(**environment), capture_output=True, text=True, timeout=90
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "closedloop_devstack", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "CLOSEDLOOP_HOME": str(self.home.root),
            "CLOSEDLOOP_PORT_BASE": str(self.base),
            "COLUMNS": "200",
            **more,
        }


@pytest.fixture
def shell(folder: Path, tiny_services: tuple[str, ...]) -> Iterator[Shell]:
    shell = Shell(folder)
    yield shell
    shell.run("down")


def test_a_day_with_the_platform(shell: Shell) -> None:
    up = shell.run(*UP)
    assert up.returncode == 0, up.stdout + up.stderr
    assert f"127.0.0.1:{shell.base + 10}" in up.stdout
    token = re.search(r"CLOSEDLOOP_TOKEN=(\S+)", up.stdout)
    assert token
    assert jwt.decode(token[1], options={"verify_signature": False})["roles"] == ["admin", "operations"]

    again = shell.run(*UP)
    assert again.returncode == 0
    assert "already up" in again.stdout

    status = shell.run("status", "--memory")
    assert status.returncode == 0, status.stdout + status.stderr
    assert status.stdout.count("healthy") == 4
    assert "PSS MiB" in status.stdout

    book = json.loads(shell.run("addresses", "--json").stdout)
    assert book["services"]["ping"]["grpc"] == f"127.0.0.1:{shell.base + 10}"
    assert book["development"] is True
    with psycopg.connect(book["servers"]["postgres"].replace("/postgres", "/closedloop_echo")) as connection:
        connection.execute("INSERT INTO said VALUES ('before')")

    minted = shell.run("token", "--person", "li.na", "--roles", "rep, manager", "--hours", "1").stdout.strip()
    claims = jwt.decode(minted, options={"verify_signature": False})
    assert (claims["sub"], claims["roles"]) == ("li.na", ["manager", "rep"])

    logs = shell.run("logs", "-n", "500")
    assert re.search(r"^echo\.api +\| .*ready", logs.stdout, re.MULTILINE)
    unknown = shell.run("logs", "nobody.api")
    assert (unknown.returncode, "There is no log nobody.api" in unknown.stderr) == (1, True)

    down = shell.run("down")
    assert (down.returncode, "its data stays" in down.stdout) == (0, True)
    assert "was not up" in shell.run("down").stdout
    assert shell.run("status").returncode == 1
    assert "Traceback" not in shell.run("status").stderr

    assert shell.run(*UP, "--production-like").returncode == 0
    book = json.loads(shell.run("addresses", "--json").stdout)
    assert book["development"] is False
    with psycopg.connect(book["servers"]["postgres"].replace("/postgres", "/closedloop_echo")) as connection:
        assert connection.execute("SELECT line FROM said").fetchall() == [("before",)]


def test_a_killed_supervisor_is_cleaned_up_after(shell: Shell) -> None:
    assert shell.run(*UP).returncode == 0
    supervisor = shell.home.holder()
    assert supervisor
    left = [entry.identities[0] for entry in shell.home.ledger.entries()]
    assert len(left) == 6
    os.kill(supervisor.pid, signal.SIGKILL)
    while alive(supervisor):
        time.sleep(0.05)
    assert all(map(alive, left))
    assert "The supervisor died" in shell.run("status").stderr

    up = shell.run(*UP)
    assert up.returncode == 0, up.stdout + up.stderr
    assert "ended 6 processes left over" in up.stdout
    assert not any(map(alive, left))

    supervisor = shell.home.holder()
    assert supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    while alive(supervisor):
        time.sleep(0.05)
    assert "Ended 6 processes left over" in shell.run("down").stdout
    assert shell.home.ledger.entries() == []


def test_a_half_started_stack_is_cleaned_up_after(shell: Shell) -> None:
    (shell.home.root / "fall.ping.api").touch()
    starting = shell.start(*UP)
    while not any(entry.name == "echo.api" for entry in shell.home.ledger.entries()):
        assert starting.poll() is None
        time.sleep(0.05)
    supervisor = shell.home.holder()
    assert supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    out, _ = starting.communicate(timeout=30)
    assert starting.returncode == 1
    assert "The supervisor died while starting" in out

    failing = shell.run(*UP)
    assert failing.returncode == 1
    assert "nothing works without coffee" in failing.stderr
    assert "Traceback" not in failing.stdout + failing.stderr
    assert shell.home.ledger.entries() == []

    (shell.home.root / "fall.ping.api").unlink()
    assert shell.run(*UP).returncode == 0


def test_stale_and_damaged_state_does_not_matter(shell: Shell) -> None:
    assert shell.run(*UP).returncode == 0
    state = shell.home.root / "state.json"
    stale = state.read_text()
    assert shell.run("down").returncode == 0
    # A state of a platform long gone, whose supervisor's pid is ours by now.
    told = json.loads(stale)
    told["supervisor_pid"] = os.getpid()
    state.write_text(json.dumps(told))
    (shell.home.root / "lock").write_text(f"{os.getpid()} somebody:1")
    assert shell.run("status").returncode == 1
    up = shell.run(*UP)
    assert up.returncode == 0, up.stdout + up.stderr
    assert psutil.pid_exists(os.getpid())
    state.write_text('{"half')
    time.sleep(7)
    assert shell.run("status").returncode == 0
    state.write_text('{"half')
    assert "its data stays" in shell.run("down").stdout


def test_a_taken_port_ends_up_in_one_sentence(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", shell.base)):
        up = shell.run(*UP)
    assert up.returncode == 1
    assert re.fullmatch(
        rf"Port {shell.base}, wanted for echo's gRPC, is taken by .*; end it or choose .*\.\n", up.stderr
    )


def test_two_at_once_start_one_platform(shell: Shell) -> None:
    both = [shell.start(*UP), shell.start(*UP)]
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert len(shell.home.ledger.entries()) == 6


def test_foreground_shows_logs_and_ends_with_ctrl_c(shell: Shell) -> None:
    process = shell.start(*UP, "--foreground")
    while not ((state := shell.home.read()) and state.phase == "ready"):
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert re.search(r"^ping\.courier +\| .*ready", out, re.MULTILINE)
    assert shell.home.ledger.entries() == []


def test_a_supervisor_asked_to_stop_while_starting_leaves_nothing(shell: Shell) -> None:
    (shell.home.root / "fall.ping.api").touch()
    starting = shell.start(*UP)
    while not any(entry.name == "echo.api" for entry in shell.home.ledger.entries()):
        assert starting.poll() is None
        time.sleep(0.05)
    assert "its data stays" in shell.run("down").stdout
    out, _ = starting.communicate(timeout=30)
    assert starting.returncode == 1
    assert "asked to stop while it was starting" in out
    assert shell.home.ledger.entries() == []
