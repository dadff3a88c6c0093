"""The pages of the command line on measured weeks: on the screen, as Markdown, in a workbook, figure for figure."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner

from closedloop_cli.main import app
from closedloop_devstack.testing.service import Live

from .test_alarms import bring, monday, weekly
from .test_boards import in_force
from .test_reviews import UNTRACKED, follow_up, pb, record, whole
from .test_reviews import packs as packs_of

BEFORE, AFTER = "2026-01-12/2026-01-18", "2026-01-19/2026-02-01"


async def typed(live: Live, *arguments: str, status: int = 0) -> str:
    environment = {
        "CLOSEDLOOP_PEERS": json.dumps({"targets": live.address}),
        "CLOSEDLOOP_TOKEN": live.token("ops", "operations"),
        "CLOSEDLOOP_HOME": None,
        "LANG": "en_GB.UTF-8",
        "COLUMNS": "240",
    }
    result = await asyncio.to_thread(CliRunner(env=environment).invoke, app, ["targets", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def table(said: str, heading: str) -> list[list[str]]:
    """Rows of a section of a Markdown page, its head first."""
    lines = said.split(f"## {heading}\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]


def sheet(path: Path, number: int) -> list[list[Any]]:
    return list(CalamineWorkbook.from_path(path).get_sheet_by_index(number).to_python())


@pytest.mark.mission("S7", "S14", "S19", "S20")
async def test_packs_deviation_and_health_as_pages_and_files(company: Live, tmp_path: Path) -> None:
    plan = await in_force(company)
    goals = await weekly(company, plan)
    await bring(company, 1, goals)
    await bring(company, 2, goals)
    await bring(company, 3, goals, rep1=0.5, rep2=1.3, rep3=0.8, rep4=1.4)
    await bring(company, 4, goals, rep1=0.9, rep2=1.05, rep3=0.95, rep4=1.02)
    await company.move_to(monday(5, 8.5))
    [newest] = [one for one in await packs_of(company, period="2026-F02") if one.ownership.unit_id == "east-1"]
    cause = pb.ConfirmedCause(holder_id="rep1", metric="won_value", cause=UNTRACKED, comment="no | log *at all*")
    await record(
        company, await whole(company, newest), causes=[cause], minutes="long talk",
        decisions=[pb.ReviewDecision(text="=1+1")], follow_ups=[follow_up("visit the five largest customers")],
    )  # fmt: skip

    page, book = tmp_path / "pack.md", tmp_path / "pack.xlsx"
    shown = await typed(company, "pack", "east-1")
    for name in (page, book):
        assert f"{name}" in (await typed(company, "pack", "east-1", "--out", str(name))).replace("\n", "")
    said = page.read_text(encoding="utf-8")
    assert said.startswith("# east-1: review of 2026-F02")
    assert "- long talk" in said
    [head, rep1, rep2] = table(said, "Deviations, the largest first")
    assert (rep1[0], rep2[0]) == ("rep1", "rep2")
    [ratio] = [place for place, name in enumerate(head) if name == "difference"]
    assert rep1[ratio] == "-30.0%"
    assert "no \\| log \\*at all\\*" in said
    assert table(said, "Decisions")[1][0] == "=1+1"
    rows = sheet(book, 2)
    assert rows[0] == head
    assert isinstance(rows[1][ratio], float)
    assert f"{rows[1][ratio]:+.1%}" == rep1[ratio]
    assert isinstance(rows[1][2], float)
    for word in ("long talk", "rep1", rep1[ratio], "visit the five largest customers", "untracked process"):
        assert word in shown

    page, book = tmp_path / "deviation.md", tmp_path / "deviation.xlsx"
    for name in (page, book):
        await typed(company, "deviation", BEFORE, AFTER, "--out", str(name))
    told = json.loads(await typed(company, "deviation", BEFORE, AFTER, "--json"))
    said = page.read_text(encoding="utf-8")
    assert f"- {told['verdict']}" in said
    spans = sheet(book, 1)
    assert [row[0] for row in spans[1:]] == [BEFORE, AFTER]
    assert (round(spans[1][1], 4), round(spans[2][1], 4)) == (0.5, 0.1)
    assert [row[0] for row in sheet(book, 2)[1:]] == ["2026-W03", "2026-W04"]

    page, book = tmp_path / "health.md", tmp_path / "health.xlsx"
    for name in (page, book):
        await typed(company, "health", "--month", "2026-M01", "--by", "person", "--out", str(name))
    assert page.read_text(encoding="utf-8").startswith("# co: health of targets in 2026-M01")
    assert {row[0] for row in sheet(book, 2)[1:]} >= {"rep1", "rep2", "rep3", "rep4"}
    # Of a month in which nobody was asked for anything nothing is said to be decomposed.
    none = json.loads(await typed(company, "health", "--month", "2025-M06", "--json"))
    assert none["total"]["targetsHeld"] == 0
    await typed(company, "health", "--month", "2025-M06", "--out", str(book))
    assert sheet(book, 1)[1][:2] == ["2025-M06", ""]
    assert "grade that makes a key customer" in await typed(company, "customers")
    assert "2 are shown, and there are more" in await typed(company, "board", "--limit", "2")
    assert "more" not in await typed(company, "board", "--limit", "4")
    two = json.loads(await typed(company, "health", "--month", "2026-M01", "--by", "person", "--limit", "2", "--json"))
    assert len(two["slices"]) == 2
