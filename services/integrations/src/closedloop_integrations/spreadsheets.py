"""Files that people and other systems hand in: opened only after they are known to be small and simple."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from xml.parsers import expat

from python_calamine import CalamineError, CalamineWorkbook

from closedloop_chassis import errors
from closedloop_integrations.file_limits import FileRules

PIECE = 64 * 1024
ZIP, OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_REFERENCE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_ROW = re.compile(r"[0-9]{1,7}")
Cell = str | float | int | bool | Any


def workbook(content: bytes, rules: FileRules) -> list[list[Cell]]:
    """The rows of the first sheet. Raises InvalidArgument FILE_NOT_RECOGNISED, FILE_UNSAFE, FILE_TOO_LARGE."""
    if not content.startswith(ZIP):
        raise unknown("no .xlsx workbook")
    _check_archive(content, rules)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheet = book.get_sheet_by_index(0)
        if sheet.total_height > rules.most_lines:
            raise too_large(f"more than {rules.most_lines} lines")
        return [list(row) for row in sheet.to_python(skip_empty_area=False)]
    except (CalamineError, IndexError, ValueError) as error:
        raise unknown(str(error)) from error


def table(content: bytes, rules: FileRules) -> list[list[str]]:
    """The rows of a CSV file. Raises InvalidArgument as `workbook` does."""
    written = decoded(content)
    found: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(written, newline=""), strict=True):
            if len(found) >= rules.most_lines:
                raise too_large(f"more than {rules.most_lines} lines")
            found.append(row)
    except csv.Error as error:
        raise unknown(str(error)) from error
    return found


def text(cell: Cell) -> str:
    """What a cell shows; days and moments in ISO."""
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ") if cell.hour or cell.minute else cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float):
        # A spreadsheet keeps 0.1 as a binary fraction; what it shows has fifteen digits.
        return f"{Decimal(f'{cell:.15g}'):f}"
    return str(cell).strip() if cell is not None else ""


def decoded(content: bytes) -> str:
    """UTF-8, or GB18030 as Chinese systems write. Raises InvalidArgument FILE_NOT_RECOGNISED."""
    for charset in ("utf-8-sig", "gb18030"):
        try:
            written = content.decode(charset)
        except UnicodeDecodeError:
            continue
        if "\0" not in written:
            return written
    raise unknown("neither UTF-8 nor GB18030 text")


def unknown(message: str) -> errors.InvalidArgument:
    return errors.InvalidArgument("FILE_NOT_RECOGNISED", message, {"content": message[:200]})


def too_large(message: str) -> errors.InvalidArgument:
    return errors.InvalidArgument("FILE_TOO_LARGE", message, {"content": message})


def unsafe(message: str) -> errors.InvalidArgument:
    return errors.InvalidArgument("FILE_UNSAFE", message, {"content": message})


def _check_archive(content: bytes, rules: FileRules) -> None:
    """Unpacks it piece by piece, keeping nothing: what a part says of its size is a claim."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        parts = archive.infolist()
        if len(parts) > rules.most_parts:
            raise unsafe(f"an archive of {len(parts)} parts")
        unpacked = 0
        for part in parts:
            if part.flag_bits & 1:
                raise unsafe(f"{part.filename} is encrypted")
            tail, extent = b"", _Extent(rules.most_cells)
            for piece in _pieces(archive, part):
                unpacked += len(piece)
                if unpacked > rules.most_unpacked_bytes or unpacked > rules.most_ratio * len(content) + PIECE:
                    raise unsafe("it unpacks to far more than it is")
                # Neither entities nor outside definitions: no workbook needs them.
                if b"<!DOCTYPE" in (seen := (tail + piece).upper()) or b"<!ENTITY" in seen:
                    raise unsafe(f"{part.filename} declares a document type")
                extent.feed(piece)
                tail = piece[-16:]
            extent.close(part.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise unknown(str(error) or "no archive") from error


class _Extent:
    """How far the cells of a sheet reach. Its reader lays all of them out, from the first to the last, in one piece of memory:
    for two cells in opposite corners that is more than there is, and the process ends."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler, self._parser.EndElementHandler = self._begin, self._end
        self._is_xml, self._tail, self._is_sheet = True, b"", False
        self._in_sheet = self._in_cell = False
        self._row, self._column = 1, 1
        self._cell = (1, 1)
        self._last_row = self._last_column = 0

    def feed(self, piece: bytes) -> None:
        self._is_sheet = self._is_sheet or b"sheetData" in self._tail + piece
        self._tail = piece[-16:]
        if self._is_xml:
            try:
                self._parser.Parse(piece, False)
            except expat.ExpatError:
                self._is_xml = False

    def close(self, name: str) -> None:
        """A picture is no XML; a sheet that is none may be read all the same, and nobody has looked at it."""
        if self._is_xml:
            try:
                self._parser.Parse(b"", True)
            except expat.ExpatError:
                self._is_xml = False
        if self._is_sheet and not self._is_xml:
            raise unknown(f"{name} is no XML")

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if not self._in_sheet:
            self._in_sheet = kind == "sheetData"
        elif kind == "row":
            self._row = _row(attributes.get("r", str(self._row)))
        elif kind == "c":
            self._in_cell, self._cell = True, self._place(attributes.get("r", ""))
            self._column = self._cell[1] + 1
        elif self._in_cell and kind in ("v", "is"):
            self._reach(*self._cell)

    def _end(self, name: str) -> None:
        kind = name.rpartition(":")[2]
        if kind == "sheetData":
            self._in_sheet = False
        elif self._in_sheet and kind == "row":
            self._row, self._column = self._row + 1, 1
        elif self._in_sheet and kind == "c":
            self._in_cell = False

    def _place(self, said: str) -> tuple[int, int]:
        if not said:
            return self._row, self._column
        found = _REFERENCE.fullmatch(said)
        if found is None:
            raise unknown(f"a cell at {said[:20]!r}")
        column = 0
        for letter in found[1].upper():
            column = column * 26 + ord(letter) - ord("A") + 1
        return int(found[2]), column

    def _reach(self, row: int, column: int) -> None:
        self._last_row, self._last_column = max(self._last_row, row), max(self._last_column, column)
        if self._last_row * self._last_column > self._most:
            raise too_large(f"a sheet of {self._last_row} by {self._last_column} cells; we read at most {self._most}")


def _row(said: str) -> int:
    if not _ROW.fullmatch(said):
        raise unknown(f"a row {said[:20]!r}")
    return int(said)


def _pieces(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(part) as opened:
        while piece := opened.read(PIECE):
            yield piece
