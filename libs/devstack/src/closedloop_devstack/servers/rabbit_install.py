"""Brings RabbitMQ onto a Debian or Ubuntu machine without letting the package start a server of the system's.

    python -m closedloop_devstack.servers.rabbit_install

ends with status 0 also where it cannot be installed, having said so: what needs it is skipped then.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from closedloop_devstack import debian
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.servers import rabbit


def ensure_rabbitmq() -> Path:
    """The folder of RabbitMQ's scripts, installed by apt first where that is possible.

    Raises PlatformError with one sentence where it is missing and cannot be installed: not root, or no apt.
    """
    if found := rabbit.scripts():
        return found
    if not debian.may_install():
        raise PlatformError(rabbit.HOW_TO_GET)
    debian.install("rabbitmq-server")
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--now", "rabbitmq-server"], capture_output=True, timeout=120)
    if found := rabbit.scripts():
        return found
    raise PlatformError(
        "apt installed rabbitmq-server, yet its scripts are not where Debian puts them; tell us your distribution."
    )


def main() -> None:
    if not rabbit.scripts():
        sys.stdout.write("Installing RabbitMQ with apt…\n")
    try:
        ensure_rabbitmq()
    except PlatformError as error:
        sys.stderr.write(f"{error} What needs it is skipped.\n")


if __name__ == "__main__":
    main()
