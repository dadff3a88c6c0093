"""`python -m closedloop_proofs.bench [--only writes,reads] [--seconds 3] [--rounds 5]`; `make bench` and `make bench ONLY=…`.

Ends with status 1 when a figure is not what is wanted of it. Part of the names: `--only LogActivity` measures one.
`--short` (`make bench SHORT=1`) only sees whether everything runs, and gives no verdict on what it measures.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform.home import project
from closedloop_proofs.bench import (
    clocks,
    events,
    imports,
    lead_imports,
    lists,
    margins,
    matcher,
    peers,
    reads,
    recomputing,
    replicas,
    scale,
    targets,
    tools,
    writes,
)
from closedloop_proofs.bench.figures import Figure, table, write
from closedloop_proofs.bench.ground import Ground, ground
from closedloop_proofs.bench.load import Pressure

Measure = Callable[[Ground, Pressure, int, Callable[[str], bool]], list[Figure]]

GROUPS: dict[str, Measure] = {
    "writes": writes.measure,
    "reads": reads.measure,
    "events": events.measure,
    "clocks": clocks.measure,
    "imports": imports.measure,
    "lead imports": lead_imports.measure,
    "recomputing": recomputing.measure,
    "lists": lists.measure,
    "peers": peers.measure,
    "replicas": replicas.measure,
    "targets": targets.measure,
    "matcher": matcher.measure,
    "margins": margins.measure,
    "scale": scale.measure,
}
# Whether everything runs at all: what is measured so is no figure.
SHORT_SECONDS = 1.0


def bench(
    only: Annotated[str, typer.Option(help="groups or figures, by comma; empty: all")] = "",
    seconds: Annotated[float, typer.Option(help="of one turn of one side")] = 3.0,
    rounds: Annotated[int, typer.Option(help="pairs of turns")] = 5,
    callers: Annotated[int, typer.Option(help="connections at once, one call at a time each")] = 16,
    short: Annotated[
        bool, typer.Option("--short", help="only whether everything runs: a second a turn, one turn")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="the file with the figures; build/bench.json")] = None,
) -> None:
    wide = Console(width=max(Console().width, 150), highlight=False)
    if short:
        seconds, rounds = SHORT_SECONDS, 1
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    began = time.monotonic()
    # Whoever ends us ends what we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        tools.install()
        with ground(wide.print) as standing:
            for group, measure in GROUPS.items():
                try:
                    figures += measure(
                        standing,
                        Pressure(callers, seconds, standing.other_cores),
                        rounds,
                        lambda name, group=group: wanted(chosen, group, name),  # type: ignore[misc]
                    )
                except Exception as error:
                    # One that cannot be measured must not hide the others; it is no success either.
                    failures[group] = f"{type(error).__name__}: {error}"
                    traceback.print_exc()
    except PlatformError as error:
        sys.exit(str(error))
    about: dict[str, Any] = {
        "failures": failures,
        "machine": machine(),
        "took_seconds": round(time.monotonic() - began),
    }
    if short:
        about["short"] = "whether everything runs; no verdict"
    write(figures, report or project() / "build" / ("bench-short.json" if short else "bench.json"), about)
    wide.print(table(figures))
    for group, why in failures.items():
        wide.print(f"[red]not measured:[/] {group}: {why}")
    for figure in figures:
        if figure.note:
            wide.print(f"[dim]{figure.name}: {figure.note}[/]")
    sys.exit(0 if figures and not failures and (short or all(figure.ok for figure in figures)) else 1)


def wanted(chosen: list[str], group: str, name: str) -> bool:
    """Whether a figure is asked for, by its own name or its group's."""
    return not chosen or group in chosen or any(part.lower() in name.lower() for part in chosen if part not in GROUPS)


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    typer.run(bench)
