"""The demo, whole: its story is told to the end, every step verified, and nothing is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from closedloop_devstack.demo.chapters import CHAPTERS

ROWS = sorted({row for chapter in CHAPTERS for row in chapter.rows})
SECONDS = 240


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo's report, with what it printed, how it ended and what it left."""
    folder = tmp_path_factory.mktemp("demo")
    home = Path(tempfile.mkdtemp(prefix="demo-tmp-", dir="/tmp"))
    home.chmod(0o755)
    report = folder / "demo.json"
    before = {process.pid for process in psutil.process_iter()}
    done = subprocess.run(
        [sys.executable, "-m", "closedloop_devstack.demo", "--lang", "en", "--report", str(report)],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(home), "COLUMNS": "160"},
        timeout=SECONDS,
    )
    left = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline", "environ"])
        if process.pid not in before and str(home) in str(process.info)
    ]
    folders = [path.name for path in home.glob("closedloop-demo-*")]
    home.rmdir() if not any(home.iterdir()) else None
    document: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {"steps": []}
    return document | {
        "printed": done.stdout + done.stderr,
        "status": done.returncode,
        "left": left,
        "folders": folders,
    }


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.mission(*ROWS)
def test_every_step_of_the_story_is_verified(told: dict[str, Any]) -> None:
    failed = [f"{step['id']}: {step.get('error')}" for step in told["steps"] if not step["verified"]]
    assert not failed, told["printed"][-6000:]
    assert (told["ok"], told["status"]) == (True, 0), told["printed"][-6000:]
    assert [step["id"] for step in told["steps"]] == [str(number) for number in range(1, 11)]


def test_each_step_shows_what_it_checked_and_by_which_rule_and_clock(told: dict[str, Any]) -> None:
    for step in told["steps"]:
        assert step["checks"], step["id"]
        assert step["facts"], step["id"]
        assert step["rule"], step["id"]
        assert step["clock"] or step["timeless"], step["id"]
    rulebooks = {rule["rulebook"] for step in told["steps"] for rule in step["rule"]}
    assert {"targets.smart", "customers.response", "funnel.pipelines", "approvals.policies"} <= rulebooks
    clocks = {clock["kind"]: clock for step in told["steps"] for clock in step["clock"]}
    assert clocks["customers.first_response"]["budget_hours"] == 2
    assert clocks["approvals.decision"]["calendar"] == "business"


def test_nothing_is_left_running_and_no_folder_behind(told: dict[str, Any]) -> None:
    assert told["left"] == []
    assert told["folders"] == []
