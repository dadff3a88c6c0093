"""Where a test session keeps its servers, and where it finds the data sets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop_devstack.platform.home import project
from closedloop_devstack.processes.owned import owned_folder
from closedloop_devstack.testing.notices import lack

PREFIX = "closedloop-test-"
# Hundreds of databases are copied in a session, each of some four hundred files: a tenth of the work where files are
# memory. Three workers together took 2.4 GB at most.
MEMORY, ENOUGH = Path("/dev/shm"), 6_000_000_000


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder for servers. pytest's own is closed to other accounts, and PostgreSQL under root is one."""
    with owned_folder(PREFIX, _memory()) as folder:
        yield folder


def _memory() -> Path | None:
    """Where files are memory and there is enough of it."""
    return MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH else None


@pytest.fixture(scope="session")
def data_folder(pytestconfig: pytest.Config) -> Path:
    """The data sets nobody on this project wrote: CLOSEDLOOP_TEST_DATA, else `../shared/data` beside the repository."""
    chosen = os.environ.get("CLOSEDLOOP_TEST_DATA")
    folder = Path(chosen) if chosen else project().parent / "shared" / "data"
    if not folder.is_dir():
        lack(pytestconfig, f"There are no data sets in {folder}; set CLOSEDLOOP_TEST_DATA to their folder.")
    return folder
