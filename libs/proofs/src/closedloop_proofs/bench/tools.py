"""The load generators: h2load out of Debian's nghttp2-client, k6 out of the bench's own environment.

    python -m closedloop_proofs.bench.tools

installs h2load where apt can, and says how to get it elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform.home import project

HOW_TO_GET = (
    "h2load is missing: install Debian's `nghttp2-client` (`apt-get install nghttp2-client`), or run this as root."
)


def environment() -> Path:
    """Where peers and k6 are installed, apart from what a service runs on."""
    return project() / ".venv-bench"


def h2load() -> Path:
    """Raises PlatformError where it is not installed."""
    found = shutil.which("h2load")
    if found is None:
        raise PlatformError(HOW_TO_GET)
    return Path(found)


def k6() -> Path:
    """Raises PlatformError where the bench's environment has not been made."""
    found = environment() / "bin" / "k6"
    if not found.exists():
        raise PlatformError("k6 is missing: `make bench` makes .venv-bench, which has it.")
    return found


def install() -> None:
    """Raises PlatformError in one sentence where h2load is missing and cannot be installed."""
    if shutil.which("h2load"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PlatformError(HOW_TO_GET)
    sys.stdout.write("Installing h2load with apt…\n")
    told = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update",), ("install", "--yes", "--no-install-recommends", "nghttp2-client")):
        done = subprocess.run(["apt-get", "-qq", *arguments], env=told, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise PlatformError(f"`apt-get {arguments[0]}` failed: {lines[-1]}")
    h2load()


if __name__ == "__main__":
    try:
        install()
    except PlatformError as error:
        sys.exit(str(error))
