"""Who a process is: a pid together with its birth, so that a recycled pid is never taken for it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Identity:
    """`born` is opaque: on Linux the boot and the clock tick of the start, elsewhere the start time."""

    pid: int
    born: str


def identify(pid: int) -> Identity | None:
    """None when there is no such process, or only its remains (a zombie)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, _birth(process))
    except (psutil.Error, OSError):
        return None


def myself() -> Identity:
    return Identity(os.getpid(), _birth(psutil.Process()))


def alive(identity: Identity) -> bool:
    return identify(identity.pid) == identity


def tree(pid: int) -> list[Identity]:
    """The process and its descendants, elders first."""
    try:
        pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return []
    return [identity for identity in map(identify, pids) if identity]


def send(identities: Iterable[Identity], sign: signal.Signals) -> None:
    for identity in identities:
        if alive(identity):
            with suppress(ProcessLookupError):
                os.kill(identity.pid, sign)


def wait_gone(identities: Iterable[Identity], seconds: float) -> list[Identity]:
    """Those still alive after `seconds`."""
    left = [identity for identity in identities if alive(identity)]
    give_up = time.monotonic() + seconds
    while left and time.monotonic() < give_up:
        time.sleep(0.05)
        left = [identity for identity in left if alive(identity)]
    return left


def _birth(process: psutil.Process) -> str:
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return repr(process.create_time())
    # The command in parentheses may hold blanks; the start tick is the 20th field after it (proc(5)).
    tick = stat.read_text().rpartition(")")[2].split()[19]
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{tick}"
