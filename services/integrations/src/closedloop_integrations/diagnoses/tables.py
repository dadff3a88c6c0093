"""Tables as they are handed in: unpacked, decoded, and every column in numbers."""

from __future__ import annotations

import csv
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

from closedloop_integrations import spreadsheets
from closedloop_integrations.diagnoses.lines import Swallowed, rows_of
from closedloop_integrations.diagnoses.rules import DiagnosisRules

GZIP = b"\x1f\x8b"
SAMPLE = 64 * 1024
DELIMITERS = ",;\t|"
# Written by machines where there is nothing.
NOTHING = frozenset({"", "null", "none", "nan", "n/a", "na", "-", "--", "\\n"})
_DIGIT = re.compile(r"\d")
_SEPARATORS = re.compile(r"[\W_]+")
_NAMES_ROWS = re.compile(r"(?:^|[\W_])(?:id|no|nr|code|key)$|编号|编码|代码|号$", re.I)
_NUMBER = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# Such as an order's number may be written, too: it is a day only where every value is.
DIGITS_ALONE = "%Y%m%d"
# The first that reads every value is the column's; "20-10-16" may be many, and the order of columns is the tie's.
FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y年%m月%d日", "%d-%m-%y", "%m-%d-%y",
           "%d/%m/%y", "%m/%d/%y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y")  # fmt: skip


@dataclass
class Column:
    """One column; `values` row by row, blanks as ''."""

    name: str
    values: list[str]
    rules: DiagnosisRules

    @cached_property
    def counts(self) -> Counter[str]:
        """Of the filled values."""
        return Counter(value for value in self.values if value)

    @cached_property
    def normals(self) -> dict[str, str]:
        """Filled values without case, spaces and punctuation → one so written."""
        return {normal(value): value for value in self.counts}

    @cached_property
    def filled(self) -> int:
        return sum(self.counts.values())

    @cached_property
    def format(self) -> str:
        """How its days are written; empty where it holds none. Days there are not, such as 2026-02-30, do not hide the others."""
        if not self.counts:
            return ""
        whole = next((each for each in FORMATS if all(_day(value, each) for value in self.counts)), "")
        return whole or next((each for each in FORMATS if each != DIGITS_ALONE and self._nearly(each)), "")

    def _nearly(self, format: str) -> bool:
        read = [value for value in self.counts if _day(value, format)]
        if sum(self.counts[value] for value in read) < self.rules.days_read * self.filled:
            return False
        shapes = {_shape(value) for value in read}
        return all(_shape(value) in shapes for value in self.counts)

    @cached_property
    def impossible(self) -> list[str]:
        """What is written like its days and is none."""
        return [value for value in self.counts if not _day(value, self.format)] if self.format else []

    @cached_property
    def days(self) -> list[date | None]:
        read = {value: _day(value, self.format) for value in self.counts}
        return [read.get(value) for value in self.values]

    @cached_property
    def type(self) -> str:
        """ "empty", "date", "number", "code", "text"."""
        if not self.counts:
            return "empty"
        if self.format:
            return "date"
        if all(_NUMBER.fullmatch(value) for value in self.counts):
            return "number"
        several = self.filled >= 2 * len(self.counts)
        return "code" if several and len(self.counts) <= self.rules.most_codes else "text"

    @property
    def is_key(self) -> bool:
        """Whether it names the rows."""
        whole = self.filled == len(self.values) >= 2
        named = self.type in ("text", "code") or (self.type == "number" and _NAMES_ROWS.search(self.name) is not None)
        return whole and named and len(self.counts) >= self.rules.key_distinct * self.filled


@dataclass
class Table:
    """`beyond`: the lines with something to the right of the last heading."""

    name: str
    encoding: str
    columns: list[Column]
    rows: int
    # What had to be put right while it was read.
    swallowed: list[Swallowed] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)
    # Set when it is understood what it is about.
    record_type: str = "unknown"
    key: Column | None = field(default=None)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


def read(name: str, content: bytes, rules: DiagnosisRules) -> Table:
    """Raises InvalidArgument FILE_NOT_RECOGNISED, FILE_TOO_LARGE, FILE_UNSAFE."""
    text, encoding = _decoded(_unpacked(content, rules))
    delimiter = _delimiter(text)
    rows: list[list[str]] = []
    numbers: list[int] = []
    swallowed: list[Swallowed] = []
    cells = 0
    try:
        for number, row in rows_of(text, delimiter, swallowed):
            if not any(cell.strip() for cell in row):
                continue
            if len(rows) > rules.most_rows:
                raise spreadsheets.too_large(f"{name}: more than {rules.most_rows} rows")
            if len(row) > rules.most_columns:
                raise spreadsheets.too_large(f"{name}: more than {rules.most_columns} columns")
            cells += len(row)
            if cells > rules.most_cells:
                raise spreadsheets.too_large(f"{name}: more than {rules.most_cells} cells")
            rows.append(row)
            numbers.append(number)
    except csv.Error as error:
        raise spreadsheets.unknown(f"{name}: {error}") from error
    if not rows:
        return Table(name, encoding, [], 0, swallowed)
    titles = _titles(rows[0])
    body = rows[1:]
    columns = [
        Column(title, [_cell(row[at]) if at < len(row) else "" for row in body], rules)
        for at, title in enumerate(titles)
    ]
    width = len(titles)
    beyond = [number for number, row in zip(numbers, rows, strict=True) if any(cell.strip() for cell in row[width:])]
    return Table(name, encoding, columns, len(body), swallowed, beyond)


def normal(value: str) -> str:
    """Without case, spaces and punctuation."""
    return _SEPARATORS.sub("", value.casefold())


def _unpacked(content: bytes, rules: DiagnosisRules) -> bytes:
    if not content.startswith(GZIP):
        return content
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(content, rules.most_unpacked_bytes)
    except zlib.error as error:
        raise spreadsheets.unknown(f"no gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise spreadsheets.unsafe("it unpacks to far more than it is")
    if not unpacker.eof:
        raise spreadsheets.unknown("the gzip ends too early")
    return unpacked


def _decoded(content: bytes) -> tuple[str, str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16"), "utf-16"
        except UnicodeDecodeError as error:
            raise spreadsheets.unknown("no whole UTF-16 text") from error
    for charset in ("utf-8-sig", "gb18030", "cp1252"):
        try:
            text = content.decode(charset)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, charset.removesuffix("-sig")
    raise spreadsheets.unknown("no text: neither UTF-8, GB18030 nor Windows-1252")


def _delimiter(text: str) -> str:
    heading = text.lstrip().partition("\n")[0]
    return max(DELIMITERS, key=heading.count)


def _titles(cells: Sequence[str]) -> list[str]:
    """Each once: a second "name" is "name (2)"."""
    seen: Counter[str] = Counter()
    titles = []
    for at, cell in enumerate(cells, 1):
        title = cell.strip()[:200] or f"column {at}"
        seen[title] += 1
        titles.append(title if seen[title] == 1 else f"{title} ({seen[title]})")
    return titles


def _cell(text: str) -> str:
    value = text.strip()
    return "" if value.casefold() in NOTHING else value


def _shape(text: str) -> str:
    return _DIGIT.sub("0", text)


def _day(text: str, format: str) -> date | None:
    # Eight digits, no fewer: 2016111 is a number.
    if not format or not text[:1].isdigit() or (format == DIGITS_ALONE and len(text) != 8):
        return None
    try:
        return datetime.strptime(text, format).date()
    except ValueError:
        return None
