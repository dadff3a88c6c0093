"""Rows of a delimited text, and what a quote that nobody closes would swallow of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Swallowed:
    """`rows` lines would have become part of a cell of line `line`, whose quote nobody closes; `text` of that line."""

    line: int
    rows: int
    text: str


class _Lines:
    """Hands out lines, and says how many; what was handed out can be taken back."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self.at = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.at >= len(self._lines):
            raise StopIteration
        self.at += 1
        return self._lines[self.at - 1]

    @property
    def over(self) -> bool:
        return self.at >= len(self._lines)


def rows_of(text: str, delimiter: str, swallowed: list[Swallowed]) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line of each row, and its cells. Where an open quote would swallow rows it is taken for a character
    of its line, and noted in `swallowed`. Raises csv.Error for what is no such text."""
    lines = list(io.StringIO(text, newline=""))
    feed = _Lines(lines)
    width = noted = 0
    while not feed.over:
        # Without a quote a line is a row; most are.
        begins = feed.at
        row, error = _read(feed, delimiter)
        within = lines[begins : feed.at]
        if len(within) > 1 and _swallows(within, row, error, width, delimiter):
            row, feed.at = _alone(within[0], delimiter), begins + 1
            fresh = range(max(begins + 1, noted), begins + len(within))
            noted = max(noted, begins + len(within))
            swallowed.append(Swallowed(begins + 1, sum(bool(lines[at].strip()) for at in fresh), within[0].strip()))
        elif error is not None:
            raise error
        width = width or len(row)
        yield begins + 1, row


def _read(feed: _Lines, delimiter: str) -> tuple[list[str], csv.Error | None]:
    try:
        return next(csv.reader(feed, delimiter=delimiter), []), None
    except csv.Error as error:
        return [], error


def _swallows(lines: Sequence[str], row: Sequence[str], error: csv.Error | None, width: int, delimiter: str) -> bool:
    """Whether what stands in one cell are rows. Texts may have line breaks; rows have as many cells as the heading. A quote
    that is closed by the rules, in a row that is as wide as the others, is believed unless every line is a row by itself."""
    first = _alone(lines[0], delimiter)
    width = width or len(first)
    if width < 2:
        return False
    like_rows = [len(_alone(line, delimiter)) == width for line in lines[1:] if line.strip()]
    sound = error is None and len(row) == width and _by_the_rules(lines, delimiter)
    if sound:
        return width > 2 and len(like_rows) > 1 and all(like_rows) and len(first) == width
    return any(like_rows)


def _by_the_rules(lines: Sequence[str], delimiter: str) -> bool:
    """Whether every quote is closed, and before a delimiter."""
    try:
        next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error:
        return False
    return True


def _alone(line: str, delimiter: str) -> list[str]:
    """A line by itself: what follows an open quote is split as if there were none."""
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            return line.rstrip("\r\n").split(delimiter)
        if line.count('"') % 2:
            return [*cells[:-1], *cells[-1].rstrip("\r\n").split(delimiter)]
    return cells
