"""What the platform takes of the machine's memory, process by process."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from closedloop_devstack.processes.identity import alive
from closedloop_devstack.processes.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes. `rss` counts shared pages in every process that maps them; `pss` shares them out, so that it adds up."""

    name: str
    processes: int
    pss: int
    rss: int


def footprints(ledger: Ledger) -> list[Footprint]:
    """One row per server or process, its descendants included."""
    found: list[Footprint] = []
    for entry in ledger.entries():
        if not entry.identities or not alive(entry.identities[0]):
            continue
        try:
            elder = psutil.Process(entry.identities[0].pid)
            sizes = [_size(process) for process in (elder, *elder.children(recursive=True))]
        except psutil.Error:
            continue
        found.append(Footprint(entry.name, len(sizes), sum(pss for pss, _ in sizes), sum(rss for _, rss in sizes)))
    return found


def _size(process: psutil.Process) -> tuple[int, int]:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0, 0
    return int(getattr(full, "pss", full.rss)), int(full.rss)
