"""Clocks: 10,000 that are due among many that are not, three sweepers at work, each fired exactly once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median

import psycopg

from closedloop_chassis.data.migrations import upgrade
from closedloop_devstack.servers import databases
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure
from closedloop_proofs.bench.samples import ratios, summary
from closedloop_proofs.bench.sweeper import KIND, service

SWEEPERS = 3
DUE = 10_000
FEW, MANY = 100_000, 1_000_000

# `until` in a day and later, or a moment ago: so far apart as clocks of a company are.
OPEN = """
INSERT INTO clock (id, kind, subject, calendar, budget, started_at, due_at, next_at, attributes)
SELECT uuidv7(), %(kind)s, %(prefix)s || n, 'plain', interval '2 hours', now() - interval '2 hours', at, at, '{}'
  FROM (SELECT n, now() + %(from)s::interval + n * %(step)s::interval AS at FROM generate_series(1, %(count)s) n) made
"""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep of all sweepers, in seconds from the first one's begin to the last one's end."""

    seconds: float
    fired: int
    wrong: int


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    del pressure
    name = f"clocks: {DUE:,} due of {MANY:,}"
    if not only(name):
        return []
    numbers = count()
    sweeps: dict[int, list[Sweep]] = {FEW: [], MANY: []}
    with ExitStack() as held:
        fields = {size: held.enter_context(_field(ground, size)) for size in sweeps}
        # The first of each is not counted: the processes warm up. Then in turns, so that a slow machine slows both.
        for turn in range(rounds + 1):
            for size in (FEW, MANY) if turn % 2 else (MANY, FEW):
                sweep = _sweep(*fields[size], next(numbers))
                if turn:
                    sweeps[size].append(sweep)
    every = [sweep for size in sweeps.values() for sweep in size]
    few, many = ([sweep.seconds for sweep in sweeps[size]] for size in (FEW, MANY))
    flat = ratios(many, few)
    return [
        Figure(
            name=name,
            value=median(many),
            unit="s",
            against=f"of {FEW:,}",
            limit=median(few),
            ratio=median(many) / median(few),
            wanted=Wanted("<", 1.0, of="value"),
            spread=summary(many).spread,
        ),
        Figure(
            name="clocks: cost of ten times as many",
            value=flat.median,
            unit="x",
            against=f"of {FEW:,}",
            ratio=flat.median,
            wanted=Wanted("<=", 1.2),
            spread=flat.spread,
        ),
        Figure(
            name=f"clocks: twice or never, {SWEEPERS} sweepers",
            value=sum(sweep.wrong for sweep in every),
            unit=f"of {sum(sweep.fired for sweep in every):,}",
            against="",
            ratio=None,
            wanted=Wanted("<=", 0, of="value"),
        ),
    ]


@contextmanager
def _field(ground: Ground, size: int) -> Iterator[tuple[psycopg.Connection, list[subprocess.Popen[str]]]]:
    """So many open clocks in a database of their own, and its sweepers. What making them left to be written is written:
    nobody makes a million a moment before they fall due."""
    ground.say(f"{DUE:,} clocks due among {size:,}")
    url = databases.create(ground.postgres.url, f"clocks_{size}")
    upgrade(url, service())
    with psycopg.connect(url, autocommit=True) as connection, _sweepers(url) as sweepers:
        connection.execute("CREATE TABLE fired (subject text NOT NULL)")
        _open(connection, "open-", size, "1 day", "1 second")
        connection.execute("VACUUM ANALYZE clock")
        connection.execute("CHECKPOINT")
        yield connection, sweepers


def _open(connection: psycopg.Connection, prefix: str, number: int, begin: str, step: str) -> None:
    told = {"kind": KIND, "prefix": prefix, "from": begin, "step": step, "count": number}
    connection.execute(OPEN, told)


def _sweep(connection: psycopg.Connection, sweepers: Sequence[subprocess.Popen[str]], number: int) -> Sweep:
    connection.execute("TRUNCATE fired")
    _open(connection, f"due-{number}-", DUE, "-1 hour", "1 millisecond")
    for sweeper in sweepers:
        assert sweeper.stdin is not None
        sweeper.stdin.write("go\n")
        sweeper.stdin.flush()
    said = [_line(sweeper).split() for sweeper in sweepers]
    found = connection.execute("SELECT count(*), count(DISTINCT subject) FROM fired").fetchone()
    assert found is not None
    fired, different = found
    worked = [(float(begin), float(end)) for count, begin, end in said if int(count)]
    seconds = max(end for _, end in worked) - min(begin for begin, _ in worked)
    return Sweep(seconds, fired, (fired - different) + (DUE - different))


@contextmanager
def _sweepers(url: str) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "closedloop_proofs.bench.sweeper", url]
    with ExitStack() as held:
        started = []
        for _ in range(SWEEPERS):
            one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            held.callback(one.wait, 15)
            held.callback(one.terminate)
            started.append(one)
        for one in started:
            _line(one)
        yield started


def _line(sweeper: subprocess.Popen[str]) -> str:
    """Raises LoadFailed when it has ended instead. Logs stand on the same output; they are JSON."""
    assert sweeper.stdout is not None
    for line in sweeper.stdout:
        if not line.startswith("{"):
            return line
    raise LoadFailed(f"a sweeper ended with {sweeper.wait(15)}")
