"""Folders of servers that live no longer than the process that made them, even when that one is killed."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closedloop_devstack.files import write_whole
from closedloop_devstack.processes.identity import Identity, alive, myself
from closedloop_devstack.processes.ledger import Ledger

OWNER = "owner.json"


@contextmanager
def owned_folder(prefix: str, within: Path | None = None) -> Iterator[Path]:
    """A new folder that other accounts can reach, gone at the end with all servers in it; ends what dead owners left.
    It is made `within` a folder, or where temporary files are."""
    temporary = within or Path(tempfile.gettempdir())
    sweep(temporary, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=temporary)).resolve()
    me = myself()
    write_whole(folder / OWNER, json.dumps({"pid": me.pid, "born": me.born}))
    try:
        yield folder
    finally:
        _remove(folder)


def sweep(temporary: Path, prefix: str) -> None:
    """Ends the servers, and removes the folders, of owners that were killed."""
    for left in temporary.glob(f"{prefix}*"):
        try:
            with (left / OWNER).open() as claim:
                # Workers of one session start at once and find the same folder: one of them removes it.
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                owner = json.load(claim)
                if (left / OWNER).exists() and not alive(Identity(int(owner["pid"]), str(owner["born"]))):
                    _remove(left)
        except (OSError, ValueError, KeyError):
            continue


def _remove(folder: Path) -> None:
    for path in folder.rglob("processes.json"):
        Ledger(path).end_all(grace=5)
    shutil.rmtree(folder, ignore_errors=True)
