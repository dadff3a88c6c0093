"""What the three servers share: a folder that survives, start and wait, stop, kill, restart."""

from __future__ import annotations

import secrets
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import ClassVar, Self

from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import last_line, write_whole
from closedloop_devstack.processes.child import Child
from closedloop_devstack.processes.ledger import Ledger


class Server(ABC):
    """One server over `folder`. `wanted` says whether it ought to run: a supervisor revives a wanted one that died."""

    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_seconds: ClassVar[float] = 30.0
    stop_seconds: ClassVar[float] = 20.0

    def __init__(
        self, folder: Path, port: int | None = None, *, ledger: Ledger | None = None, log: Path | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.port = port or ports.free_port()
        self.wanted = False
        self._turn = RLock()
        self._ledger = ledger or Ledger(self.folder / "processes.json")
        name = self.title.lower()
        self._child = Child(
            name, log or self.folder / f"{name}.log", self._ledger, wave=1, stop_signal=self.stop_signal
        )

    @property
    @abstractmethod
    def url(self) -> str:
        """How clients reach it, credentials included."""

    @abstractmethod
    def _launch(self) -> None:
        """Makes the folder if needed and starts the child."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it serves a client now."""

    @property
    def name(self) -> str:
        return self._child.name

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    @property
    def log(self) -> Path:
        return self._child.log

    def launch(self) -> None:
        """Starts without waiting; nothing happens when it runs already."""
        with self._turn:
            if not self.alive:
                ports.require_free({self.title: self.port}, "choose another port")
                self.folder.mkdir(parents=True, exist_ok=True)
                self._launch()
            self.wanted = True

    def wait_ready(self, seconds: float | None = None) -> None:
        """Raises PlatformError when it ended, or is not ready in time."""
        give_up = time.monotonic() + (seconds or self.ready_seconds)
        while not self._is_ready():
            if not self.alive:
                raise PlatformError(
                    f"{self.title} ended at its start: {last_line(self.log)} (all of it in {self.log})."
                )
            if time.monotonic() > give_up:
                raise PlatformError(
                    f"{self.title} is not ready after {seconds or self.ready_seconds:.0f} s; see {self.log}."
                )
            time.sleep(0.05)
        self._child.note()

    def start(self) -> Self:
        self.launch()
        self.wait_ready()
        return self

    def stop(self) -> None:
        """Gently: clients are cut off, everything is on disk after."""
        with self._turn:
            self.wanted = False
            self._child.stop(self.stop_seconds)

    def kill(self) -> None:
        """SIGKILL, as a crash would; it stays down until `start`."""
        with self._turn:
            self.wanted = False
            self._child.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _password(self) -> str:
        """Made once per folder."""
        path = self.folder / "password"
        if not path.exists():
            write_whole(path, secrets.token_urlsafe(18))
        return path.read_text().strip()
