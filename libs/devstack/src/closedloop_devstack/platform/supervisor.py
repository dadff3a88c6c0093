"""The supervisor: brings everything up in order, keeps it up, takes it down."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Self

from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import last_line
from closedloop_devstack.platform import environment, outside
from closedloop_devstack.platform.collate import Collator
from closedloop_devstack.platform.environment import ServerUrls
from closedloop_devstack.platform.home import Home, Phase, State
from closedloop_devstack.platform.layout import ROLES, Layout
from closedloop_devstack.platform.migration import Migration
from closedloop_devstack.platform.options import Options
from closedloop_devstack.platform.process import ServiceProcess
from closedloop_devstack.processes.identity import myself
from closedloop_devstack.servers import PostgresServer, RabbitServer, RedisServer
from closedloop_devstack.servers.server import Server

TICK_SECONDS = 0.2
TOKEN_SECONDS = 3600.0
REVIVAL_SECONDS = 2.0
REPEAT_SECONDS = 5.0
STOP_SECONDS = 20.0
# A process that falls this often before it was ever well will not become well by waiting.
HOPELESS = 4


class Platform:
    """One platform in one home. `start` returns when all is healthy; else it raises PlatformError and leaves nothing.

    `postgres`, `redis` and `rabbit` are ours to stop and kill, or None where a server outside is used.
    """

    def __init__(
        self,
        home: Path,
        options: Options,
        say: Callable[[str], None] = lambda _: None,
        echo: Callable[[str], None] | None = None,
    ):
        self.home = Home(home)
        self.options = options
        self.layout = Layout(options.port_base, options.services)
        self.processes: dict[str, ServiceProcess] = {}
        self.notes: list[str] = []
        self.postgres: PostgresServer | None = None
        self.redis: RedisServer | None = None
        self.rabbit: RabbitServer | None = None
        self._say = say
        self._echo = echo
        self._held = ExitStack()
        self._turn = RLock()
        self._ended = Event()
        self._watch: Thread | None = None
        self._phase: Phase = "stopped"
        self._message = ""
        self._progress: list[str] = []
        self._me = myself()
        self._written: tuple[State, float] | None = None
        self._next_revival = 0.0

    # What it offers to those who use it.

    def address(self, service: str) -> str:
        return self.layout.address(service)

    def token(self, person: str, *roles: str, hours: float = 12.0) -> str:
        return self.home.keys.token(person, roles, hours)

    def database(self, service: str) -> str:
        return self.urls.database(service)

    @property
    def urls(self) -> ServerUrls:
        postgres = self.postgres.url if self.postgres else self.options.database_url
        redis = self.redis.url if self.redis else self.options.redis_url
        broker = self.rabbit.url if self.rabbit else self.options.amqp_url or environment.broker_on(redis)
        return ServerUrls(postgres, redis, broker)

    def wait_healthy(self, *names: str, seconds: float = 30.0) -> None:
        """Until the named processes (none named: all) are found healthy anew. Raises PlatformError."""
        waited = [self.processes[name] for name in names] or list(self.processes.values())
        for process in waited:
            process.doubt()
        give_up = time.monotonic() + seconds
        while unwell := [process for process in waited if process.condition != "healthy"]:
            if time.monotonic() > give_up:
                raise PlatformError(_complaint(unwell[0], seconds))
            time.sleep(0.1)

    # Up.

    def start(self) -> Self:
        self._held.enter_context(self.home.claimed())
        self.processes, self.notes, self._progress = {}, [], []
        self._ended.clear()
        try:
            self.home.logs.mkdir(parents=True, exist_ok=True)
            self._enter("starting", "")
            if left := self.home.ledger.end_all():
                self._tell(f"ended {len(left)} processes left over by a supervisor that died: {', '.join(left)}")
            self._choose()
            self._start_servers_and_migrate()
            self._start_processes()
        except BaseException as error:
            self._fail(error)
            raise
        self._enter("ready", "")
        return self

    def _choose(self) -> None:
        """Which services exist, which servers are ours, and whether their ports are free."""
        missing = [service for service in self.options.services if not _runnable(service)]
        if missing:
            self._tell(f"not installed, hence not started: {', '.join(missing)}")
        options, layout, folder, logs = self.options, self.layout, self.home.servers, self.home.logs
        advice = "choose other ports, e.g. CLOSEDLOOP_PORT_BASE=8400"
        ledger = self.home.ledger
        if not options.database_url:
            ports.require_free({"PostgreSQL": layout.postgres}, advice)
            self.postgres = PostgresServer(
                folder / "postgres", layout.postgres, ledger=ledger, log=logs / "postgres.log"
            )
        if not options.redis_url:
            ports.require_free({"Redis": layout.redis}, advice)
            self.redis = RedisServer(folder / "redis", layout.redis, ledger=ledger, log=logs / "redis.log")
        if options.broker == "rabbitmq" and not options.amqp_url:
            ports.require_free({"RabbitMQ": layout.rabbit}, advice)
            self.rabbit = RabbitServer(folder / "rabbit", layout.rabbit, ledger=ledger, log=logs / "rabbit.log")
        ports.require_free(layout.wanted(), advice)
        outside.require(options)
        for service in self.options.services:
            for role in ROLES if service not in missing else ():
                environ = partial(self._environment, service, role)
                process = ServiceProcess(service, role, layout, environ, logs, ledger)
                self.processes[process.name] = process

    @property
    def _servers(self) -> list[Server]:
        return [server for server in (self.postgres, self.redis, self.rabbit) if server]

    def _start_servers_and_migrate(self) -> None:
        migration = Migration(self.home.logs / "migrate.log") if self.processes else None
        try:
            self._start_servers()
            if migration:
                self._migrate(migration)
        finally:
            if migration:
                migration.cancel()

    def _start_servers(self) -> None:
        began = time.monotonic()
        for server in self._servers:
            server.launch()
        for server in self._servers:
            server.wait_ready()
            self._tell_progress(f"{server.title} is ready ({time.monotonic() - began:.1f} s)")
        self._watch = Thread(target=self._keep, name="supervisor", daemon=True)
        self._watch.start()

    def _migrate(self, migration: Migration) -> None:
        services = sorted({process.service for process in self.processes.values()})
        began = time.monotonic()
        urls = {service: self.urls.database(service) for service in services}
        start = self.options.start_time.isoformat() if self.options.development and self.options.start_time else ""
        migration.run({"server": self.urls.postgres, "databases": urls, "start_time": start})
        self._tell_progress(f"{len(services)} databases are migrated ({time.monotonic() - began:.1f} s)")

    def _start_processes(self) -> None:
        began = time.monotonic()
        with self._turn:
            for process in self.processes.values():
                process.start()
        seen = 0
        while unwell := [process for process in self.processes.values() if process.condition != "healthy"]:
            if (well := len(self.processes) - len(unwell)) != seen:
                seen = well
                self._tell_progress(f"{well} of {len(self.processes)} processes are healthy")
            hopeless = [process for process in unwell if process.crashes >= HOPELESS]
            waited = time.monotonic() - began
            if hopeless or waited > self.options.ready_seconds:
                raise PlatformError(_complaint((hopeless or unwell)[0], waited))
            time.sleep(0.1)
        if self.processes:
            self._tell_progress(f"all {len(self.processes)} processes are healthy ({time.monotonic() - began:.1f} s)")

    def _environment(self, service: str, role: str) -> dict[str, str]:
        return environment.of_process(service, role, self.options, self.layout, self.urls, self.home.keys)

    # Kept up.

    def _keep(self) -> None:
        collator = Collator(self.home.logs, self._echo)
        tokens_due = time.monotonic() + TOKEN_SECONDS
        while not self._ended.wait(TICK_SECONDS):
            try:
                collator.turn()
                for server in self._servers:
                    self._revive(server)
                for process in list(self.processes.values()):
                    with self._turn:
                        process.tick()
                if time.monotonic() > tokens_due:
                    tokens_due += TOKEN_SECONDS
                    for service in {process.service for process in self.processes.values()}:
                        self.home.keys.write_service_token(service)
                self._publish()
            except OSError as error:  # a full disk must not end supervision
                self._say(f"{type(error).__name__}: {error}")
        collator.turn()

    def _revive(self, server: Server) -> None:
        with self._turn:
            if not server.wanted or server.alive or time.monotonic() < self._next_revival:
                return
            self._next_revival = time.monotonic() + REVIVAL_SECONDS
            self._note(f"{server.title} died and is started again")
            try:
                server.launch()
            except PlatformError as error:
                self._say(str(error))

    # Down.

    def stop(self) -> None:
        """Services first, all at once, then the servers they stand on."""
        if self._phase == "stopped":
            return
        self._enter("stopping", "")
        self._take_down()
        self._enter("stopped", "")
        self._held.close()

    def _fail(self, error: BaseException) -> None:
        self._take_down()
        expected = isinstance(error, PlatformError) or not isinstance(error, Exception)
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        self._enter("failed", message)
        self._held.close()
        self._phase = "stopped"

    def _take_down(self) -> None:
        with self._turn:
            for process in self.processes.values():
                process.ask_to_stop()
            give_up = time.monotonic() + STOP_SECONDS
            for process in self.processes.values():
                process.stop(max(0.1, give_up - time.monotonic()))
            self._ended.set()
            for server in reversed(self._servers):
                server.stop()
        if self._watch:
            self._watch.join(10)

    # What it says about itself.

    def _tell_progress(self, line: str) -> None:
        self._say(line)
        self._progress.append(line)
        self._publish()

    def _note(self, note: str) -> None:
        """Kept for `make status`; the last twenty."""
        self.notes = [*self.notes, note][-20:]
        self._say(note)
        self._publish()

    def _tell(self, note: str) -> None:
        self.notes = [*self.notes, note]
        self._tell_progress(note)

    def _enter(self, phase: Phase, message: str) -> None:
        self._phase, self._message = phase, message
        self._publish()

    def _publish(self) -> None:
        urls = {}
        if self._phase == "ready":
            urls = {"postgres": self.urls.postgres, "redis": self.urls.redis, "broker": self.urls.broker}
        state = State(
            supervisor_pid=self._me.pid,
            supervisor_born=self._me.born,
            phase=self._phase,
            message=self._message,
            progress=self._progress,
            options=self.options,
            processes=[process.state for process in self.processes.values()],
            servers=urls,
            notes=self.notes,
        )
        # Repeated now and then, so that a state somebody damaged mends itself.
        with self._turn:
            if not self._written or self._written[0] != state or time.monotonic() > self._written[1] + REPEAT_SECONDS:
                self.home.write(state)
                self._written = (state, time.monotonic())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _runnable(service: str) -> bool:
    spec = find_spec(f"closedloop_{service}")
    folders = spec.submodule_search_locations if spec else None
    return any((Path(folder) / "__main__.py").exists() for folder in folders or ())


def _complaint(process: ServiceProcess, seconds: float) -> str:
    said = last_line(process.log) or "it said nothing"
    if process.condition == "crashed":
        fell = f"fell {process.crashes} times (exit code {process.exit_code})"
        return f"{process.name} {fell}: {said} (all of it in {process.log})."
    return f"{process.name} is not healthy after {seconds:.0f} s: {said} (all of it in {process.log})."
