"""Tables as people save them: CSV in UTF-8 or, as Chinese systems write, GBK; Excel workbooks."""

from __future__ import annotations

import csv
from codecs import IncrementalDecoder, getincrementaldecoder
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from closedloop_cli.failures import Usage

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_PIECE = 1 << 20
# Below it two bytes of GBK read as one character of UTF-8 by chance; no Chinese character lies there.
_BY_CHANCE = "\u0800"


def records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, value by title) of every row below the heading, the first line that is not empty; empty cells and columns
    without a title are left out. Of a workbook the first sheet. Raises Usage."""
    if path.suffix.lower() in WORKBOOKS:
        yield from _sheet(path)
        return
    try:
        with path.open(encoding=charset(path), newline="") as file:
            rows = csv.reader(file)
            titles: list[str] = []
            for cells in rows:
                shown = [cell.strip() for cell in cells]
                if not titles:
                    titles = each_once(shown) if any(shown) else []
                elif any(shown):
                    yield rows.line_num, _named(titles, shown)
    except OSError as error:
        raise Usage("file_unreadable", file=path, problem=error.strerror or error) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise Usage("file_unreadable", file=path, problem=error) from None


def charset(path: Path) -> str:
    """UTF-8, or GB18030, which is all of GBK and GB 2312. Raises Usage where it is neither: a file with Chinese in UTF-8 and
    a broken byte is broken, not GBK."""
    told = False

    def seen(written: str) -> None:
        nonlocal told
        told = told or any(character >= _BY_CHANCE for character in written)

    try:
        _decode(path, getincrementaldecoder("utf-8")(), seen)
        return "utf-8-sig"
    except UnicodeDecodeError as error:
        seen(error.object[: error.start].decode("utf-8", "ignore"))
        if told:
            raise Usage("file_unreadable", file=path, problem=error) from None
    try:
        _decode(path, getincrementaldecoder("gb18030")(), lambda _: None)
    except UnicodeDecodeError as error:
        raise Usage("file_unreadable", file=path, problem=error) from None
    return "gb18030"


def _decode(path: Path, decoder: IncrementalDecoder, seen: Callable[[str], None]) -> None:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                seen(decoder.decode(piece))
            decoder.decode(b"", True)
    except OSError as error:
        raise Usage("file_unreadable", file=path, problem=error.strerror or error) from None


def _sheet(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (CalamineError, OSError, IndexError, ValueError) as error:
        raise Usage("file_unreadable", file=path, problem=error) from None
    titles: list[str] = []
    for line, cells in enumerate(rows, start=1):
        shown = [_text(cell) for cell in cells]
        if not any(shown):
            continue
        if not titles:
            titles = each_once(shown)
            continue
        yield line, _named(titles, shown)


def each_once(titles: list[str]) -> list[str]:
    """A title that stands twice stands once with a number behind, so that neither column hides the other."""
    seen: Counter[str] = Counter()
    told = []
    for title in titles:
        seen[title] += 1
        told.append(f"{title}({seen[title]})" if title and seen[title] > 1 else title)
    return told


def _named(titles: list[str], shown: list[str]) -> dict[str, str]:
    return {title: value for title, value in zip(titles, shown, strict=False) if title and value}


def _text(cell: Any) -> str:
    """What a cell shows; days and moments in ISO, a phone number without the fraction that Excel keeps it with."""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        # A spreadsheet keeps 0.1 as a binary fraction; what it shows has fifteen digits.
        return f"{Decimal(f'{cell:.15g}'):f}"
    return str(cell).strip() if cell is not None else ""
