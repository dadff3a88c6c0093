"""The fixtures other packages rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from closedloop_chassis.service import Service
from closedloop_devstack import ports
from closedloop_devstack.platform.home import project
from closedloop_devstack.processes.identity import Identity
from closedloop_devstack.processes.owned import OWNER, sweep
from closedloop_devstack.servers import PostgresServer, RedisServer
from closedloop_devstack.testing.session import PREFIX

USES = """
def test_rabbit(rabbit): assert rabbit.alive
def test_rabbit_again(rabbit): assert rabbit.alive
def test_data(data_folder): assert data_folder.is_dir()
"""


def test_databases_are_migrated_fresh_and_apart(
    tiny_services: tuple[str, ...], database: Callable[[Service | str], str]
) -> None:
    from closedloop_echo.service import SERVICE  # type: ignore[import-not-found]

    first, second = database("echo"), database(SERVICE)
    with psycopg.connect(first) as one, psycopg.connect(second) as two:
        one.execute("INSERT INTO said VALUES ('only here')")
        one.commit()
        assert two.execute("SELECT count(*) FROM said").fetchone() == (0,)
        templates = two.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'template_echo%'").fetchone()
        assert templates == (1,)


def test_the_session_server_loses_nothing_when_it_is_killed(postgres: PostgresServer) -> None:
    """What is acknowledged has been written, if not synced: killing a server takes nothing from the machine's memory."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        assert connection.execute("SELECT current_setting('synchronous_commit')").fetchone() == ("on",)
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    postgres.kill()
    postgres.start()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        connection.execute("DROP TABLE kept")


def test_data_sets_are_where_they_were_said_to_be(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = run(tmp_path, "test_data", CLOSEDLOOP_TEST_DATA=str(tmp_path))
    assert "1 passed" in done.stdout


def run(folder: Path, select: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_uses.py").write_text(USES)
    environ = {name: value for name, value in os.environ.items() if name not in ("CI", "CLOSEDLOOP_TEST_DATA")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "closedloop_devstack.testing", "-p", "no:cacheprovider", "-k", select],
        cwd=folder,
        env={**environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("select", ["rabbit", "data"])
def test_what_is_missing_is_skipped_with_one_loud_line_and_never_in_ci(select: str, tmp_path: Path) -> None:
    missing = {"PATH": str(tmp_path), "CLOSEDLOOP_TEST_DATA": str(tmp_path / "nowhere")}
    line = {"rabbit": "SKIPPED: RabbitMQ is not installed", "data": "SKIPPED: There are no data sets in"}[select]
    skipped = run(tmp_path, select, **missing)
    assert skipped.returncode == 0
    assert skipped.stdout.count(line) == 1
    failed = run(tmp_path, select, **missing, CI="true")
    assert failed.returncode == 1
    assert "CI must not skip this" in failed.stdout


def test_a_killed_sessions_servers_are_ended_by_the_next(folder: Path) -> None:
    left = folder / f"{PREFIX}killed"
    left.mkdir()
    server = RedisServer(left / "redis").start()
    disown(left)
    sweep(folder, PREFIX)
    assert not ports.accepts(server.port)
    assert not left.exists()


def test_workers_that_start_at_once_do_not_stumble_over_each_other_in_what_was_left(folder: Path) -> None:
    left = folder / f"{PREFIX}killed"
    for number in range(2_000):
        (left / str(number)).mkdir(parents=True)
    disown(left)
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda _: sweep(folder, PREFIX), range(8)))
    assert not left.exists()


def disown(left: Path) -> None:
    dead = Identity(os.getpid(), "another boot:1")
    (left / OWNER).write_text(json.dumps({"pid": dead.pid, "born": dead.born}))


def test_the_project_is_found_from_anywhere_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert (project() / "libs" / "devstack" / "tests" / Path(__file__).name).exists()
