"""Printable pages: the same figures on the screen, as Markdown and in a workbook."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from closedloop.common.v1.common_pb2 import LIGHT_RED
from closedloop.targets.v1 import boards_pb2
from closedloop_chassis import protos
from closedloop_cli import printing
from closedloop_cli.commands.target_pages import PERSON, PROGRESS
from closedloop_cli.failures import Refused, Usage
from closedloop_cli.printing import Page, Section
from closedloop_cli.screen import Screen
from closedloop_cli.words import Words


def person(name: str, done: int, target: int, **more: Any) -> boards_pb2.PersonProgress:
    line = boards_pb2.PersonProgress(person_id=name, name=more.pop("named", name), unit_id="east-1")
    line.progress.done.money.CopyFrom(protos.money(done, "CNY"))
    if target:
        line.progress.target.money.CopyFrom(protos.money(target, "CNY"))
        line.progress.completion_ratio = done / target
    line.progress.light = LIGHT_RED
    return line


@pytest.fixture
def page() -> Page:
    rows = [person("rep1", 2_500_00, 10_000_00), person("rep2", 100_00, 0, named="=1+1 | [张三](x)")]
    return Page(
        "Q1: 华东 * all",
        ["12 of 40 actions were done"],
        [Section("Progress: 2026/Q1 by person and by team of the region", [*PERSON, *PROGRESS], rows),
         Section("Nothing here", PERSON, [])],
    )  # fmt: skip


def test_markdown_stays_a_table_whatever_people_are_called(page: Page) -> None:
    said = printing.markdown(page, Words("en"))
    lines = said.splitlines()
    assert lines[0] == r"# Q1: 华东 \* all"
    assert "- 12 of 40 actions were done" in lines
    [head] = [line for line in lines if line.startswith("| person")]
    first, second = lines[lines.index(head) + 2 : lines.index(head) + 4]
    assert first == "| rep1 | rep1 | east-1 | 2,500 CNY | 10,000 CNY | red | ██░░░░░░░░ | 25.0% |"
    assert second.startswith(r"| =1+1 \| \[张三](x) | rep2 |")
    assert said.endswith("## Nothing here\n\n*Nothing found.*\n")
    assert "| 人员 |" in printing.markdown(page, Words("zh"))


def test_a_workbook_has_a_sheet_per_section_and_numbers_that_are_numbers(page: Page, tmp_path: Path) -> None:
    out = tmp_path / "board.xlsx"
    printing.show(page, Screen(Words("en")), out)
    book = CalamineWorkbook.from_path(out)
    assert book.sheet_names == ["0 Q1  华东   all", "1 Progress  2026 Q1 by person a", "2 Nothing here"]
    first, rows, nothing = (book.get_sheet_by_name(name).to_python() for name in book.sheet_names)
    assert [row[0] for row in first if row[0]] == ["Q1: 华东 * all", "12 of 40 actions were done"]
    assert rows[0] == ["person", "id", "unit", "done", "target", "light", "progress", "ratio"]
    assert (rows[1][3], rows[1][4], rows[1][-1]) == (2500, 10_000, 0.25)
    assert (rows[2][0], rows[2][-1]) == ("=1+1 | [张三](x)", "")
    assert nothing == [["person", "id", "unit"]]


def test_where_a_page_cannot_go(page: Page, tmp_path: Path) -> None:
    screen = Screen(Words("en"))
    with pytest.raises(Usage) as wrong:
        printing.show(page, screen, tmp_path / "board.pdf")
    assert wrong.value.key == "page_suffix"
    for name in ("board.md", "board.xlsx"):
        with pytest.raises(Refused) as refused:
            printing.show(page, screen, tmp_path / "nowhere" / name)
        assert refused.value.key == "page_not_written"


def test_the_screen_shows_every_section(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr("sys.stdout", shown)
    printing.show(page, Screen(Words("en")), None)
    said = shown.getvalue()
    assert "12 of 40 actions were done" in said
    assert "2,500 CNY" in said
    assert said.rstrip().endswith("Nothing found.")
