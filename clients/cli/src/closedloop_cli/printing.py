"""A page that can be printed: on the screen, as Markdown, or as a workbook with a sheet per section."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from closedloop_cli import shapes
from closedloop_cli.failures import Refused, Usage
from closedloop_cli.screen import Column, Screen
from closedloop_cli.words import Words

# What a workbook allows in a sheet's name, and how wide a column gets at most.
SHEET_NAME, WIDEST = 31, 60
NOT_IN_A_NAME = str.maketrans("[]:*?/\\", "       ")
BAR_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Figure(Column):
    """A column whose `number` a spreadsheet takes as a number, shown in `pattern`; None leaves the cell empty."""

    number: Callable[[Any], float | None] = lambda _: None
    pattern: str | Callable[[Any], str] = "0.0%"

    def shown(self, record: Any) -> str:
        return self.pattern if isinstance(self.pattern, str) else self.pattern(record)


def amounts(heading: str, of: Callable[[Any], Any]) -> Figure:
    """A column of amounts of targets: money in its currency, or plain numbers."""

    def number(record: Any) -> float | None:
        kind = of(record).WhichOneof("kind")
        if kind is None:
            return None
        return float(of(record).number.value if kind == "number" else shapes.decimal_of(of(record).money))

    def pattern(record: Any) -> str:
        code = of(record).money.currency_code
        return f'#,##0.00 "{code}"' if code else "#,##0.######"

    return Figure(heading, lambda row: shapes.amount(of(row)), right=True, number=number, pattern=pattern)


@dataclass(frozen=True, slots=True)
class Section:
    """Records under the same headings; one without records says so by `empty`, a key of the catalogue."""

    title: str
    columns: Sequence[Column]
    records: Sequence[Any]
    empty: str = "nothing"


@dataclass(frozen=True, slots=True)
class Page:
    """`lines` are sentences and figures of the page as a whole."""

    title: str
    lines: Sequence[str]
    sections: Sequence[Section]


def show(page: Page, screen: Screen, out: Path | None) -> None:
    """On the screen, or into a file that ends in .md or .xlsx. Raises Usage for any other, Refused where it cannot be written."""
    if out is None:
        _on(screen, page)
        return
    write = {".md": _markdown_into, ".xlsx": _workbook_into}.get(out.suffix.lower())
    if write is None:
        raise Usage("page_suffix", file=out)
    try:
        write(page, screen.words, out)
    except OSError as error:
        raise Refused("page_not_written", file=out, why=error.strerror or error) from error
    screen.note("page_written", file=out)


def markdown(page: Page, words: Words) -> str:
    """Pipes and line ends of what people wrote do not break a table, nor does their markup become ours."""
    parts = [f"# {_inline(page.title)}", *([_bullets(page.lines)] if page.lines else [])]
    for section in page.sections:
        parts.append(f"## {_inline(section.title)}")
        if not section.records:
            parts.append(f"*{words(section.empty)}*")
            continue
        heads = [_inline(words(column.heading)) for column in section.columns]
        rule = ["---:" if column.right else "---" for column in section.columns]
        rows = [[_inline(flat(column.cell(record))) for column in section.columns] for record in section.records]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows)))
    return "\n\n".join(parts) + "\n"


def flat(cell: RenderableType) -> str:
    """A cell without colours: a bar in blocks, a light by the name of its colour."""
    if isinstance(cell, ProgressBar):
        full = round(BAR_BLOCKS * cell.completed / (cell.total or 1))
        return "█" * full + "░" * (BAR_BLOCKS - full)
    if isinstance(cell, Text):
        return str(cell.style) if cell.plain == shapes.LIGHT else cell.plain.strip()
    return str(cell)


def _on(screen: Screen, page: Page) -> None:
    screen.print(Text(page.title, style="bold underline"))
    for line in page.lines:
        screen.print(Text(line))
    for section in page.sections:
        screen.print("")
        if not screen.table(section.columns, section.records, title=section.title):
            screen.print(Text(section.title, style="bold"))
            screen.say(section.empty)


def _markdown_into(page: Page, words: Words, out: Path) -> None:
    out.write_text(markdown(page, words), encoding="utf-8")


def _workbook_into(page: Page, words: Words, out: Path) -> None:
    # Whoever wants no workbook does not wait for the library.
    from xlsxwriter import Workbook

    # Text of people never becomes a formula or a link.
    with out.open("wb") as file, Workbook(file, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        bold, head = book.add_format({"bold": True}), book.add_format({"bold": True, "bottom": 1})
        format_of = cache(lambda pattern: book.add_format({"num_format": pattern}))
        first = book.add_worksheet(_sheet_name(page.title, 0))
        first.write_string(0, 0, page.title, bold)
        for row, line in enumerate(page.lines, 2):
            first.write_string(row, 0, line)
        first.set_column(0, 0, WIDEST)
        for number, section in enumerate(page.sections, 1):
            sheet = book.add_worksheet(_sheet_name(section.title, number))
            sheet.freeze_panes(1, 0)
            for place, column in enumerate(section.columns):
                texts = [flat(column.cell(record)) for record in section.records]
                heading = words(column.heading)
                sheet.write_string(0, place, heading, head)
                sheet.set_column(place, place, min(max(map(len, (heading, *texts))) + 2, WIDEST))
                for row, (record, text) in enumerate(zip(section.records, texts, strict=True), 1):
                    if isinstance(column, Figure) and (value := column.number(record)) is not None:
                        sheet.write_number(row, place, value, format_of(column.shown(record)))
                    elif not isinstance(column, Figure):
                        sheet.write_string(row, place, text)


def _sheet_name(title: str, number: int) -> str:
    """Numbered, because two sheets must not be called alike."""
    return f"{number} {title.translate(NOT_IN_A_NAME)}".strip()[:SHEET_NAME].rstrip("' ")


def _inline(text: str) -> str:
    for sign in ("\\", "|", "*", "_", "`", "<", "[", "#"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_inline(line)}" for line in lines)
