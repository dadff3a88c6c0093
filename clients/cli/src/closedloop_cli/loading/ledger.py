"""What became of every row: tallies that add up, what was mended by which alias, what was refused and why."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from closedloop.common.v1.common_pb2 import BulkSummary

# More refused rows than these are counted, and written to the error file alone.
SHOWN = 20


class RowRefused(Exception):
    """A row that cannot be read. `column` is the file's; empty if it is the row as a whole."""

    def __init__(self, column: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused row. `row` is its line in the file, the heading being line 1."""

    file: str
    row: int
    column: str
    reason: str
    message: str


@dataclass(slots=True)
class Tally:
    """Of one kind of record. read = loaded + unchanged + rejected, where loaded = created + updated."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    @property
    def loaded(self) -> int:
        return self.created + self.updated

    @property
    def adds_up(self) -> bool:
        return self.read == self.loaded + self.unchanged + self.rejected

    def take(self, summary: BulkSummary) -> None:
        """The outcome of one batch, its refused rows left out: those are told one by one."""
        self.created += summary.created
        self.updated += summary.updated
        self.unchanged += summary.unchanged

    def figures(self) -> dict[str, int]:
        return {
            "read": self.read,
            "loaded": self.loaded,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
        }


@dataclass(slots=True)
class Ledger:
    """Of one import. Refused rows go to the error file as they come; `with` closes it."""

    errors: Path | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    # (field, as it was written, what it became) → how often.
    mends: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rejections: list[Rejection] = field(default_factory=list)
    # Columns called as people call them → what was understood; columns nobody understood → in how many rows they said
    # something.
    columns: dict[str, str] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    _file: TextIO | None = None
    _writer: Any = None

    def __enter__(self) -> Self:
        if self.errors is not None:
            self._file = self.errors.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(("file", "row", "column", "reason", "message"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def tally(self, kind: str) -> Tally:
        return self.tallies.setdefault(kind, Tally())

    def mend(self, field: str, written: str, became: str) -> None:
        self.mends[field, written, became] += 1

    def reject(self, kind: str, rejection: Rejection) -> None:
        self.tally(kind).rejected += 1
        if len(self.rejections) < SHOWN:
            self.rejections.append(rejection)
        if self._writer is not None:
            self._writer.writerow(
                (rejection.file, rejection.row, rejection.column, rejection.reason, rejection.message)
            )

    @property
    def rejected(self) -> int:
        return sum(tally.rejected for tally in self.tallies.values())

    @property
    def adds_up(self) -> bool:
        return all(tally.adds_up for tally in self.tallies.values())
