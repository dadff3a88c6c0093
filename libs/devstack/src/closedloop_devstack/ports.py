"""Which ports are free on loopback, and who holds those that are not."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping

import psutil

from closedloop_devstack.errors import PlatformError

# Below the range from which the kernel takes ports for outgoing connections.
LOWEST, HIGHEST = 20_000, 32_000
# "20000-24000": a range of one's own. Several who look at once would find the same port free, or one that another has
# only left for a moment.
RANGE = "CLOSEDLOOP_FREE_PORTS"
LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_block(size: int) -> int:
    """The first of `size` neighbouring free ports, chosen at random."""
    lowest, highest = _range()
    for _ in range(200):
        base = random.randrange(lowest, highest - size)
        if all(is_free(port) for port in range(base, base + size)):
            return base
    raise PlatformError(
        f"There are no {size} neighbouring free ports between {lowest} and {highest}; end something that listens there."
    )


def share(number: int, of: int) -> str:
    """One of so many equal ranges, as `RANGE` says it; `number` counts from 0."""
    size = (HIGHEST - LOWEST) // of
    return f"{LOWEST + number * size}-{LOWEST + (number + 1) * size}"


def _range() -> tuple[int, int]:
    lowest, _, highest = os.environ.get(RANGE, "").partition("-")
    return (int(lowest), int(highest)) if highest else (LOWEST, HIGHEST)


def free_port() -> int:
    return free_block(1)


def accepts(port: int, host: str = LOOPBACK, timeout: float = 1.0) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def require_free(wanted: Mapping[str, int], advice: str) -> None:
    """Raises PlatformError naming the first port that is taken, what it was wanted for and who holds it."""
    for purpose, port in wanted.items():
        if not is_free(port):
            raise PlatformError(f"Port {port}, wanted for {purpose}, is taken by {_holder(port)}; end it or {advice}.")


def _holder(port: int) -> str:
    try:
        listeners = [
            c
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
        ]
        if listeners and listeners[0].pid:
            return f"`{psutil.Process(listeners[0].pid).name()}` (pid {listeners[0].pid})"
    except (psutil.Error, PermissionError):
        pass
    return "another process"
