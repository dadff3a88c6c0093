"""The last result of every marked test, kept over runs in `build/mission-results.json`, keyed by node id."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, RootModel, ValidationError

from closedloop_devstack.files import write_whole
from closedloop_devstack.mission.rows import ids

FILE = "mission-results.json"
Outcome = Literal["passed", "failed", "skipped"]


class Result(BaseModel):
    rows: list[str]
    # Of a row it proves in part: what is missing.
    lacks: dict[str, str] = {}
    outcome: Outcome
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Results(RootModel[dict[str, Result]]):
    """By node id, relative to the repository."""

    @classmethod
    def read(cls, path: Path) -> Results:
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return cls({})

    def forget(self, file: str, known: set[str]) -> None:
        """Drops tests of `file` that are no longer among the `known`."""
        for node in [node for node in self.root if node.partition("::")[0] == file and node not in known]:
            del self.root[node]

    def forget_missing_files(self, project: Path) -> None:
        for node in [node for node in self.root if not (project / node.partition("::")[0]).exists()]:
            del self.root[node]


@contextmanager
def updated(path: Path) -> Iterator[Results]:
    """Reads, lets change, writes back; runs side by side take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = Results.read(path)
        yield results
        write_whole(path, results.model_dump_json(indent=1), mode=0o644)


def unknown(rows: list[str]) -> list[str]:
    return [row for row in rows if row not in ids()]
