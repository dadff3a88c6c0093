"""`python -m closedloop_devstack.simulators` starts one simulator and leaves on SIGTERM."""

from __future__ import annotations

import imaplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

pytestmark = pytest.mark.timeout(60)


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """The addresses it prints; it must end by itself when told to."""
    command = [sys.executable, "-m", "closedloop_devstack.simulators", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "path"),
    [("procurement", "/search"), ("erp", "/system/token"), ("chat", "/_control/messages")],
)
def test_an_http_simulator_runs_until_it_is_told_to_stop(name: str, path: str) -> None:
    with running(name) as line:
        assert line.startswith(f"{name} http://127.0.0.1:")
        assert httpx.get(line.split()[1] + path).status_code == 200


def test_the_mail_server_prints_both_ports() -> None:
    with running("mail") as line:
        port = int(line.rpartition(":")[2])
        with imaplib.IMAP4("127.0.0.1", port, timeout=10) as imap:
            assert imap.login("a@b.test", "closedloop")[0] == "OK"


def test_a_taken_port_is_said_in_one_line() -> None:
    with running("chat") as line:
        port = line.rpartition(":")[2]
        command = [sys.executable, "-m", "closedloop_devstack.simulators", "erp", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert second.returncode == 1
        assert second.stderr.startswith(f"erp cannot listen on port {port}:")
        assert len(second.stderr.splitlines()) == 1
