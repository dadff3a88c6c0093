"""Saved lists of procurement intentions, as crawlers write them: tables of lots, several rows to a notice.

Every row ends as one of four: a lot (or the missing half of one), a duplicate, a heading, or something nobody can read,
with the reason. Rows shifted by a column are put right where every cell then is what its column says; a heading that is
repeated among the rows says what the cells below it are. Remarks: `COLUMNS_SHIFTED`, `REQUIREMENT_FROM_OTHER_ROW`,
`AMOUNT_UNREADABLE`, `BUYER_FROM_TITLE`, `TITLE_FROM_BUYER`, `PUBLISH_DATE_UNKNOWN`. Reasons: `BUYER_MISSING`,
`NAME_MISSING`, `LOT_UNKNOWN`, `FIELD_TOO_LONG`, `TIME_UNREADABLE`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from closedloop_integrations.notices.rules import SheetRules
from closedloop_integrations.procurement.matching import normalise
from closedloop_integrations.procurement.mending import plain, printed, read_amount, read_time
from closedloop_integrations.procurement.site import buyer_in
from closedloop_integrations.procurement.words import PageWords

# What the contract lets a lot and a notice be.
LONGEST = {"name": 1000, "requirement": 10_000, "remark": 2000, "buyer": 200, "title": 1000, "region": 100, "url": 2000}
MOST_LOTS, LONGEST_BODY = 1000, 100_000
# What is longer is no title of a column.
LONGEST_TITLE = 80
# The cells of a lot, as against those of its notice.
LOT = ("lot_number", "name", "requirement", "amount", "reserved", "expected", "remark")
_MONTH = re.compile(r"(20\d{2})\s*[年\-/.]\s*(\d{1,2})\s*月?")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_YES_OR_NO = ("是", "否")

Cells = Sequence[str]
# Column → what stands in it.
Layout = Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Lot:
    """One lot of a notice; `amount_minor` is fen, None where none can be read, `expected` "2026-03" or empty."""

    name: str
    requirement: str = ""
    amount_minor: int | None = None
    expected: str = ""
    remark: str = ""


@dataclass(slots=True)
class Listed:
    """A notice out of its rows. `published` is None where the list does not say it."""

    buyer: str
    title: str
    region: str
    kind: str
    url: str
    published: date | None
    lots: list[Lot] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    # Rows that are its lots, or halves of them.
    rows: list[int] = field(default_factory=list)

    @property
    def source_id(self) -> str:
        """Addresses of such sites are other ones each time; who buys what, and when, stays."""
        lots = sorted(f"{normalise(lot.name)}|{lot.expected}" for lot in self.lots)
        return hashlib.sha256("\n".join([normalise(self.buyer), *lots]).encode()).hexdigest()[:32]


@dataclass(slots=True)
class Sheet:
    """A table, read: what became of each row by its position."""

    notices: list[Listed] = field(default_factory=list)
    headers: list[int] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    mended: set[int] = field(default_factory=set)
    # Rows with anything in them, and the columns' titles.
    read: int = 0
    titles: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Page:
    """The rows of one address."""

    seen: dict[str, str]
    lots: dict[int, Lot] = field(default_factory=dict)
    # The same lots by what makes two of them one.
    places: dict[tuple[str, int | None, str], int] = field(default_factory=dict)
    # Requirement and remark of lots whose names stand in other rows.
    halves: dict[int, tuple[str, str]] = field(default_factory=dict)
    # What a heading among its rows says.
    layout: Layout | None = None


def known(rows: Sequence[Cells], rules: SheetRules) -> bool:
    """Whether the first row is the heading of such a table: who buys what."""
    fields = set(_layout(rows[0], rules).values()) if rows else set()
    return "name" in fields and bool({"buyer", "title"} & fields)


def read(rows: Sequence[Cells], rules: SheetRules, words: PageWords) -> Sheet:
    """`rows` with the heading; cells as text."""
    sheet = Sheet(titles=list(rows[0]))
    heading = _layout(rows[0], rules)
    pages: dict[tuple[str, ...], _Page] = {}
    for position, cells in enumerate(rows):
        if not any(cell.strip() for cell in cells):
            continue
        sheet.read += 1
        if position == 0:
            sheet.headers.append(position)
            continue
        about = {name: printed(cell) for name, cell in _named(heading, cells).items() if name not in LOT}
        page = pages.setdefault(_page_of(about), _Page(about))
        if again := _layout(cells, rules, at_least=2):
            # The cells of the notice itself hold values, and keep their meaning.
            page.layout = {**{at: name for at, name in heading.items() if name not in LOT}, **again}
            sheet.headers.append(position)
        elif len(over := next((n for n, cell in about.items() if len(cell) > LONGEST.get(n, 2000)), "")):
            sheet.refused[position] = f"FIELD_TOO_LONG: {over}"
        else:
            _take(page, position, cells, heading, sheet, rules)
    found: dict[str, Listed] = {}
    for page in pages.values():
        _close(page, found, sheet, words)
    sheet.notices = list(found.values())
    return sheet


def _take(page: _Page, position: int, cells: Cells, heading: Layout, sheet: Sheet, rules: SheetRules) -> None:
    shifted = [{at + by: name for at, name in heading.items() if name in LOT} for by in (0, -1, 1)]
    for place, layout in enumerate(shifted):
        given = {name: printed(cell) for name, cell in _named(layout, cells).items()}
        if given.get("name") and _fits(given):
            if place:
                sheet.mended.add(position)
            _lot(page, position, given, heading, sheet, rules)
            return
    given = {name: printed(cell) for name, cell in _named(page.layout or {}, cells).items()}
    if given.get("name") and _fits(given):
        sheet.mended.add(position)
        _lot(page, position, given, heading, sheet, rules)
    elif "requirement" in given and "name" not in given and given.get("reserved") in _YES_OR_NO:
        page.halves[position] = (given["requirement"], given.get("remark", ""))
    else:
        # As it stands: a lot whose amount or month nobody can read is a lot all the same.
        given = {name: printed(cell) for name, cell in _named(shifted[0], cells).items()}
        if not given.get("name") or given["name"] in _YES_OR_NO or given.get("amount") in _YES_OR_NO:
            sheet.refused[position] = "NAME_MISSING: no column holds the name of a lot"
        else:
            _lot(page, position, given, heading, sheet, rules)


def _lot(
    page: _Page, position: int, given: Mapping[str, str], heading: Layout, sheet: Sheet, rules: SheetRules
) -> None:
    if over := next((name for name, text in given.items() if len(text) > LONGEST.get(name, 1000)), ""):
        sheet.refused[position] = f"FIELD_TOO_LONG: {over} of {len(given[over])} characters"
        return
    amount = _amount(given.get("amount", ""), heading, sheet, rules)
    if given.get("amount") and amount is None:
        sheet.mended.add(position)
    lot = Lot(
        given["name"], given.get("requirement", ""), amount, _month(given.get("expected", "")), given.get("remark", "")
    )
    twin = page.places.setdefault((normalise(lot.name), lot.amount_minor, lot.expected), position)
    if twin == position:
        page.lots[position] = lot
        return
    sheet.duplicates.append(position)
    sheet.mended.discard(position)
    if not page.lots[twin].requirement:
        page.lots[twin] = replace(page.lots[twin], requirement=lot.requirement)


def _close(page: _Page, found: dict[str, Listed], sheet: Sheet, words: PageWords) -> None:
    """Joins the halves, and a notice that stands at another address, too, with itself."""
    rows = sorted([*page.lots, *page.halves])
    reason, listed = _about(page.seen, words)
    if listed is None:
        sheet.refused |= dict.fromkeys(rows, reason)
        return
    remarks = []
    if page.halves and len(page.halves) == len(page.lots):
        # Both stand in the order of the page.
        for at, half in zip(sorted(page.lots), sorted(page.halves), strict=True):
            page.lots[at] = replace(page.lots[at], requirement=page.halves[half][0])
            sheet.mended.add(half)
        remarks.append("REQUIREMENT_FROM_OTHER_ROW")
    elif page.halves:
        reason = f"LOT_UNKNOWN: {len(page.halves)} requirements without names beside {len(page.lots)} lots"
        sheet.refused |= dict.fromkeys(page.halves, reason)
        rows = sorted(page.lots)
    if not page.lots:
        return
    if len(page.lots) > MOST_LOTS:
        sheet.refused |= dict.fromkeys(rows, f"FIELD_TOO_LONG: more than {MOST_LOTS} lots")
        return
    listed.lots, listed.rows = [page.lots[at] for at in sorted(page.lots)], rows
    shifted = sheet.mended & set(page.lots)
    listed.remarks += remarks + (["COLUMNS_SHIFTED"] if shifted else [])
    if any(lot.amount_minor is None for lot in listed.lots):
        listed.remarks.append("AMOUNT_UNREADABLE")
    if (earlier := found.setdefault(listed.source_id, listed)) is not listed:
        sheet.duplicates += rows
        sheet.mended -= set(rows)
        earlier.published = earlier.published or listed.published


def _about(seen: Mapping[str, str], words: PageWords) -> tuple[str, Listed | None]:
    title, buyer = seen.get("title", ""), seen.get("buyer", "")
    remarks = []
    if not buyer:
        buyer = buyer_in(title, words)
        remarks.append("BUYER_FROM_TITLE")
    if not buyer:
        return "BUYER_MISSING: neither a column nor the title names a buyer", None
    if len(buyer) > LONGEST["buyer"]:
        return "FIELD_TOO_LONG: buyer", None
    if not title:
        title = f"{buyer}{words.intentions[0]}"
        remarks.append("TITLE_FROM_BUYER")
    published = read_time(seen.get("published", ""))
    if seen.get("published") and published is None:
        return f"TIME_UNREADABLE: {seen['published'][:40]}", None
    if published is None:
        remarks.append("PUBLISH_DATE_UNKNOWN")
    day = published.date() if published else None
    listed = Listed(buyer, title, seen.get("region", ""), seen.get("kind", ""), seen.get("url", ""), day)
    listed.remarks = remarks
    return "", listed


def body(listed: Listed) -> str:
    """The lots as text, a line each, so that they are searched like the body of a page."""
    lines = (" ".join(filter(None, (lot.name, lot.requirement, lot.remark))) for lot in listed.lots)
    return "\n".join(lines)[:LONGEST_BODY]


def _layout(cells: Cells, rules: SheetRules, at_least: int = 1) -> dict[int, str]:
    """Which columns the cells are titles of; empty where fewer than `at_least` are any."""
    titles = {at: _title(cell) for at, cell in enumerate(cells) if 0 < len(cell) <= LONGEST_TITLE}
    found = {at: name for at, title in titles.items() if (name := rules.columns.get(title))}
    return found if len(found) >= at_least else {}


def _title(cell: str) -> str:
    """Without notes in brackets: 预算金额（万元） is 预算金额."""
    return re.sub(r"\(.*?\)", "", plain(cell)).replace(" ", "").casefold()


def _named(layout: Layout, cells: Cells) -> dict[str, str]:
    return {name: cells[at] for at, name in layout.items() if 0 <= at < len(cells)}


def _fits(given: Mapping[str, str]) -> bool:
    """Whether every cell is what its column says."""
    amount, reserved, expected = (given.get(name, "") for name in ("amount", "reserved", "expected"))
    return bool(
        _NUMBER.fullmatch(amount)
        and ("reserved" not in given or reserved in _YES_OR_NO)
        and ("expected" not in given or _month(expected))
    )


def _amount(text: str, heading: Layout, sheet: Sheet, rules: SheetRules) -> int | None:
    title = next((sheet.titles[at] for at, name in heading.items() if name == "amount"), "")
    unit = title if "元" in title else rules.bare_amount_unit
    return read_amount(text, unit) if text else None


def _month(text: str) -> str:
    found = _MONTH.search(plain(text))
    return f"{found[1]}-{int(found[2]):02d}" if found and 1 <= int(found[2]) <= 12 else ""


def _page_of(about: Mapping[str, str]) -> tuple[str, ...]:
    """Rows of one address are one notice; without addresses, those of one buyer, title and moment."""
    if url := about.get("url"):
        return (url,)
    return tuple(about.get(name, "") for name in ("buyer", "title", "published"))
