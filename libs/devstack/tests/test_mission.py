"""Marked tests become rows with results, over several runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from closedloop_devstack.mission.rows import rows

TESTS = """
import pytest

@pytest.mark.mission("S23", "S24")
def test_response_clock():
    assert {holds}

@pytest.mark.mission("S23")
@pytest.mark.parametrize("region", ["east", "north"])
def test_assignment(region):
    assert region

@pytest.mark.mission("U8")
def test_calendar():
    pytest.skip("no calendar today")

@pytest.fixture
def leaky():
    yield
    raise OSError("left open")

@pytest.mark.mission("U-A")
def test_work_list(leaky):
    pass

@pytest.mark.mission("S26", lacks="the morning")
def test_reminder():
    pass

@pytest.mark.mission("S24", lacks="named here, proved whole above")
def test_part():
    pass

def test_unmarked():
    pass
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "protos" / "closedloop").mkdir(parents=True)
        (folder / "tests").mkdir()
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider --strict-markers\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / "tests" / name).write_text(text)

    def pytest(self, *arguments: str, cwd: str = ".") -> subprocess.CompletedProcess[str]:
        return self._run("pytest", "-p", "closedloop_devstack.mission.plugin", *arguments, cwd=cwd)

    def report(self) -> tuple[str, dict[str, Any]]:
        done = self._run("closedloop_devstack.mission")
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads((self.folder / "build" / "mission.json").read_text())

    def _run(self, module: str, *arguments: str, cwd: str = ".") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "COLUMNS": "200",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(
            command, cwd=self.folder / cwd, env=environment, capture_output=True, text=True, timeout=60
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_every_row_is_there_in_order() -> None:
    assert [row.id for row in rows()] == [*(f"S{n}" for n in range(1, 103)), *(f"U{n}" for n in range(1, 21)), "U-A"]
    assert all(row.title and row.section for row in rows())


def test_rows_are_proved_failed_skipped_or_open(project: Project) -> None:
    project.write("test_loop.py", TESTS.format(holds="True"))
    assert project.pytest().returncode == 1  # the leaky teardown
    text, standings = project.report()
    assert list(standings) == [row.id for row in rows()]
    assert standings["S23"] == {
        "tests": [
            "tests/test_loop.py::test_assignment[east]",
            "tests/test_loop.py::test_assignment[north]",
            "tests/test_loop.py::test_response_clock",
        ],
        "passed": 3,
        "failed": 0,
    }
    assert standings["U8"] == {"tests": ["tests/test_loop.py::test_calendar"], "passed": 0, "failed": 0}
    assert standings["U-A"] == {"tests": ["tests/test_loop.py::test_work_list"], "passed": 0, "failed": 1}
    assert standings["S26"]["lacks"] == ["the morning"]
    assert standings["S24"]["passed"] == 2
    assert "lacks" not in standings["S24"]
    assert standings["S1"] == {"tests": [], "passed": 0, "failed": 0}
    lines = text.splitlines()
    assert "S1   open    A target is SMART, or refused with the failing letters named" in lines
    assert "       passed  tests/test_loop.py::test_assignment[east]" in lines
    assert "S26  partly  Reminders the day before and that morning, in the owner's time zone, once each" in lines
    assert "       lacks   the morning" in lines
    assert lines[-1] == "123 rows: 2 proved, 1 partly, 1 failed, 1 skipped, 118 open"


def test_later_runs_update_and_forget(project: Project) -> None:
    project.write("test_loop.py", TESTS.format(holds="True"))
    project.write("test_other.py", "import pytest\n@pytest.mark.mission('S1')\ndef test_smart(): pass\n")
    project.pytest()
    project.write("test_loop.py", TESTS.format(holds="False"))
    project.pytest("tests/test_loop.py::test_response_clock")
    _, standings = project.report()
    assert (standings["S23"]["passed"], standings["S23"]["failed"]) == (2, 1)
    assert standings["S1"]["passed"] == 1

    # From another working folder and with a selection: the same tests, nothing forgotten.
    project.write("test_loop.py", TESTS.format(holds="True"))
    project.pytest("-k", "response", cwd="tests")
    _, standings = project.report()
    assert (standings["S23"]["passed"], standings["S23"]["failed"]) == (3, 0)

    project.write("test_loop.py", TESTS.format(holds="True").replace("def test_assignment", "def test_renamed"))
    (project.folder / "tests" / "test_other.py").unlink()
    project.pytest()
    _, standings = project.report()
    assert standings["S1"]["tests"] == []
    assert "tests/test_loop.py::test_assignment[east]" not in standings["S23"]["tests"]
    assert "tests/test_loop.py::test_renamed[east]" in standings["S23"]["tests"]


def test_a_row_that_does_not_exist_is_refused(project: Project) -> None:
    project.write("test_loop.py", "import pytest\n@pytest.mark.mission('S203')\ndef test_x(): pass\n")
    run = project.pytest()
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "names rows the mission does not have: S203" in run.stdout + run.stderr
