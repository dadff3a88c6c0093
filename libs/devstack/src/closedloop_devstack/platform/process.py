"""One supervised process of a service."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from closedloop_devstack.platform import health
from closedloop_devstack.platform.home import Condition, ProcessState
from closedloop_devstack.platform.layout import Layout
from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.processes.child import Child
from closedloop_devstack.processes.ledger import Ledger

FIRST_DELAY, LONGEST_DELAY = 0.5, 15.0
# Whoever lived this long begins again with the first delay.
SETTLED_SECONDS = 30.0
PROBE_STARTING, PROBE_RUNNING = 0.25, 5.0


class ServiceProcess:
    """`python -m closedloop_<service> <role>`; revived with growing delays while `wanted`."""

    def __init__(
        self,
        service: str,
        role: str,
        layout: Layout,
        environment: Callable[[], Mapping[str, str]],
        logs: Path,
        ledger: Ledger,
    ) -> None:
        self.service, self.role = service, role
        self.name = f"{service}.{role}"
        self.wanted = False
        self.condition: Condition = "stopped"
        self.crashes = 0
        # Added to its environment from its next start on.
        self.extra: dict[str, str] = {}
        self._environment = environment
        self._grpc = layout.address(service) if role == "api" else ""
        self._metrics_port = layout.ports(service).metrics(role)
        self._child = Child(self.name, logs / f"{self.name}.log", ledger)
        self._delay = FIRST_DELAY
        self._started = self._next_start = self._next_probe = 0.0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child.alive else None

    @property
    def log(self) -> Path:
        return self._child.log

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code

    @property
    def address(self) -> str:
        """gRPC of an api, HTTP of a courier."""
        return self._grpc or f"{LOOPBACK}:{self._metrics_port}"

    @property
    def state(self) -> ProcessState:
        return ProcessState(
            name=self.name, condition=self.condition, pid=self.pid, restarts=self.crashes, address=self.address
        )

    def start(self) -> None:
        if not self._child.alive:
            environment = {**self._environment(), **self.extra}
            self._child.start([sys.executable, "-m", f"closedloop_{self.service}", self.role], environment)
            self._started = time.monotonic()
            self.condition, self._next_probe = "starting", self._started
        self.wanted = True

    def tick(self) -> None:
        """Looks once: revives what crashed when its delay is over, probes when a probe is due."""
        now = time.monotonic()
        if not self.wanted:
            return
        if self._child.alive:
            if now >= self._next_probe:
                self._probe()
        elif self.condition != "crashed":
            self._fell(now)
        elif now >= self._next_start:
            self.start()

    def ask_to_stop(self) -> None:
        self.wanted = False
        self._child.ask_to_stop()

    def stop(self, grace: float) -> int | None:
        """SIGTERM, and SIGKILL after `grace` seconds; it stays down. Answers the exit code."""
        self.wanted = False
        code = self._child.stop(grace)
        self.condition = "stopped"
        return code

    def kill(self) -> None:
        """SIGKILL, dead on return; the supervisor revives it if it is wanted."""
        self._child.kill()

    def doubt(self) -> None:
        """Healthy only counts again after the next probe."""
        if self.condition == "healthy":
            self.condition, self._next_probe = "starting", 0.0

    def _fell(self, now: float) -> None:
        if now - self._started > SETTLED_SECONDS:
            self._delay = FIRST_DELAY
        self.crashes += 1
        self.condition = "crashed"
        self._next_start = now + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    def _probe(self) -> None:
        well = health.answers(self._metrics_port) and (not self._grpc or health.serves(self._grpc))
        if well:
            self.condition = "healthy"
        elif self.condition == "healthy":
            self.condition = "unhealthy"
        self._next_probe = time.monotonic() + (PROBE_RUNNING if well else PROBE_STARTING)
