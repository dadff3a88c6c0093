"""The ledger of what we started: read after a supervisor died, so that nothing it left behind keeps running."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from closedloop_devstack.files import write_whole
from closedloop_devstack.processes.identity import Identity, alive, send, wait_gone


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
        self._path = path
        self._turn = RLock()

    def note(self, entry: Entry) -> None:
        with self._turn:
            self._write([*(e for e in self.entries() if e.name != entry.name), entry])

    def strike(self, name: str) -> None:
        with self._turn:
            self._write([e for e in self.entries() if e.name != name])

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
        entries = self.entries()
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
