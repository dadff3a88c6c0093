"""Where a test session keeps its servers, and where it finds the data sets."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop_devstack.files import write_whole
from closedloop_devstack.platform.home import project
from closedloop_devstack.processes.identity import Identity, alive, myself
from closedloop_devstack.processes.ledger import Ledger
from closedloop_devstack.testing.notices import lack

PREFIX = "closedloop-test-"
OWNER = "owner.json"


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder for servers. pytest's own is closed to other accounts, and PostgreSQL under root is one."""
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    me = myself()
    write_whole(folder / OWNER, json.dumps({"pid": me.pid, "born": me.born}))
    yield folder
    end_leftovers(folder)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Ends the servers, and removes the folders, of sessions that were killed."""
    for left in folder.glob(f"{PREFIX}*"):
        try:
            owner = json.loads((left / OWNER).read_text())
            dead = not alive(Identity(int(owner["pid"]), str(owner["born"])))
        except (OSError, ValueError, KeyError):
            continue
        if dead:
            end_leftovers(left)
            shutil.rmtree(left, ignore_errors=True)


def end_leftovers(folder: Path) -> None:
    for path in folder.rglob("processes.json"):
        Ledger(path).end_all(grace=5)


@pytest.fixture(scope="session")
def data_folder(pytestconfig: pytest.Config) -> Path:
    """The data sets nobody on this project wrote: CLOSEDLOOP_TEST_DATA, else `../shared/data` beside the repository."""
    chosen = os.environ.get("CLOSEDLOOP_TEST_DATA")
    folder = Path(chosen) if chosen else project().parent / "shared" / "data"
    if not folder.is_dir():
        lack(pytestconfig, f"There are no data sets in {folder}; set CLOSEDLOOP_TEST_DATA to their folder.")
    return folder
