"""One child process: its log, its place in the ledger, a gentle end and a hard one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from closedloop_devstack.processes.identity import Identity, identify, send, tree, wait_gone
from closedloop_devstack.processes.ledger import Entry, Ledger


class Child:
    """Started, ended and started again under one name; what it prints is appended to `log`."""

    def __init__(
        self, name: str, log: Path, ledger: Ledger, *, wave: int = 0, stop_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self.log = log
        self._ledger = ledger
        self._wave = wave
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of its last life; negative: the signal that ended it."""
        return self._process.poll() if self._process else None

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
    ) -> None:
        """In a session of its own: a Ctrl-C at the terminal is the supervisor's to answer, not the children's."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(argv),
                env={**env, **self._ledger.mark},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.note()

    def note(self) -> None:
        """Enters the process as it is now, with its descendants, into the ledger."""
        if self.pid and (identity := identify(self.pid)):
            family = tuple(tree(self.pid)) or (identity,)
            self._ledger.note(Entry(self.name, self._wave, self._stop_signal, family))

    def ask_to_stop(self) -> None:
        if self.alive and self._process:
            self._process.send_signal(self._stop_signal)

    def stop(self, grace: float) -> int | None:
        """Asks, waits `grace` seconds, then kills; answers the exit code."""
        self.ask_to_stop()
        if self._process:
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        self._ledger.strike(self.name)
        return self.exit_code

    def kill(self) -> None:
        """SIGKILL to it and all its descendants at once."""
        family: list[Identity] = tree(self._process.pid) if self._process and self.alive else []
        send(family, signal.SIGKILL)
        if self._process:
            self._process.wait(10)
        wait_gone(family, 5)
        self._ledger.strike(self.name)
