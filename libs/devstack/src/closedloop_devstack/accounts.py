"""Servers that refuse to run as root, run by root: under another account, with just the access they need."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# subprocess's own `user` forks where it otherwise would not, and what libraries with threads (gRPC's among them) do
# in a fork has been seen to end the child before it became a program. So the program is begun as it is, and changes.
BECOME = "import os, sys; u, g = int(sys.argv[1]), int(sys.argv[2]); "
BECOME += "os.setgroups([]); os.setgid(g); os.setuid(u); os.execv(sys.argv[3], sys.argv[3:])"


@dataclass(frozen=True, slots=True)
class Account:
    """A system account; `name` is None for "whoever we are"."""

    name: str | None = None
    uid: int = -1
    gid: int = -1

    def command(self, argv: Sequence[str]) -> list[str]:
        """What runs `argv`, whose first word is a path, as this account."""
        if self.name is None:
            return list(argv)
        return [sys.executable, "-I", "-S", "-c", BECOME, str(self.uid), str(self.gid), *argv]


def other_than_root(name: str) -> Account:
    """The account to use: `name` when we are root, else our own."""
    if os.geteuid() != 0:
        return Account()
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, entry.pw_gid)


def hand_over(folder: Path, account: Account) -> None:
    """Makes the folder the account's own, with what is in it, and its parents passable."""
    if account.name is None:
        return
    pass_through(folder)
    os.chown(folder, account.uid, account.gid)
    for path in folder.rglob("*"):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def pass_through(path: Path) -> None:
    """Lets others pass (not list) the folders above: a home below /root or in a private folder does not."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def let_read(tree: Path) -> None:
    """Lets others read and run what is in the tree, where a strict umask forbade it at installation."""
    pass_through(tree)
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
