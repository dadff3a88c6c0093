"""Every server starts, answers, and keeps its data through stop, kill and restart."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import amqp  # type: ignore[import-untyped]
import psycopg
import pytest
import redis

from closedloop_devstack import ports
from closedloop_devstack.debian import REFUSE, services_kept_down
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.servers import PostgresServer, RabbitServer, RedisServer, databases
from closedloop_devstack.servers.rabbit import scripts


@pytest.fixture(scope="module")
def server(session_folder: Path) -> Iterator[PostgresServer]:
    """One that may be crashed, as the platform runs it."""
    with PostgresServer(session_folder / "crashed-postgres") as server:
        yield server


class TestPostgres:
    def test_acknowledged_rows_survive_a_crash_and_a_restart(self, server: PostgresServer) -> None:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE deals (id int)")
            connection.execute("INSERT INTO deals VALUES (1)")
        server.kill()
        assert not server.alive
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT id FROM deals").fetchall() == [(1,)]
            connection.execute("INSERT INTO deals VALUES (2)")
        server.restart()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT count(*) FROM deals").fetchone() == (2,)

    def test_it_is_durable_large_enough_and_on_loopback_only(self, server: PostgresServer) -> None:
        with psycopg.connect(server.url) as connection:
            shown = {
                name: connection.execute(f"SHOW {name}").fetchone()
                for name in ("fsync", "synchronous_commit", "max_connections", "shared_buffers", "listen_addresses")
            }
        assert shown == {
            "fsync": ("on",),
            "synchronous_commit": ("on",),
            "max_connections": ("200",),
            "shared_buffers": ("16MB",),
            "listen_addresses": ("127.0.0.1",),
        }

    def test_it_asks_for_the_password(self, server: PostgresServer) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url.replace(":", ":wrong", 2).replace("postgresql:wrong", "postgresql:"))

    def test_a_lock_file_naming_somebody_elses_pid_does_not_keep_it_down(self, server: PostgresServer) -> None:
        server.kill()
        lock = server.folder / "data" / "postmaster.pid"
        _, _, rest = lock.read_text().partition("\n")
        lock.write_text(f"1\n{rest}")
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_a_second_server_over_the_same_folder_is_refused(self, server: PostgresServer) -> None:
        with pytest.raises(PlatformError, match=rf"A PostgreSQL \(pid {server.pid}\) already runs over"):
            PostgresServer(server.folder).start()

    def test_databases_are_made_once_copied_and_dropped(self, server: PostgresServer) -> None:
        url = databases.ensure(server.url, "model")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE stages (name text)")
        assert databases.ensure(server.url, "model") == url
        databases.seal(server.url, "model")
        copy = databases.create(server.url, "copy", "model")
        with psycopg.connect(copy) as connection:
            assert connection.execute("SELECT count(*) FROM stages").fetchone() == (0,)
        databases.drop(server.url, "copy")
        assert not databases.exists(server.url, "copy")


def test_redis_keeps_its_data_through_stop_and_crash(folder: Path) -> None:
    with RedisServer(folder) as server, redis.Redis.from_url(server.url) as client:
        client.set("stopped", "kept")
        server.restart()
        assert client.get("stopped") == b"kept"
        client.set("crashed", "kept")
        time.sleep(1.5)  # appendfsync everysec: what is older than a second is on disk
        server.kill()
        assert not server.alive
        server.start()
        assert client.get("crashed") == b"kept"
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    assert not ports.accepts(server.port)


def test_rabbit_keeps_confirmed_messages_through_crash_and_restart(rabbit: RabbitServer) -> None:
    def connection() -> amqp.Connection:
        user, _, password = rabbit.url.removeprefix("amqp://").partition("@")[0].partition(":")
        return amqp.Connection(
            f"127.0.0.1:{rabbit.port}", user, password, virtual_host="closedloop", confirm_publish=True
        )

    with connection() as opened:
        channel = opened.channel()
        channel.queue_declare("deals", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        for body in ("1", "2"):
            channel.basic_publish(amqp.Message(body, delivery_mode=2), routing_key="deals", timeout=10)
    time.sleep(2)  # a crash within half a second of a quorum queue's declaration leaves it without a leader
    rabbit.kill()
    assert not rabbit.alive
    rabbit.start()
    with connection() as opened:
        assert opened.channel().basic_get("deals", no_ack=True).body == "1"
    rabbit.restart()
    with connection() as opened:
        assert opened.channel().basic_get("deals", no_ack=True).body == "2"


def test_rabbit_gives_an_empty_virtual_host(rabbit: RabbitServer) -> None:
    url = rabbit.virtual_host("empty")
    assert url.endswith("/empty")
    user, _, password = url.removeprefix("amqp://").partition("@")[0].partition(":")
    with amqp.Connection(f"127.0.0.1:{rabbit.port}", user, password, virtual_host="empty") as connection:
        channel = connection.channel()
        channel.queue_declare("fresh")
        assert channel.queue_declare("fresh", passive=True).message_count == 0


def test_a_taken_port_is_named_with_its_holder(folder: Path) -> None:
    with RedisServer(folder / "first") as first:
        with pytest.raises(
            PlatformError, match=rf"Port {first.port}, wanted for Redis, is taken by .*redis-server.* \(pid \d+\)"
        ):
            RedisServer(folder / "second", first.port).start()
        assert not ports.is_free(first.port)


def test_a_server_that_cannot_start_says_its_last_line(folder: Path) -> None:
    server = RedisServer(folder)
    (folder / "data").mkdir()
    (folder / "data" / "appendonly.aof").write_bytes(b"*1\r\n$9\r\nnonsense\r\n" * 3)
    with pytest.raises(PlatformError, match=r"Redis ended at its start: .*redis\.log"):
        server.start()


def test_rabbit_missing_is_said_in_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert scripts() is None
    with pytest.raises(PlatformError, match="apt-get install rabbitmq-server"):
        RabbitServer(folder)


def test_set_up_goes_on_where_rabbitmq_cannot_be_installed(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "closedloop_devstack.servers.rabbit_install"],
        env={**os.environ, "PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert "apt-get install rabbitmq-server`. What needs it is skipped." in done.stderr


def test_packages_install_without_starting_services(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with services_kept_down(policy):
        assert policy.read_text() == REFUSE
        assert policy.stat().st_mode & 0o111
    assert not policy.exists()
    policy.write_text("#!/bin/sh\nexit 0\n")
    with services_kept_down(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()
