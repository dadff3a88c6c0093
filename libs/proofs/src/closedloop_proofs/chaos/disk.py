"""A small disk of its own (tmpfs) under a folder, filled and emptied again. For root only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from closedloop_devstack.processes.identity import Identity, alive
from closedloop_devstack.processes.owned import OWNER

MEGABYTE = 1024 * 1024
# Room for five databases and their log ahead (max_wal_size), and for what a run writes in a second. Not more: every byte
# of it is the machine's memory, taken and given back each time it is filled.
SIZE_MB, SIZE_MB_PER_SECOND = 384, 1
# More than max_wal_size can lay by, 16 MB each.
MOST_PIECES = 100
MOUNTS = Path("/proc/mounts")


def mountable() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def small(folder: Path, seconds: float) -> Iterator[None]:
    """The folder is a disk with room for a run of so many seconds while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    megabytes = round(SIZE_MB + SIZE_MB_PER_SECOND * seconds)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "closedloop", str(folder)], check=True)
    try:
        yield
    finally:
        _unmount(folder)


def fill(folder: Path) -> int:
    """Takes all the room there is; answers how many megabytes that was."""
    taken = 0
    with (folder / "ballast").open("wb") as file:
        # Others write meanwhile: what is left is asked for in smaller and smaller pieces.
        piece = shutil.disk_usage(folder).free
        while piece >= 4096:
            try:
                os.posix_fallocate(file.fileno(), taken, piece)
                taken += piece
            except OSError:
                piece //= 2
    return taken // MEGABYTE


def exhaust_log(server_url: str) -> int:
    """Makes PostgreSQL use up the log it has laid by, until it needs a piece more than there is; answers how many."""
    pieces = 0
    with suppress(psycopg.Error), psycopg.connect(server_url, autocommit=True, connect_timeout=3) as connection:
        while pieces < MOST_PIECES:
            connection.execute("SELECT pg_logical_emit_message(true, 'chaos', 'a line')")
            connection.execute("SELECT pg_switch_wal()")
            pieces += 1
    return pieces


def empty(folder: Path) -> None:
    (folder / "ballast").unlink(missing_ok=True)


def sweep(prefix: str) -> None:
    """Gives back the disks of owners that were killed."""
    for line in MOUNTS.read_text().splitlines() if MOUNTS.exists() else ():
        device, folder = line.split()[:2]
        owners = [parent for parent in Path(folder).parents if parent.name.startswith(prefix)]
        if device == "closedloop" and owners and _dead(owners[0]):
            _unmount(Path(folder))
            shutil.rmtree(owners[0], ignore_errors=True)


def _dead(folder: Path) -> bool:
    try:
        owner = json.loads((folder / OWNER).read_text())
        return not alive(Identity(int(owner["pid"]), str(owner["born"])))
    except (OSError, ValueError, KeyError):
        return True


def _unmount(folder: Path) -> None:
    # Lazily: whoever still looks into it must not keep us.
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)
