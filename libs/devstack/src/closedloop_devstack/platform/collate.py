"""One view of all logs: every line of every process, prefixed with the name of who said it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# A log beyond this starts anew, its predecessor kept beside it.
LARGEST = 32 * 1024 * 1024
TOGETHER = "all.log"
SUPERVISOR = "supervisor.log"


class Collator:
    """Reads what has been added to the logs of a folder since the last turn and appends it to `all.log`.

    Children write their own files, so they live on undisturbed when the collator's process dies.
    """

    def __init__(self, folder: Path, echo: Callable[[str], None] | None = None) -> None:
        self._folder = folder
        self._echo = echo
        self._together = folder / TOGETHER
        folder.mkdir(parents=True, exist_ok=True)
        self._read = {path: path.stat().st_size for path in self._logs()}

    def turn(self) -> None:
        fresh: list[str] = []
        for path in self._logs():
            fresh += [f"{path.stem:<20} | {line}" for line in self._news(path)]
        if fresh:
            with self._together.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in fresh)
            if self._echo:
                for line in fresh:
                    self._echo(line)
            self._renew(self._together)

    def _logs(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.log") if path.name not in (TOGETHER, SUPERVISOR))

    def _news(self, path: Path) -> list[str]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            whole, newline, _ = file.read(LARGEST).rpartition(b"\n")
        self._read[path] = self._read.get(path, 0) + len(whole) + len(newline)
        if self._renew(path):
            self._read[path] = 0
        return whole.decode("utf-8", "replace").splitlines()

    def _renew(self, path: Path) -> bool:
        if path.stat().st_size <= LARGEST:
            return False
        # Copied and cut rather than renamed: its writer holds it open for appending.
        path.with_suffix(".log.1").write_bytes(path.read_bytes())
        with path.open("r+b") as file:
            file.truncate()
        return True
