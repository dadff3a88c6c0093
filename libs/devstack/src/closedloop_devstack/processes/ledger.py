"""The ledger of what we started: read after a supervisor died, so that nothing it left behind keeps running.

A supervisor may die between starting a child and entering it, so every child also carries the ledger's name in its
environment.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import psutil

from closedloop_devstack.files import write_whole
from closedloop_devstack.processes.identity import Identity, alive, identify, send, wait_gone

MARK = "CLOSEDLOOP_LEDGER"


@dataclass(frozen=True, slots=True)
class Entry:
    """`wave`: services (0) end before the servers (1) they stand on."""

    name: str
    wave: int
    stop_signal: signal.Signals
    identities: tuple[Identity, ...]


class Ledger:
    """A file of living processes by name. One process writes it; anybody may read it after that one's death."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._turn = RLock()

    def note(self, entry: Entry) -> None:
        with self._turn:
            self._write([*(e for e in self.entries() if e.name != entry.name), entry])

    def strike(self, name: str) -> None:
        with self._turn:
            self._write([e for e in self.entries() if e.name != name])

    @property
    def mark(self) -> dict[str, str]:
        """What children carry in their environment, and their children after them."""
        return {MARK: str(self._path)}

    def entries(self) -> list[Entry]:
        """Empty when the file is missing or damaged."""
        try:
            rows = json.loads(self._path.read_text())
            return [
                Entry(
                    str(row["name"]),
                    int(row["wave"]),
                    signal.Signals(row["stop_signal"]),
                    tuple(Identity(int(i["pid"]), str(i["born"])) for i in row["processes"]),
                )
                for row in rows
            ]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def end_all(self, grace: float = 15.0) -> list[str]:
        """Ends what still lives, services before servers, with SIGKILL after `grace` seconds; answers their names."""
        entries = self._with_unentered(self.entries())
        ended = [entry.name for entry in entries if any(map(alive, entry.identities))]
        for wave in (0, 1):
            standing = [entry for entry in entries if entry.wave == wave]
            for entry in standing:
                send(entry.identities[:1], entry.stop_signal)
            everyone = [identity for entry in standing for identity in entry.identities]
            send(wait_gone(everyone, grace), signal.SIGKILL)
            wait_gone(everyone, 5)
        self._write([])
        return ended

    def _with_unentered(self, entries: list[Entry]) -> list[Entry]:
        known = {identity for entry in entries for identity in entry.identities}
        found: list[Entry] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid == os.getpid() or process.environ().get(MARK) != str(self._path):
                    continue
                if (identity := identify(process.pid)) and identity not in known:
                    found.append(Entry(f"{process.name()} ({process.pid})", 0, signal.SIGTERM, (identity,)))
        entered = {entry.identities[0].pid for entry in entries if entry.identities}
        return [*entries, *(entry for entry in found if not _descends(entry.identities[0].pid, entered))]

    def _write(self, entries: Sequence[Entry]) -> None:
        rows = [
            {
                "name": entry.name,
                "wave": entry.wave,
                "stop_signal": int(entry.stop_signal),
                "processes": [{"pid": identity.pid, "born": identity.born} for identity in entry.identities],
            }
            for entry in entries
        ]
        write_whole(self._path, json.dumps(rows, indent=1))


def _descends(pid: int, elders: set[int]) -> bool:
    """Descendants of entered processes end with them."""
    try:
        return any(parent.pid in elders for parent in psutil.Process(pid).parents())
    except psutil.Error:
        return False
