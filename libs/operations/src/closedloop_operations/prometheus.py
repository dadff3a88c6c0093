"""Prometheus and promtool of Debian's package, installed by apt where we are root; nothing of the system's is started.

    python -m closedloop_operations.prometheus

ends with status 0 also where it cannot be had, having said so: what needs it is skipped then, and fails in CI.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml  # type: ignore[import-untyped]

from closedloop_devstack import debian, ports
from closedloop_devstack.errors import PlatformError

LACKING = "Prometheus is not installed (Debian: apt-get install prometheus)"


def found() -> bool:
    return bool(shutil.which("prometheus") and shutil.which("promtool"))


def ensure() -> None:
    """Raises PlatformError where it is missing and cannot be installed."""
    if found():
        return
    if not debian.may_install():
        raise PlatformError(f"{LACKING}.")
    debian.install("prometheus")
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--now", "prometheus"], capture_output=True, timeout=120)


class Prometheus:
    """A server of its own on a free port. `targets` gives the labels of each "host:port"."""

    def __init__(
        self, folder: Path, targets: Mapping[str, Mapping[str, str]], rules: list[Path], every: str = "1s"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = ports.free_port()
        configuration = {
            "global": {"scrape_interval": every, "evaluation_interval": "30s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {
                    "job_name": "closedloop",
                    "static_configs": [{"targets": [one], "labels": dict(labels)} for one, labels in targets.items()],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant vector. Raises ValueError for what is no query."""
        return self._ask("query", query=expression)["result"]  # type: ignore[no-any-return]

    def rule_groups(self) -> list[dict[str, Any]]:
        """Every group with the time its last evaluation took, in seconds, and every rule with its last error."""
        return self._ask("rules")["groups"]  # type: ignore[no-any-return]

    def ready(self, seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2):
                    return
            except (URLError, OSError) as error:
                if time.monotonic() > ends or self._process.poll() is not None:
                    raise PlatformError(f"Prometheus did not start: {error}") from error
                time.sleep(0.2)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{what}?{urlencode(parameters)}", timeout=120) as answer:
                content: dict[str, Any] = json.load(answer)["data"]
                return content
        except URLError as error:
            body = getattr(error, "read", lambda: b"")().decode()
            raise ValueError(f"{parameters}: {error} {body}") from error


def main() -> None:
    try:
        ensure()
    except PlatformError as error:
        sys.stderr.write(f"{error} What needs it is skipped.\n")


if __name__ == "__main__":
    main()
