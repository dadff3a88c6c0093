"""Packages of Debian and its kin, where we are root there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closedloop_devstack.errors import PlatformError

# Debian's maintainer scripts ask this program whether they may start a service; 101 means no (invoke-rc.d(8)).
POLICY = Path("/usr/sbin/policy-rc.d")
REFUSE = "#!/bin/sh\nexit 101\n"


def may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str) -> None:
    """Installs without starting a service of the system's. Raises PlatformError with apt's own words."""
    with services_kept_down():
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *packages)


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
