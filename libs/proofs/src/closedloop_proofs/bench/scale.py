"""The funnel at a million opportunities and five million activities, against a tenth of the history: the morning's board and
a sweep of ten thousand deals that stand still. As many deals are open and as much happens a month in both.

python -m closedloop_proofs.bench.scale                      # about twenty minutes
python -m closedloop_proofs.bench.scale --closed 50000
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
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
BOARD_FLAT, SWEEP_FLAT = "health board: cost of ten times the history", "stage sweep: cost of ten times the history"
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
       CASE WHEN open THEN 1 + n %% 3 ELSE 4 END, began + make_interval(days => (n %% 3)::int * 7), 'none', began, began,
       CASE WHEN NOT open THEN began + interval '30 days' END
  FROM (SELECT n, n > %(closed)s AS open,
               CASE WHEN n > %(closed)s THEN %(now)s - make_interval(days => 20, secs => (n %% 86400)::int)
                    ELSE %(now)s - interval '31 days' - make_interval(secs => (%(closed)s - n) * %(every)s) END AS began
          FROM generate_series(%(from)s::bigint, %(to)s::bigint) n) made
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
LEFT = "SELECT count(*) FROM clock WHERE kind = 'funnel.stage_dwell' AND level = 0 AND state = 'open'"
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
    """One funnel alone: where it answers, as whom we ask, its database."""

    address: str
    token: str
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


def look(funnel: Funnel, calls: int = CALLS) -> tuple[float, float]:
    """Median and worst of so many morning boards of the company, in milliseconds."""
    with grpc.insecure_channel(funnel.address) as channel:
        ask = boards_pb2_grpc.BoardServiceStub(channel).GetFunnelBoard
        metadata = (("authorization", f"Bearer {funnel.token}"),)
        took = []
        for number in range(calls + 3):
            began = time.perf_counter()
            answer = ask(boards_pb2.GetFunnelBoardRequest(), metadata=metadata, timeout=60)
            if number >= 3:
                took.append((time.perf_counter() - began) * 1000)
        assert sum(stage.open_count for stage in answer.rows[0].stages) == funnel.size.open
    return statistics.median(took), max(took)


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
                raise TimeoutError(f"{found[0]} clocks still run")
            time.sleep(0.02)
        took = time.perf_counter() - began
        dark = connection.execute(DARK).fetchone()
        warned = connection.execute("SELECT count(*) FROM warning").fetchone()
        assert dark == warned == (funnel.size.due,), (dark, warned)
        for statement in UNDO:
            connection.execute(statement)
    return took


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    if not any(only(name) for name in (BOARD, SWEEP, BOARD_FLAT, SWEEP_FLAT)):
        return []
    large = Size(closed=9_000, open=1_000, due=500) if pressure.seconds <= 1 else Size()
    ground.say(f"the funnel among {large.closed:,} closed and {large.open:,} open deals")
    boards, sweeps = compare(large, rounds)
    board, flat = ratios(*boards), ratios(*sweeps)
    note = f"{large.closed + large.open:,} deals, {5 * (large.closed + large.open):,} activities, {large.open:,} open"
    return [
        Figure(BOARD, statistics.median(boards[0]), "ms", "a tenth", None, Wanted("<", 200, of="value"), note=note),
        Figure(BOARD_FLAT, board.median, "x", "a tenth", board.median, Wanted("<=", 1.2), spread=board.spread),
        Figure(SWEEP, statistics.median(sweeps[0]), "s", "a tenth", None, Wanted("<", 1, of="value"), note=note),
        Figure(SWEEP_FLAT, flat.median, "x", "a tenth", flat.median, Wanted("<=", 1.2), spread=flat.spread),
    ]


def compare(
    large: Size, rounds: int, say: Callable[[str], None] = lambda _: None
) -> tuple[tuple[list[float], list[float]], tuple[list[float], list[float]]]:
    """Boards (ms) and sweeps (s) of the large one and of a tenth of its history, in turns."""
    boards: tuple[list[float], list[float]] = ([], [])
    sweeps: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as held:
        sides = [held.enter_context(standing(size)) for size in (large, replace(large, closed=large.closed // 10))]
        for side in sides:
            began = time.monotonic()
            fill(side.url, side.size)
            say(f"{side.size.closed + side.size.open:,} deals filled in {time.monotonic() - began:.0f} s")
        for turn in range(rounds + 1):
            for which in (0, 1) if turn % 2 else (1, 0):
                median, worst = look(sides[which])
                swept = sweep(sides[which])
                say(f"{sides[which].size.closed:,}: board {median:.0f} ms (worst {worst:.0f}), sweep {swept:.2f} s")
                # The first of each is not counted: the processes warm up.
                if turn:
                    boards[which].append(median)
                    sweeps[which].append(swept)
    return boards, sweeps


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
            yield Funnel(platform.address("funnel"), platform.token("bench", "operations"), url, size)
        finally:
            platform.stop()


def main(
    closed: Annotated[int, typer.Option(help="deals of history of the larger one")] = CLOSED,
    rounds: Annotated[int, typer.Option(help="samples of each side, in turns")] = 3,
) -> None:
    """Prints what it measures; ends with 1 when it is not what is wanted."""
    boards, sweeps = compare(Size(closed=closed), rounds, typer.echo)
    board, swept = statistics.median(boards[0]), statistics.median(sweeps[0])
    grown = _grown(boards), _grown(sweeps)
    typer.echo(f"board {board:.0f} ms ({grown[0]:.2f} x a tenth), sweep {swept:.2f} s ({grown[1]:.2f} x a tenth)")
    raise typer.Exit(code=0 if board < 200 and swept < 1 and max(grown) <= 1.2 else 1)


def _grown(sides: tuple[Sequence[float], Sequence[float]]) -> float:
    return statistics.median(large / small for large, small in zip(*sides, strict=True))


if __name__ == "__main__":
    typer.run(main)
