"""The funnel at a million opportunities and five million activities, against a tenth of the history: the morning's board and
a sweep of ten thousand deals that stand still. As many deals are open and as much happens a month in both.

python -m closedloop_proofs.bench.scale                      # about twenty minutes
python -m closedloop_proofs.bench.scale --closed 50000
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import grpc
import psycopg
import typer

from closedloop.funnel.v1 import boards_pb2, boards_pb2_grpc
from closedloop_devstack import ports
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import Pressure
from closedloop_proofs.bench.samples import ratios

BOARD, SWEEP = "health board among 1,000,000 deals", "stage sweep of 10,000 among 1,000,000 deals"
REGION = "a region's health board among 1,000,000 deals"
BOARD_FLAT, SWEEP_FLAT = "health board: cost of ten times the history", "stage sweep: cost of ten times the history"
REGION_FLAT = "a region's health board: cost of ten times the history"
TEAMS, PEOPLE = 40, 400
CLOSED = 980_000
CALLS = 20
# Rows of one statement; more would hold one transaction open for minutes.
CHUNK = 50_000
WAIT_SECONDS = 300

ORGANISE = """
INSERT INTO org_unit (id, parent_id, name, kind, manager_id, version)
SELECT 'CO', '', 'CO', 'company', 'p0', 1
UNION ALL SELECT 'R' || r, 'CO', 'R' || r, 'region', 'p' || r, 1 FROM generate_series(1, 8) r
UNION ALL SELECT 'T' || t, 'R' || 1 + t %% 8, 'T' || t, 'team', 'p' || 8 + t, 1 FROM generate_series(1, %(teams)s) t
ON CONFLICT DO NOTHING
"""
STAFF = """
INSERT INTO org_person (id, unit_id, name, roles, version)
SELECT 'p' || p, 'T' || 1 + p %% %(teams)s, '员工' || p,
       CASE WHEN p <= 8 + %(teams)s THEN ARRAY['manager'] ELSE ARRAY['rep'] END, 1
  FROM generate_series(0, %(people)s) p ON CONFLICT DO NOTHING
