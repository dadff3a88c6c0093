"""A CSV file of the layout, read as a stream: each row with its line, its cells by what they say."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from closedloop_cli import shapes
from closedloop_cli.failures import Usage
from closedloop_cli.loading import tables
from closedloop_cli.loading.ledger import Ledger, RowRefused
from closedloop_cli.loading.mapping import NEEDED, Kind, Mapping


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by the mapping's words. What is mended on the way is counted in the ledger, if there is one."""

    file: str
    line: int
    cells: dict[str, str]
    columns: dict[str, str]
    mapping: Mapping
    ledger: Ledger | None = None
    whole: bool = True

    def text(self, word: str, field: str = "") -> str:
        """The cell, mended by the aliases of `field`."""
        written = self.cells.get(word, "")
        meant = self.mapping.meant(field or word, written)
        if meant != written and self.ledger is not None:
            self.ledger.mend(field or word, written, meant)
        return meant

    def needed(self, word: str) -> str:
        """Raises RowRefused VALUE_MISSING."""
        found = self.text(word)
        if not found:
            raise RowRefused(self.columns[word], "VALUE_MISSING", f"{self.columns[word]} is empty")
        return found

    def day(self, word: str) -> date | None:
        """None for an empty cell. Raises RowRefused DATE_UNREADABLE."""
        written = self.cells.get(word, "")
        if not written:
            return None
        found = self.mapping.day(written)
        if found is None:
            patterns = " or ".join(_readable(pattern) for pattern in self.mapping.dates)
            raise RowRefused(self.columns[word], "DATE_UNREADABLE", f"{written!r} is no day written {patterns}")
        if found[1] != self.mapping.dates[0] and self.ledger is not None:
            self.ledger.mend(self.columns[word], _readable(found[1]), _readable(self.mapping.dates[0]))
        return found[0]

    def number(self, word: str) -> Decimal | None:
        """None for an empty cell. Raises RowRefused NUMBER_UNREADABLE."""
        written = self.cells.get(word, "")
        if not written:
            return None
        found = shapes.parse_decimal(written)
        if found is None:
            raise RowRefused(self.columns[word], "NUMBER_UNREADABLE", f"{written!r} is no number")
        return found

    def whole_number(self, word: str) -> int:
        """0 for an empty cell. Raises RowRefused NUMBER_UNREADABLE."""
        found = self.number(word)
        if found is not None and found != int(found):
            raise RowRefused(self.columns[word], "NUMBER_UNREADABLE", f"{self.cells[word]!r} is no whole number")
        return int(found or 0)

    def check(self) -> None:
        """Raises RowRefused ROW_MALFORMED for a row with more or fewer cells than the heading."""
        if not self.whole:
            raise RowRefused("", "ROW_MALFORMED", "it has more or fewer cells than the heading")


def read(folder: Path, kind: Kind, mapping: Mapping, ledger: Ledger | None = None) -> Iterator[Row]:
    """Raises Usage for a file that is not there, is neither UTF-8 nor GBK, or lacks a needed column."""
    layout = mapping.files[kind]
    path = folder / layout.name
    try:
        with path.open(encoding=tables.charset(path), newline="") as file:
            rows = csv.reader(file)
            heading = [name.strip() for name in next(rows, [])]
            missing = [layout.columns[word] for word in sorted(NEEDED[kind]) if layout.columns[word] not in heading]
            if missing:
                raise Usage("columns_missing", file=path, missing=", ".join(missing), there=", ".join(heading) or "-")
            at = {word: heading.index(name) for word, name in layout.columns.items() if name in heading}
            for cells in rows:
                if cells:
                    whole = len(cells) == len(heading)
                    named = {word: cells[i].strip() for word, i in at.items() if i < len(cells)}
                    yield Row(layout.name, rows.line_num, named, layout.columns, mapping, ledger, whole)
    except OSError as error:
        raise Usage("file_unreadable", file=path, problem=error.strerror or error) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise Usage("file_unreadable", file=path, problem=error) from None


def _readable(pattern: str) -> str:
    for code, meaning in (("%Y", "yyyy"), ("%y", "yy"), ("%m", "mm"), ("%d", "dd")):
        pattern = pattern.replace(code, meaning)
    return pattern
