"""What chaos acts on: three servers and the platform, with a proxy in front of every server and every api."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.processes.ledger import Ledger
from closedloop_devstack.servers import PostgresServer, RabbitServer, RedisServer
from closedloop_devstack.servers.server import Server
from closedloop_devstack.simulators.mail import MailServer
from closedloop_proofs.chaos import disk, plan
from closedloop_proofs.chaos.plan import SERVICES, Broker

# Servers, RabbitMQ with two ports more, and the proxy in front of each and of the five apis.
SERVER_PORTS = 5
READY_SECONDS = 180.0
# Little is laid by, so that a full disk is felt soon; and checkpoints are many.
# What was lost is told again after so long in a short run; else after half a minute, as everywhere.
SOONER = {"CLOSEDLOOP_COURIER_RESEND_SECONDS": "8"}
LITTLE_LOG = {"min_wal_size": "32MB", "max_wal_size": "128MB"}


class Wire:
    """The proxy, a process of its own."""

    def __init__(self, links: Mapping[str, tuple[int, int]]) -> None:
        self.links = links
        self.cuts: dict[str, int] = {}
        self._turn = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "closedloop_proofs.chaos.wire", json.dumps(links)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def order(self, link: str, do: str, **how: float) -> int:
        """Answers how many connections there are."""
        with self._turn:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"link": link, "do": do, **how}) + "\n")
            self._process.stdin.flush()
            answer = self._read()
            self.cuts[link] = int(answer["cuts"])
            return int(answer["connections"])

    def calm(self) -> None:
        for link in self.links:
            self.order(link, "calm")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PlatformError("the proxy of chaos died")
        return cast(dict[str, Any], json.loads(line))


class Ground:
    """All of it, running. `doors`: where clients find the services; `disk_is_small`: PostgreSQL's can be filled."""

    def __init__(
        self, platform: Platform, servers: Mapping[str, Server], wire: Wire, mail: MailServer, broker: Broker
    ) -> None:
        self.platform = platform
        self.servers = servers
        self.wire = wire
        self.mail = mail
        self.broker: Broker = broker
        self.disk_is_small = False

    @property
    def doors(self) -> dict[str, str]:
        return {name: f"{ports.LOOPBACK}:{self.wire.links[f'api.{name}'][0]}" for name in SERVICES}

    def database(self, service: str) -> str:
        """The database itself, with nobody in between."""
        return _at(self.platform.database(service), self.servers["postgres"].port)

    @property
    def broker_url(self) -> str:
        """The broker itself, with nobody in between."""
        return _at(self.platform.urls.broker, self.servers[self.broker].port)


@contextmanager
def prepared(folder: Path, broker: Broker, seconds: float) -> Iterator[Ground]:
    """Everything is up within the block, for a run of so many seconds, and nothing of it after."""
    with ExitStack() as stack:
        first = ports.free_block(SERVER_PORTS)
        ledger, logs = Ledger(folder / "servers" / "processes.json"), folder / "platform" / "logs"
        where = folder / "servers"
        small = disk.mountable()
        if small:
            stack.enter_context(disk.small(where / "postgres", seconds))
        servers: dict[str, Server] = {
            "postgres": PostgresServer(
                where / "postgres", first, ledger=ledger, log=logs / "postgres.log", settings=LITTLE_LOG
            ),
            "redis": RedisServer(where / "redis", first + 1, ledger=ledger, log=logs / "redis.log"),
        }
        if broker == "rabbitmq":
            servers["rabbitmq"] = RabbitServer(where / "rabbit", first + 2, ledger=ledger, log=logs / "rabbit.log")
        for server in servers.values():
            stack.callback(server.stop)
            server.launch()
        for server in servers.values():
            server.wait_ready()
        mail = MailServer()
        mail.start()
        stack.callback(mail.stop)
        base = ports.free_block(SIZE)
        links = _links(base, servers)
        wire = Wire(links)
        stack.callback(wire.close)
        platform = Platform(folder / "platform", _options(base, servers, links, mail, plan.is_short(seconds)))
        stack.callback(platform.stop)
        platform.start()
        ground = Ground(platform, servers, wire, mail, broker)
        ground.disk_is_small = small
        yield ground


def _links(base: int, servers: Mapping[str, Server]) -> dict[str, tuple[int, int]]:
    behind = {f"api.{service}": base + 10 * number for number, service in enumerate(SERVICES)}
    behind |= {name: server.port for name, server in servers.items()}
    # The platform leaves the ports from 60 on to servers, which are ours here.
    return {name: (base + 60 + number, port) for number, (name, port) in enumerate(behind.items())}


def _options(
    base: int, servers: Mapping[str, Server], links: Mapping[str, tuple[int, int]], mail: MailServer, short: bool
) -> Options:
    urls = {name: _at(server.url, links[name][0]) for name, server in servers.items()}
    return Options(
        port_base=base,
        broker="rabbitmq" if "rabbitmq" in servers else "redis",
        database_url=urls["postgres"],
        redis_url=urls["redis"],
        amqp_url=urls.get("rabbitmq", ""),
        ready_seconds=READY_SECONDS,
        environment={
            # A few callers play the whole company here.
            "CLOSEDLOOP_RATE_PER_CALLER": "0",
            "CLOSEDLOOP_INTEGRATIONS_SMTP_URL": f"smtp://{mail.host}:{mail.port}",
            "CLOSEDLOOP_INTEGRATIONS_MAIL_FROM": "Closedloop <sales@closedloop.example.com>",
            **(SOONER if short else {}),
        },
    )


def _at(url: str, port: int) -> str:
    parts = urlsplit(url)
    user, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}@{ports.LOOPBACK}:{port}" if user else f"{ports.LOOPBACK}:{port}"))
