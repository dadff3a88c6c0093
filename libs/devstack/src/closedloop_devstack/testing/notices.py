"""What a test run lacks on this machine: skipped with one loud line, and never skipped in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

LACKING = pytest.StashKey[list[str]]()


def lack(config: pytest.Config, line: str) -> NoReturn:
    """Skips the test and says `line` once at the end of the run; fails the test where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(f"{line} CI must not skip this.", pytrace=False)
    said = config.stash.setdefault(LACKING, [])
    if line not in said:
        said.append(line)
    pytest.skip(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(LACKING, []):
        terminalreporter.write_line(f"SKIPPED: {line}", yellow=True, bold=True)
