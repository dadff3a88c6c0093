"""The process that migrates, begun before PostgreSQL is ready: much of its time goes into imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import last_line
from closedloop_devstack.platform.environment import FRUGAL

SECONDS = 300


class Migration:
    """`run` tells it what to migrate and waits for its end. What is never told ends with `cancel`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "closedloop_devstack.platform.migrate"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**FRUGAL, **os.environ},
            )

    def run(self, told: dict[str, Any]) -> None:
        """Raises PlatformError with its last words when it fails."""
        try:
            self._process.communicate(json.dumps(told).encode(), timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.cancel()
        if self._process.returncode != 0:
            raise PlatformError(
                f"The databases could not be migrated: {last_line(self._log)} (all of it in {self._log})."
            )

    def cancel(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
