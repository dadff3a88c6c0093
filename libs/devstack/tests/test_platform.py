"""The supervisor over two tiny services: up in order, kept up, down without remains."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.platform.memory import footprints
from closedloop_devstack.servers import PostgresServer, RedisServer
from closedloop_devstack.testing.platforms import StartPlatform

NAMES = {"echo.api", "echo.courier", "ping.api", "ping.courier"}


def options(**chosen: object) -> Options:
    return Options.model_validate({"port_base": ports.free_block(SIZE), "services": ("echo", "ping"), **chosen})


def eventually(holds: Callable[[], bool], seconds: float = 15) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_up_kept_up_and_down_again(tiny_services: tuple[str, ...], folder: Path) -> None:
    said: list[str] = []
    platform = Platform(folder, options(), said.append)
    with platform:
        assert set(platform.processes) == NAMES
        assert {process.condition for process in platform.processes.values()} == {"healthy"}
        state = platform.home.read()
        assert state
        assert (state.phase, state.supervised) == ("ready", True)
        with psycopg.connect(platform.database("echo")) as connection:
            connection.execute("INSERT INTO said VALUES ('hello')")
            assert connection.execute("SELECT current_database()").fetchone() == ("closedloop_echo",)
        with psycopg.connect(platform.database("ping")) as connection:
            assert connection.execute("SELECT to_regclass('outbox')").fetchone() != (None,)

        fallen = platform.processes["echo.api"]
        before = fallen.pid
        fallen.kill()
        assert fallen.pid is None
        platform.wait_healthy("echo.api")
        assert fallen.crashes == 1
        assert fallen.pid != before

        assert platform.redis
        crashed = platform.redis.pid
        assert crashed
        psutil_kill(crashed)
        eventually(lambda: platform.redis is not None and platform.redis.alive and platform.redis.pid != crashed)
        assert any("Redis died" in note for note in platform.notes)

        pids = [process.pid for process in platform.processes.values()]
        # The new Redis is entered a moment after it lives.
        eventually(lambda: {row.name for row in footprints(platform.home.ledger)} == {*NAMES, "postgresql", "redis"})
    assert all(pid and not Path(f"/proc/{pid}").exists() for pid in pids)
    assert {path.name for path in folder.glob("gone.*")} == {f"gone.{name}" for name in NAMES}
    assert platform.home.ledger.entries() == []

    together = (folder / "logs" / "all.log").read_text()
    ready = [line for line in together.splitlines() if line.startswith("ping.courier") and '"ready"' in line]
    told = json.loads(ready[0].partition("|")[2])
    assert told["peers"] == {"echo": platform.address("echo")}
    assert told["token"].endswith("service-ping.token")
    assert any("PostgreSQL is ready" in line for line in said)

    with platform, psycopg.connect(platform.database("echo")) as connection:
        assert connection.execute("SELECT line FROM said").fetchall() == [("hello",)]


def psutil_kill(pid: int) -> None:
    import psutil

    psutil.Process(pid).kill()


def test_a_server_stopped_on_purpose_stays_down(tiny_services: tuple[str, ...], platform: StartPlatform) -> None:
    started = platform(services=("echo",))
    assert started.redis
    started.redis.kill()
    time.sleep(3)
    assert not started.redis.alive
    started.redis.start()
    started.processes["echo.courier"].stop(5)
    time.sleep(1)
    assert started.processes["echo.courier"].condition == "stopped"
    started.processes["echo.courier"].start()
    started.wait_healthy("echo.courier")


def test_rabbitmq_as_the_broker(
    tiny_services: tuple[str, ...], platform: StartPlatform, pytestconfig: pytest.Config
) -> None:
    started = platform(services=("echo",), broker="rabbitmq")
    assert started.rabbit
    assert started.urls.broker == started.rabbit.url
    assert started.urls.broker.startswith("amqp://")


def test_a_process_that_never_gets_well_fails_the_start_and_leaves_nothing(
    tiny_services: tuple[str, ...], folder: Path
) -> None:
    (folder / "fall.ping.courier").touch()
    platform = Platform(folder, options())
    with pytest.raises(
        PlatformError, match=r"ping\.courier fell \d times \(exit code 1\): nothing works without coffee"
    ):
        platform.start()
    state = platform.home.read()
    assert state
    assert state.phase == "failed"
    assert "coffee" in state.message
    assert platform.home.ledger.entries() == []
    assert not ports.accepts(platform.layout.postgres)
    (folder / "fall.ping.courier").unlink()
    with platform:
        assert platform.processes["ping.courier"].condition == "healthy"


def test_a_taken_port_is_told_before_anything_starts(tiny_services: tuple[str, ...], folder: Path) -> None:
    chosen = options()
    with (
        socket.create_server(("127.0.0.1", chosen.port_base + 10)),
        pytest.raises(
            PlatformError, match=rf"Port {chosen.port_base + 10}, wanted for ping's gRPC.*CLOSEDLOOP_PORT_BASE"
        ),
    ):
        Platform(folder, chosen).start()
    assert not (folder / "servers").exists()


def test_services_not_installed_are_noted_and_left_out(tiny_services: tuple[str, ...], folder: Path) -> None:
    with Platform(folder, options(services=("echo", "unwritten"))) as platform:
        assert set(platform.processes) == {"echo.api", "echo.courier"}
        assert platform.notes == ["not installed, hence not started: unwritten"]


def test_a_home_has_one_platform(tiny_services: tuple[str, ...], folder: Path) -> None:
    with (
        Platform(folder, options(services=("echo",))),
        pytest.raises(PlatformError, match="Another platform is running"),
    ):
        Platform(folder, options()).start()


def test_servers_already_running_are_used(
    tiny_services: tuple[str, ...], folder: Path, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    chosen = options(database_url=postgres.url, redis_url=redis_server.url, services=("echo",))
    with Platform(folder, chosen) as platform:
        assert (platform.postgres, platform.redis, platform.rabbit) == (None, None, None)
        assert platform.urls.broker == redis_server.database(1)
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'closedloop_echo'").fetchone()
        port = platform.layout.ports("echo").courier_metrics
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert answer.status == 200
    assert postgres.alive
    assert redis_server.alive


def test_servers_outside_that_do_not_answer_are_named(tiny_services: tuple[str, ...], folder: Path) -> None:
    closed = ports.free_port()
    with pytest.raises(
        PlatformError, match=rf"Nothing answers at 127.0.0.1:{closed}, which CLOSEDLOOP_REDIS_URL names"
    ):
        Platform(folder, options(redis_url=f"redis://127.0.0.1:{closed}/0")).start()
    with pytest.raises(PlatformError, match=rf"PostgreSQL at 127.0.0.1:{closed}, which CLOSEDLOOP_DATABASE_URL names"):
        Platform(folder, options(database_url=f"postgresql://a:b@127.0.0.1:{closed}/postgres")).start()
    with pytest.raises(PlatformError, match="CLOSEDLOOP_AMQP_URL begins with kafka://, which is none we speak"):
        Platform(folder, options(amqp_url="kafka://127.0.0.1")).start()


def test_a_wrong_setting_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEDLOOP_PORT_BASE", "many")
    with pytest.raises(PlatformError, match="CLOSEDLOOP_PORT_BASE=many will not do"):
        Options.from_environment()
