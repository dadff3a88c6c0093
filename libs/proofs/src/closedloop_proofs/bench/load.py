"""Load, from h2load (the same call again and again) or k6 (each call another one); never from Python."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from closedloop_proofs.bench import tools
from closedloop_proofs.bench.samples import Sample, percentile

SCRIPTS = Path(__file__).parent / "scripts"


class LoadFailed(Exception):
    """The generator failed, or calls were refused: nothing was measured."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """`callers` connections, one call at a time each, for `seconds`; the generator runs on `cores`."""

    callers: int = 16
    seconds: float = 3.0
    cores: tuple[int, ...] = ()


def framed(message: bytes) -> bytes:
    """A gRPC message as it travels: not compressed, four bytes of length."""
    return b"\0" + struct.pack(">I", len(message)) + message


GRPC = {"content-type": "application/grpc", "te": "trailers"}


def h2load(
    address: str,
    path: str,
    body: Path,
    pressure: Pressure,
    folder: Path,
    headers: Mapping[str, str] | None = None,
    *,
    grpc: bool = True,
) -> Sample:
    """`body` is a framed message, or what a server of another make takes over HTTP/1.1. h2load sees HTTP statuses only:
    whoever calls counts gRPC's refusals (`accepted`), and looks what the others answer."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    told = {**(GRPC if grpc else {}), **(headers or {})}
    command = [
        str(tools.h2load()),
        f"--duration={pressure.seconds:g}",
        f"--clients={pressure.callers}",
        "--max-concurrent-streams=1",
        "--threads=1",
        *([] if grpc else ["--h1"]),
        f"--data={body}",
        f"--log-file={log}",
        *(f"--header={name}: {value}" for name, value in told.items()),
        f"http://{address}{path}",
    ]
    said = _run(command, pressure, {})
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    bad = sum(status != "200" for _, status, _ in lines)
    if not lines or bad:
        raise LoadFailed(f"{bad} of {len(lines)} calls of {path} failed: {said[-300:]}")
    return _sample([int(took) / 1000 for _, _, took in lines], pressure.seconds)


def k6(script: str, pressure: Pressure, folder: Path, told: Mapping[str, object]) -> Sample:
    """`scripts/<script>.js`; `told` reaches it as JSON. It ends with an error as soon as any call is refused."""
    answer = folder / "k6.json"
    answer.unlink(missing_ok=True)
    question = folder / "k6-told.json"
    question.write_text(json.dumps({**told, "callers": pressure.callers, "seconds": pressure.seconds}))
    environment = {"TOLD": str(question), "ANSWER": str(answer), "K6_NO_USAGE_REPORT": "true", "GOMAXPROCS": "2"}
    command = [str(tools.k6()), "run", "--quiet", "--no-color", str(SCRIPTS / f"{script}.js")]
    said = _run(command, pressure, environment)
    if not answer.exists():
        raise LoadFailed(f"k6 said nothing: {said[-500:]}")
    found = json.loads(answer.read_text())
    if found["failed"]:
        raise LoadFailed(f"{found['failed']} of {found['calls'] + found['failed']} calls were refused: {said[-500:]}")
    return Sample(found["calls"], found["seconds"], found["median_ms"], found["p99_ms"])


def watched(processes: Sequence[int], drive: Callable[[], Sample]) -> Sample:
    """Drives, and looks how much CPU the processes under load took meanwhile."""
    before, began = cpu(processes), time.monotonic()
    sample = drive()
    used, took = cpu(processes) - before, time.monotonic() - began
    # The generator's own start is not part of the turn.
    return replace(sample, busy=min(used / min(took, sample.seconds), 1.0), cpu_us=used / max(sample.calls, 1) * 1e6)


def cpu(processes: Sequence[int]) -> float:
    """Seconds of CPU of these and of all they have started."""
    family = [one for pid in processes for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    times = [one.cpu_times() for one in family]
    return float(sum(each.user + each.system for each in times))


def _sample(took_ms: list[float], seconds: float) -> Sample:
    return Sample(len(took_ms), seconds, percentile(took_ms, 0.5), percentile(took_ms, 0.99))


def _run(command: list[str], pressure: Pressure, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [*_pinned(pressure.cores), *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=pressure.seconds + 60,
    )
    if done.returncode != 0:
        raise LoadFailed(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout + done.stderr


def _pinned(cores: Sequence[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
