"""A wrong clock for one process, by libfaketime; Debian's package is installed where we are root.

    python -m closedloop_devstack.faketime

ends with status 0 also where it cannot be had, having said so: what needs it is reported as not done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from closedloop_devstack import debian
from closedloop_devstack.errors import PlatformError

LACKING = "libfaketime is not installed (Debian: apt-get install libfaketime)"
FOLDERS = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")


def library() -> Path | None:
    found = (path for folder in FOLDERS for path in Path("/").glob(f"{folder[1:]}/libfaketimeMT.so.1"))
    return next(found, None)


def skewed(seconds: float, library: Path) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so much; durations and the times of files stay right."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+.2f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def main() -> None:
    if library() is not None:
        return
    try:
        if not debian.may_install():
            raise PlatformError(f"{LACKING}.")
        debian.install("libfaketime")
    except PlatformError as error:
        sys.stderr.write(f"{error} No clock is skewed.\n")


if __name__ == "__main__":
    main()
