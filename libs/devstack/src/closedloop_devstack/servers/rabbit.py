"""RabbitMQ out of Debian's package, as a node of its own: name, ports, folder, cookie."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

import amqp  # type: ignore[import-untyped]

from closedloop_devstack import accounts, ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import write_whole
from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.processes.child import Child
from closedloop_devstack.processes.ledger import Ledger
from closedloop_devstack.servers.server import Server

NODE = "closedloop@localhost"
USER = VHOST = "closedloop"
HOW_TO_GET = (
    "RabbitMQ is not installed: `make setup` as root on Debian or Ubuntu, or `apt-get install rabbitmq-server`."
)
# Debian puts a wrapper in the path that insists on the system's own node; the real scripts stand here.
DEBIAN = Path("/usr/lib/rabbitmq/bin")


def scripts() -> Path | None:
    """The folder of RabbitMQ's scripts; None where it, or Erlang, is missing."""
    if shutil.which("erl") is None or shutil.which("epmd") is None:
        return None
    if (DEBIAN / "rabbitmq-server").exists():
        return DEBIAN
    found = shutil.which("rabbitmq-server")
    return Path(found).resolve().parent if found else None


class RabbitServer(Server):
    """`url` names the virtual host `closedloop`; `virtual_host(name)` makes others. Takes `port` and two more."""

    title: ClassVar[str] = "RabbitMQ"
    ready_seconds: ClassVar[float] = 90.0

    def __init__(
        self, folder: Path, port: int | None = None, *, ledger: Ledger | None = None, log: Path | None = None
    ) -> None:
        super().__init__(folder, port or ports.free_block(3), ledger=ledger, log=log)
        found = scripts()
        if found is None:
            raise PlatformError(HOW_TO_GET)
        self._scripts = found
        self._account = accounts.other_than_root("rabbitmq")
        self._epmd_port, self._peer_port = self.port + 1, self.port + 2
        self._epmd = Child("rabbitmq-epmd", self.log, self._ledger, wave=1)

    @property
    def url(self) -> str:
        return self._url_of(VHOST)

    def virtual_host(self, name: str) -> str:
        """Makes the virtual host with all rights for our user; answers its URL. Takes some seconds."""
        self._control("add_vhost", name)
        self._control("set_permissions", "-p", name, USER, ".*", ".*", ".*")
        return self._url_of(name)

    def stop(self) -> None:
        super().stop()
        self._epmd.stop(5)

    def _url_of(self, virtual_host: str) -> str:
        return f"amqp://{USER}:{self._password()}@{LOOPBACK}:{self.port}/{virtual_host}"

    def _launch(self) -> None:
        ports.require_free({"RabbitMQ's peers": self._peer_port}, "choose another port")
        self._write_configuration()
        if not self._epmd.alive:
            ports.require_free({"Erlang's port mapper": self._epmd_port}, "choose another port")
            epmd = shutil.which("epmd") or "epmd"
            command = [epmd, "-port", str(self._epmd_port), "-address", LOOPBACK]
            self._epmd.start(self._account.command(command), self._environment(), cwd=Path("/"))
        server = [str(self._scripts / "rabbitmq-server")]
        self._child.start(self._account.command(server), self._environment(), cwd=self._node)

    def _is_ready(self) -> bool:
        try:
            with amqp.Connection(
                f"{LOOPBACK}:{self.port}", USER, self._password(), virtual_host=VHOST, connect_timeout=2, read_timeout=5
            ) as connection:
                return bool(connection.connected)
        except (OSError, amqp.exceptions.AMQPError):
            return False

    @property
    def _node(self) -> Path:
        return self.folder / "node"

    def _write_configuration(self) -> None:
        self._node.mkdir(mode=0o750, exist_ok=True)
        cookie = self._node / ".erlang.cookie"
        if not cookie.exists():
            write_whole(cookie, secrets.token_hex(16), mode=0o400)
        settings = {
            "listeners.tcp.1": f"{LOOPBACK}:{self.port}",
            "default_user": USER,
            "default_pass": self._password(),
            "default_vhost": VHOST,
            "log.file": "false",
            "log.console": "true",
            "log.console.level": "warning",
            "disk_free_limit.absolute": "50MB",
            "raft.wal_max_size_bytes": "67108864",  # its default claims half a gigabyte of disk at once
        }
        write_whole(self._node / "rabbitmq.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
        write_whole(self._node / "enabled_plugins", "[].\n")
        write_whole(self._node / "rabbitmq-env.conf", "")
        accounts.hand_over(self._node, self._account)

    def _environment(self) -> dict[str, str]:
        node = self._node
        idle = "+sbwt none +sbwtdcpu none +sbwtdio none"  # schedulers sleep instead of spinning
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(node),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(self._peer_port),
            "RABBITMQ_CONF_ENV_FILE": str(node / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(node / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(node / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(node / "mnesia"),
            "RABBITMQ_SCHEMA_DIR": str(node / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(node / "config"),
            "RABBITMQ_LOG_BASE": str(node / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {idle}",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node instead of waiting beside it
        }

    def _control(self, *arguments: str) -> None:
        """Runs rabbitmqctl against this node. Raises PlatformError with its last line."""
        done = subprocess.run(
            self._account.command([str(self._scripts / "rabbitmqctl"), "--node", NODE, *arguments]),
            env=self._environment(),
            cwd=self._node,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise PlatformError(f"`rabbitmqctl {arguments[0]}` failed: {lines[-1]}")
