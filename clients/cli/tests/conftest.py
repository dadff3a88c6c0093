"""`closedloop` as a person types it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from closedloop_cli.main import app


class Shell:
    """Runs commands with an environment of their own; nothing of the caller's leaks in."""

    def __init__(self, **environment: str) -> None:
        self._environment: dict[str, str | None] = {
            "CLOSEDLOOP_PEERS": None,
            "CLOSEDLOOP_TOKEN": None,
            "CLOSEDLOOP_HOME": None,
            "LC_ALL": None,
            "LC_MESSAGES": None,
            "LANG": "en_GB.UTF-8",
            **environment,
        }

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """What the command prints, both streams; it must end with `status`."""
        result = CliRunner(env=self._environment).invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, f"{arguments} ended with {result.exit_code}: {result.output}"
        return result.output

    def json(self, *arguments: object, status: int = 0) -> Any:
        """The one document a command prints."""
        return json.loads(self._stdout(*arguments, "--json", status=status))

    def lines(self, *arguments: object, status: int = 0) -> list[Any]:
        """The JSON lines a command prints."""
        return [json.loads(line) for line in self._stdout(*arguments, "--json", status=status).splitlines()]

    def _stdout(self, *arguments: object, status: int) -> str:
        result = CliRunner(env=self._environment).invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == status, f"{arguments} ended with {result.exit_code}: {result.output}"
        return result.stdout


@pytest.fixture(scope="session")
def shell() -> Callable[..., Shell]:
    return Shell
