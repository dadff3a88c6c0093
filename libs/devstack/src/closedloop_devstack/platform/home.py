"""Where one platform lives on disk: data, keys, logs, and what its supervisor says about itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import write_whole
from closedloop_devstack.keys import KeyRing
from closedloop_devstack.platform.options import Options
from closedloop_devstack.processes.identity import Identity, alive, myself
from closedloop_devstack.processes.ledger import Ledger

Phase = Literal["starting", "ready", "stopping", "stopped", "failed"]
Condition = Literal["starting", "healthy", "unhealthy", "crashed", "stopped"]


class ProcessState(BaseModel):
    """One process as the supervisor sees it. `restarts` counts crashes it came back from."""

    name: str
    condition: Condition
    pid: int | None = None
    restarts: int = 0
    address: str = ""


class State(BaseModel):
    """What the supervisor last wrote; only true while `supervisor` lives."""

    supervisor_pid: int
    supervisor_born: str
    phase: Phase
    message: str = Field(default="", description="why it failed")
    progress: list[str] = Field(default_factory=list, description="what has been done so far")
    options: Options
    processes: list[ProcessState] = Field(default_factory=list)
    servers: dict[str, str] = Field(default_factory=dict, description="URLs by server, credentials included")
    notes: list[str] = Field(default_factory=list)

    @property
    def supervised(self) -> bool:
        return alive(Identity(self.supervisor_pid, self.supervisor_born))


class Home:
    """One folder. Everything in it survives `down`; only the lock and the state belong to a running supervisor."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.logs = self.root / "logs"
        self.servers = self.root / "servers"
        self.keys = KeyRing(self.root / "keys")
        self.ledger = Ledger(self.root / "processes.json")
        self._state = self.root / "state.json"
        self._lock = self.root / "lock"

    @classmethod
    def find(cls) -> Home:
        """CLOSEDLOOP_HOME, else `.run` of the project we stand in."""
        chosen = os.environ.get("CLOSEDLOOP_HOME")
        return cls(Path(chosen) if chosen else project() / ".run")

    def read(self) -> State | None:
        """None when nothing was written, or what was written is damaged."""
        try:
            return State.model_validate_json(self._state.read_text())
        except (OSError, ValidationError):
            return None

    def write(self, state: State) -> None:
        write_whole(self._state, state.model_dump_json(indent=1))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Holds the home. The kernel gives the lock back when its holder dies, so a stale one cannot exist."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeTaken(f"Another platform is running in {self.root}; `make down` stops it.") from None
            me = myself()
            file.truncate(0)
            file.write(f"{me.pid} {me.born}")
            file.flush()
            yield

    def holder(self) -> Identity | None:
        """The living process that holds the home, whatever the state says."""
        try:
            pid, born = self._lock.read_text().split()
            identity = Identity(int(pid), born)
        except (OSError, ValueError):
            return None
        return identity if alive(identity) else None


class HomeTaken(PlatformError):
    """Another supervisor holds the home."""


def project() -> Path:
    """The repository around the working folder, else the one this package stands in, else the working folder."""
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "protos" / "closedloop").is_dir():
            return folder
    return here
