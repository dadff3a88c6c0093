"""Every row of the mission with its tests and their last result; writes `build/mission.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

from rich.console import Console

from closedloop_devstack.files import write_whole
from closedloop_devstack.mission.results import FILE, Results
from closedloop_devstack.mission.rows import Row, rows
from closedloop_devstack.platform.home import project

MARKS = {"passed": "[green]passed[/] ", "failed": "[red]failed[/] ", "skipped": "[yellow]skipped[/]"}


class Standing(TypedDict):
    """What `build/mission.json` says of one row. Skipped tests are listed and counted nowhere: they prove nothing.

    `lacks` stands where no test that passed proves the whole row, and says what is missing.
    """

    tests: list[str]
    passed: int
    failed: int
    lacks: NotRequired[list[str]]


def standings(results: Results) -> dict[str, Standing]:
    """Every row in order; rows nobody proves have no tests."""
    by_row: dict[str, Standing] = {row.id: Standing(tests=[], passed=0, failed=0) for row in rows()}
    for node, result in sorted(results.root.items()):
        for row in result.rows:
            if standing := by_row.get(row):
                standing["tests"].append(node)
                standing["passed"] += result.outcome == "passed"
                standing["failed"] += result.outcome == "failed"
    for row, lacks in _lacking(results).items():
        by_row[row]["lacks"] = lacks
    return by_row


def _lacking(results: Results) -> dict[str, list[str]]:
    """Rows that tests prove in part only, with what is missing."""
    passed = [result for result in results.root.values() if result.outcome == "passed"]
    whole = {row for result in passed for row in result.rows if row not in result.lacks}
    missing: dict[str, set[str]] = {}
    for result in passed:
        for row, lacks in result.lacks.items():
            if row not in whole:
                missing.setdefault(row, set()).add(lacks)
    return {row: sorted(lacks) for row, lacks in missing.items()}


def verdict(standing: Standing) -> str:
    """open: no test; failed: one failed; skipped: none ran; partly: those that passed say what is missing; else proved."""
    if not standing["tests"]:
        return "open"
    if standing["failed"]:
        return "failed"
    if not standing["passed"]:
        return "skipped"
    return "partly" if standing.get("lacks") else "proved"


def show(console: Console, results: Results, by_row: Mapping[str, Standing]) -> None:
    colours = {"open": "dim", "failed": "red", "proved": "green", "partly": "yellow", "skipped": "yellow"}
    section = ""
    for row in rows():
        if row.section != section:
            section = row.section
            console.print(f"\n[bold]{section}[/]")
        said = verdict(by_row[row.id])
        console.print(f"[{colours[said]}]{row.id:<5}{said:<8}[/]{row.title}", highlight=False)
        for lacks in by_row[row.id].get("lacks", []):
            console.print(f"       lacks   {_escaped(lacks)}", highlight=False)
        for node in by_row[row.id]["tests"]:
            console.print(f"       {MARKS[results.root[node].outcome]} {_escaped(node)}", highlight=False)
    console.print(f"\n{_summary(rows(), by_row)}", highlight=False)


def _summary(every: tuple[Row, ...], by_row: Mapping[str, Standing]) -> str:
    verdicts = [verdict(by_row[row.id]) for row in every]
    counted = ", ".join(f"{verdicts.count(said)} {said}" for said in ("proved", "partly", "failed", "skipped", "open"))
    return f"{len(every)} rows: {counted}"


def _escaped(node: str) -> str:
    return node.replace("[", r"\[")


def report(folder: Path, console: Console) -> dict[str, Standing]:
    """Prints and writes; `folder` is the repository."""
    results = Results.read(folder / "build" / FILE)
    by_row = standings(results)
    show(console, results, by_row)
    write_whole(folder / "build" / "mission.json", json.dumps(by_row, indent=1), mode=0o644)
    return by_row


if __name__ == "__main__":
    report(project(), Console(soft_wrap=True))