"""
RELOAD = "UPDATE memory_revision SET value = value + 1 WHERE name = 'org'"
# As many deals begin a month whatever the history: the n-th began so long ago. The newest are open, in three stages.
DEALS = """
INSERT INTO opportunity (
    id, version, name, owner_id, unit_id, source, source_id, imported, pipeline_id, pipeline_version, stage_key, state,
    closed_from, amount_minor, currency, reporting_minor, reporting_currency, probability, category, engage_date,
    expected_close_date, close_date, move_count, stage_entered_at, dwell_light, created_at, updated_at, closed_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 4, '产线升级 ' || n, 'p' || 50 + n %% 350, 'T' || 1 + (50 + n %% 350) %% %(teams)s,
       'bench', n::text, true, 'b2b', 0,
       CASE WHEN open THEN (ARRAY['profile', 'need', 'proposal'])[1 + n %% 3] WHEN n %% 5 < 2 THEN 'won' ELSE 'lost' END,
       CASE WHEN open THEN 'open' WHEN n %% 5 < 2 THEN 'won' ELSE 'lost' END,
       CASE WHEN open THEN '' ELSE 'contract' END, n %% 90000000, 'CNY', n %% 90000000, 'CNY', 0.3, 'pipeline',
       began::date, (began + interval '60 days')::date, CASE WHEN NOT open THEN (began + interval '30 days')::date END,
       CASE WHEN open THEN 1 + n %% 3 ELSE 4 END, entered, 'none', began,
       CASE WHEN open THEN entered ELSE began + interval '30 days' END, CASE WHEN NOT open THEN began + interval '30 days' END
  FROM (SELECT n, n > %(closed)s AS open,
               CASE WHEN n > %(closed)s THEN %(now)s - make_interval(days => 20, secs => (n %% 86400)::int)
                    ELSE %(now)s - interval '31 days' - make_interval(secs => (%(closed)s - n) * %(every)s) END AS began
          FROM generate_series(%(from)s::bigint, %(to)s::bigint) n) made
       CROSS JOIN LATERAL (SELECT began + make_interval(days => (n %% 3)::int * 7) AS entered) moved
"""
MOVES = """
INSERT INTO stage_move (opportunity_id, sequence, from_stage_key, to_stage_key, at, author_id, direction, dwell, dwell_days,
                        pipeline_id, pipeline_version, imported)
SELECT o.id, s, CASE WHEN s > 1 THEN (ARRAY['profile', 'need', 'proposal'])[s - 1] ELSE '' END,
       CASE WHEN s = 4 THEN o.state ELSE (ARRAY['profile', 'need', 'proposal'])[s] END,
       CASE WHEN s = 4 THEN o.closed_at ELSE o.created_at + make_interval(days => (s - 1) * 7) END, o.owner_id,
       CASE s WHEN 1 THEN 'opened' WHEN 4 THEN o.state ELSE 'forward' END,
       CASE WHEN s > 1 THEN interval '7 days' END, CASE WHEN s > 1 THEN 3 + (s + o.move_count) %% 5 END, 'b2b', 0, true
  FROM opportunity o CROSS JOIN LATERAL generate_series(1, o.move_count) s
 WHERE o.id BETWEEN lpad(to_hex(%(from)s::bigint), 32, '0')::uuid AND lpad(to_hex(%(to)s::bigint), 32, '0')::uuid
"""
ACTIVITIES = """
INSERT INTO activity (id, version, kind, state, owner_id, unit_id, source, source_id, opportunity_id, started_at, ended_at, at,
                      content, effective, logged_at, updated_at)
SELECT ('a' || lpad(to_hex(n * 8 + k), 31, '0'))::uuid, 1, (ARRAY['visit', 'call', 'meeting', 'call', 'visit'])[k], 'done',
       o.owner_id, o.unit_id, 'bench', n || '-' || k, o.id, o.created_at + make_interval(days => k * 4),
       o.created_at + make_interval(days => k * 4, mins => 40), o.created_at + make_interval(days => k * 4),
       '客户关心换型时间与回收期, 约定下周技术交流 ' || n, true, o.created_at, o.created_at
  FROM generate_series(%(from)s::bigint, %(to)s::bigint) n JOIN opportunity o ON o.id = lpad(to_hex(n), 32, '0')::uuid
       CROSS JOIN generate_series(1, 5) k
"""
# Ten thousand open deals whose time in their stage is over.
DUE = """
INSERT INTO clock (id, kind, subject, owner_id, unit_id, calendar, budget, started_at, due_at, next_at)
SELECT uuidv7(), 'funnel.stage_dwell', id::text, owner_id, unit_id, 'plain', interval '5 days', %(at)s - interval '5 days',
       %(at)s, %(at)s
  FROM (SELECT id, owner_id, unit_id FROM opportunity WHERE state = 'open' ORDER BY id LIMIT %(due)s) o
"""
# So that the next round finds them as they were.
UNDO = (
    "UPDATE opportunity SET dwell_light = 'none' WHERE state = 'open' AND dwell_light <> 'none'",
    "TRUNCATE clock, warning, outbox",
    "VACUUM opportunity, clock",
)
LEFT = "SELECT EXISTS (SELECT FROM clock WHERE kind = 'funnel.stage_dwell' AND level = 0 AND state = 'open')"
DARK = "SELECT count(*) FROM opportunity WHERE state = 'open' AND dwell_light = 'yellow'"


@dataclass(frozen=True, slots=True)
class Size:
    """`closed` deals of history, `open` ones now, of which `due` stand still; a deal begins every `every` seconds."""

    closed: int = CLOSED
    open: int = 20_000
    due: int = 10_000
    every: float = 157.7


@dataclass(frozen=True, slots=True)
class Funnel:
    """One funnel alone: where it answers, as whom we ask (somebody of the company, the manager of a region), its database."""

    address: str
    token: str
    manager: str
    url: str
    size: Size


def fill(url: str, size: Size, say: Callable[[str], None] = lambda _: None) -> None:
    """Deals with their moves and five activities each, in the order of time, then ANALYZE. As one that copies a database
    would: what was checked there is not checked again."""
    total = size.closed + size.open
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        now = connection.execute("SELECT now()").fetchone()
        assert now is not None
        params = {"now": now[0], "teams": TEAMS, "closed": size.closed, "every": size.every}
        for begin in range(1, total + 1, CHUNK):
            part = {**params, "from": begin, "to": min(begin + CHUNK - 1, total)}
            with connection.transaction():
                for statement in (DEALS, MOVES, ACTIVITIES):
                    connection.execute(statement, part)
            say(f"{part['to']:,} of {total:,} deals")
        connection.execute("VACUUM ANALYZE opportunity, stage_move, activity")
        connection.execute("CHECKPOINT")


def look(funnel: Funnel, token: str, calls: int = CALLS) -> float:
    """Median of so many morning boards of whom the token is of, in milliseconds."""
    with grpc.insecure_channel(funnel.address) as channel:
        ask = boards_pb2_grpc.BoardServiceStub(channel).GetFunnelBoard
        metadata = (("authorization", f"Bearer {token}"),)
        took = []
        for number in range(calls + 3):
            began = time.perf_counter()
            answer = ask(boards_pb2.GetFunnelBoardRequest(), metadata=metadata, timeout=60)
            if number >= 3:
                took.append((time.perf_counter() - began) * 1000)
        seen = sum(stage.open_count for stage in answer.rows[0].stages)
        assert seen == funnel.size.open if token == funnel.token else 0 < seen < funnel.size.open, seen
    return statistics.median(took)


def sweep(funnel: Funnel) -> float:
    """Seconds from when ten thousand fall due until all are dark, told, and warned of; then all is put back."""
    with psycopg.connect(funnel.url, autocommit=True) as connection:
        at = connection.execute("SELECT now() + interval '4 seconds'").fetchone()
        assert at is not None
        connection.execute(DUE, {"at": at[0], "due": funnel.size.due})
        left = connection.execute("SELECT extract(epoch FROM %s - clock_timestamp())", at).fetchone()
        assert left is not None
        time.sleep(max(float(left[0]), 0.0))
        began = time.perf_counter()
        while (found := connection.execute(LEFT).fetchone()) and found[0]:
            if time.perf_counter() - began > WAIT_SECONDS:
                raise TimeoutError("some clocks still run")
            time.sleep(0.02)
        took = time.perf_counter() - began
        dark = connection.execute(DARK).fetchone()
        warned = connection.execute("SELECT count(*) FROM warning").fetchone()
        assert dark == warned == (funnel.size.due,), (dark, warned)
        for statement in UNDO:
            connection.execute(statement)
    return took


@dataclass(frozen=True, slots=True)
class Samples:
    """Of one side, in turns: boards of the company and of a region (ms), sweeps (s)."""

    boards: list[float] = field(default_factory=list)
    regions: list[float] = field(default_factory=list)
    sweeps: list[float] = field(default_factory=list)


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    if not any(only(name) for name in (BOARD, REGION, SWEEP, BOARD_FLAT, REGION_FLAT, SWEEP_FLAT)):
        return []
    large = Size(closed=9_000, open=1_000, due=500) if pressure.seconds <= 1 else Size()
    ground.say(f"the funnel among {large.closed:,} closed and {large.open:,} open deals")
    one, tenth = compare(large, rounds)
    note = f"{large.closed + large.open:,} deals, {5 * (large.closed + large.open):,} activities, {large.open:,} open"
    figures = []
    for name, flat_name, unit, most, ours, theirs in (
        (BOARD, BOARD_FLAT, "ms", 200, one.boards, tenth.boards),
        (REGION, REGION_FLAT, "ms", 200, one.regions, tenth.regions),
        (SWEEP, SWEEP_FLAT, "s", 1, one.sweeps, tenth.sweeps),
    ):
        value, flat = statistics.median(ours), ratios(ours, theirs)
        figures += [
            Figure(name, value, unit, "a tenth", None, Wanted("<", most, of="value"), note=note),
            Figure(flat_name, flat.median, "x", "a tenth", flat.median, Wanted("<=", 1.2), spread=flat.spread),
        ]
    return figures


def compare(large: Size, rounds: int, say: Callable[[str], None] = lambda _: None) -> tuple[Samples, Samples]:
    """Of the large one and of a tenth of its history, in turns."""
    samples = Samples(), Samples()
    with ExitStack() as held:
        sides = [held.enter_context(standing(size)) for size in (large, replace(large, closed=large.closed // 10))]
        for side in sides:
            began = time.monotonic()
            fill(side.url, side.size)
            say(f"{side.size.closed + side.size.open:,} deals filled in {time.monotonic() - began:.0f} s")
        for turn in range(rounds + 1):
            for which in (0, 1) if turn % 2 else (1, 0):
                side = sides[which]
                board, region, swept = look(side, side.token), look(side, side.manager), sweep(side)
                load = os.getloadavg()[0]
                say(
                    f"{side.size.closed:,}: board {board:.0f} ms, a region's {region:.0f} ms, sweep {swept:.2f} s, load {load:.1f}"
                )
                # The first of each is not counted: the processes warm up.
                if turn:
                    samples[which].boards.append(board)
                    samples[which].regions.append(region)
                    samples[which].sweeps.append(swept)
    return samples


@contextmanager
def standing(size: Size) -> Iterator[Funnel]:
    """The funnel alone, with its people."""
    environment = {"CLOSEDLOOP_RATE_PER_CALLER": "0"}
    options = Options(port_base=ports.free_block(SIZE), services=("funnel",), environment=environment)
    with tempfile.TemporaryDirectory(prefix="closedloop-bench-", ignore_cleanup_errors=True) as folder:
        platform = Platform(Path(folder), options).start()
        try:
            url = platform.database("funnel")
            with psycopg.connect(url) as connection:
                told: dict[str, Any] = {"teams": TEAMS, "people": PEOPLE}
                for statement in (ORGANISE, STAFF, RELOAD):
                    connection.execute(statement, told)
            everybody, manager = platform.token("bench", "operations"), platform.token("p1", "manager")
            yield Funnel(platform.address("funnel"), everybody, manager, url, size)
        finally:
            platform.stop()


def main(
    closed: Annotated[int, typer.Option(help="deals of history of the larger one")] = CLOSED,
    rounds: Annotated[int, typer.Option(help="samples of each side, in turns")] = 3,
) -> None:
    """Prints what it measures; ends with 1 when it is not what is wanted."""
    one, tenth = compare(Size(closed=closed), rounds, typer.echo)
    figures = [
        (
            statistics.median(ours),
            statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
            most,
        )
        for ours, theirs, most in (
            (one.boards, tenth.boards, 200),
            (one.regions, tenth.regions, 200),
            (one.sweeps, tenth.sweeps, 1),
        )
    ]
    for name, (value, grown, _) in zip(("board, ms", "a region's, ms", "sweep, s"), figures, strict=True):
        typer.echo(f"{name}: {value:.3g} ({grown:.2f} x a tenth)")
    raise typer.Exit(code=0 if all(value < most and grown <= 1.2 for value, grown, most in figures) else 1)


if __name__ == "__main__":
    typer.run(main)
