"""Brings RabbitMQ onto a Debian or Ubuntu machine without letting the package start a server of the system's.

    python -m closedloop_devstack.servers.rabbit_install

ends with status 0 also where it cannot be installed, having said so: what needs it is skipped then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.servers import rabbit

# Debian's maintainer scripts ask this program whether they may start a service; 101 means no (invoke-rc.d(8)).
POLICY = Path("/usr/sbin/policy-rc.d")
REFUSE = "#!/bin/sh\nexit 101\n"


def ensure_rabbitmq() -> Path:
    """The folder of RabbitMQ's scripts, installed by apt first where that is possible.

    Raises PlatformError with one sentence where it is missing and cannot be installed: not root, or no apt.
    """
    if found := rabbit.scripts():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PlatformError(rabbit.HOW_TO_GET)
    with services_kept_down():
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", "rabbitmq-server")
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--now", "rabbitmq-server"], capture_output=True, timeout=120)
    if found := rabbit.scripts():
        return found
    raise PlatformError(
        "apt installed rabbitmq-server, yet its scripts are not where Debian puts them; tell us your distribution."
    )


@contextmanager
def services_kept_down(policy: Path = POLICY) -> Iterator[None]:
    """While open, packages install without starting services; an administrator's own policy is left as it is."""
    if policy.exists():
        yield
        return
    policy.write_text(REFUSE)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise PlatformError(f"`apt-get {arguments[0]}` failed: {lines[-1]}")


def main() -> None:
    if not rabbit.scripts():
        sys.stdout.write("Installing RabbitMQ with apt…\n")
    try:
        ensure_rabbitmq()
    except PlatformError as error:
        sys.stderr.write(f"{error} What needs it is skipped.\n")


if __name__ == "__main__":
    main()
