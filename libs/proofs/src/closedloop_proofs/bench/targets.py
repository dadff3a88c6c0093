"""Targets under load: a company with a plan for the present quarter, a year of sales behind it, and this morning's board;
and a company of ten thousand sellers, whose year is cascaded in one call and whose series are forecast behind the API."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta

import psutil
import psycopg

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import (
    actuals_pb2,
    actuals_pb2_grpc,
    boards_pb2,
    boards_pb2_grpc,
    cascade_pb2,
    cascade_pb2_grpc,
    events_pb2,
    forecasts_pb2,
    forecasts_pb2_grpc,
    metrics_pb2,
    org_pb2,
    org_pb2_grpc,
    plans_pb2,
    plans_pb2_grpc,
)
from closedloop_chassis import ids, protos
from closedloop_devstack.errors import PlatformError
from closedloop_proofs.bench import company
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Api, Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure
from closedloop_proofs.bench.read import Read
from closedloop_proofs.bench.samples import percentile, summary

METHOD = "closedloop.targets.v1.BoardService.ListPersonProgress"
TOP = 40_000_000
SALES_EACH = 20
OPERATIONS = ("OPS", "operations")

# Ten sellers a team, as many teams as it takes, ten teams an area; the year of each in months, fortnights and weeks.
FEW, MANY = 2_500, 10_000
HEADS, TEAMS = 10, 10
HISTORY_MONTHS = 36
CASCADE = f"cascade of a year to {MANY:,} people"
RESTATE = f"restating {MANY:,} series"
# Won value of every seller in every month before this one, in a year's rhythm.
HISTORY = """
INSERT INTO actual
SELECT uuidv7(), 'won_value', 'S' || n, 'T' || n / %(heads)s, '', '', '', '', 'h' || n || '-' || m, day, minor, 'CNY', minor, 'CNY',
       1, '', '', 'bench', 'h' || n || '-' || m, 'bench', NULL, 1, NULL, NULL, NULL, now()
  FROM generate_series(0, %(people)s - 1) AS n
 CROSS JOIN generate_series(1, %(months)s) AS m
 CROSS JOIN LATERAL (SELECT (date_trunc('month', now()) - m * interval '1 month' + interval '14 days')::date AS day) AS d
 CROSS JOIN LATERAL (SELECT (1000000 + 400000 * sin(pi() * extract(month FROM day) / 6)
                             + 200000 * ((n * 7919 + m * 104729) %% 100) / 100.0)::bigint AS minor) AS v
"""

# The board's day is a timer of the process, looked at twice a second.
MORNING = "UPDATE timer SET at = now(), next_at = now() WHERE kind = 'targets.board_day'"


@contextmanager
def board(ground: Ground) -> Iterator[tuple[Api, Read]]:
    """A manager looks at the team's board of the morning: eight people."""
    url = ground.database("targets")
    with ground.api("targets", url) as api:
        _organise(api)
        _plan(ground, api, url)
        _sell(api)
        _morning(url)
        team = company.teams()[0]
        token = ground.token(company.manager_of(team), "manager")
        request = boards_pb2.ListPersonProgressRequest(unit_id=team)
        yield api, Read("person board", METHOD, request.SerializeToString(), token, company.HEADS)


def _organise(api: Api) -> None:
    stub = api.stub(org_pb2_grpc.OrgServiceStub, *OPERATIONS)
    rows = []
    for _, told in company.organisation():
        row = org_pb2.OrgRow()
        if isinstance(told, events_pb2.OrgUnitChanged):
            row.unit.id, row.unit.parent_id, row.unit.kind = told.unit_id, told.parent_id, told.kind
            row.unit.name, row.unit.manager_id = told.name, told.manager_id
        elif isinstance(told, events_pb2.PersonChanged):
            row.person.id, row.person.unit_id, row.person.name = told.person_id, told.unit_id, told.name
            row.person.roles.extend(told.roles)
        rows.append(row)
    summary = stub.ImportOrg(org_pb2.ImportOrgRequest(request_id=ids.new_id(), rows=rows))
    if summary.errors:
        raise PlatformError(f"the organisation was refused: {summary.errors[0]}")


def _plan(ground: Ground, api: Api, url: str) -> None:
    """From the company's number down to each person's weeks, published."""
    today = datetime.now(UTC).date()
    period = f"{today.year}-Q{(today.month + 2) // 3}"
    plans = api.stub(plans_pb2_grpc.PlanServiceStub, *OPERATIONS)
    plan = plans.CreatePlan(
        plans_pb2.CreatePlanRequest(
            request_id=ids.new_id(), name=period, unit_id=company.ROOT, period=period, strategy="grow", owner_id="BOSS"
        )
    )
    top = plans.SetTarget(
        plans_pb2.SetTargetRequest(
            request_id=ids.new_id(),
            plan_id=plan.id,
            version=1,
            target=plans_pb2.TargetInput(
                metric="won_value",
                period=period,
                holder=plans_pb2.Holder(unit_id=company.ROOT),
                amount=metrics_pb2.Amount(money=protos.money(TOP * 100, "CNY")),
            ),
        )
    )
    cascades = api.stub(cascade_pb2_grpc.CascadeServiceStub, *OPERATIONS)
    cascades.RunCascade(
        cascade_pb2.RunCascadeRequest(
            request_id=ids.new_id(), target_id=top.id, etag=top.etag, rules=cascade_pb2.CascadeRules()
        )
    )
    version = plans.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    plans.PublishPlanVersion(
        plans_pb2.PublishPlanVersionRequest(request_id=ids.new_id(), plan_id=plan.id, version=1, etag=version.etag)
    )
    # What its courier would bring back to it.
    ground.hear(url, "targets", [(plan.id, told) for told in ground.told(url, events_pb2.PlanPublished)])
    ground.settle(url)


def _sell(api: Api) -> None:
    chance, today = random.Random(7), datetime.now(UTC).date()
    stub = api.stub(actuals_pb2_grpc.ActualServiceStub, *OPERATIONS)
    rows = [
        _sale(seller, n, today - timedelta(days=chance.randrange(1, 365)), chance)
        for seller in company.sellers()
        for n in range(SALES_EACH)
    ]
    for first in range(0, len(rows), 1000):
        request = actuals_pb2.ImportActualsRequest(request_id=ids.new_id(), actuals=rows[first : first + 1000])
        summary = stub.ImportActuals(request)
        if summary.errors:
            raise PlatformError(f"sales were refused: {summary.errors[0]}")


def _sale(seller: str, number: int, day: date, chance: random.Random) -> actuals_pb2.ActualInput:
    row = actuals_pb2.ActualInput(
        metric="won_value",
        holder=plans_pb2.Holder(person_id=seller),
        date=protos.date_proto(day),
        amount=metrics_pb2.Amount(money=protos.money(chance.randrange(5_000, 200_000) * 100, "CNY")),
    )
    row.provenance.source, row.provenance.source_id = "crm", f"{seller}-{number}"
    return row


def _morning(url: str, seconds: float = 60.0) -> None:
    """Lets the morning come at once, and waits for its board."""
    give_up = time.monotonic() + seconds
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MORNING)
        while not (found := connection.execute("SELECT count(*) FROM board_snapshot").fetchone()) or not found[0]:
            if time.monotonic() > give_up:
                raise PlatformError("no board was taken this morning")
            time.sleep(0.2)


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    del pressure
    figures: list[Figure] = []
    if only(CASCADE):
        figures += _told(_cascades(ground, FEW, rounds), _cascades(ground, MANY, rounds))
    if only(RESTATE):
        figures += _restating(ground)
    return figures


@contextmanager
def _many(ground: Ground, people: int) -> Iterator[tuple[Api, str]]:
    """A company of so many sellers, nothing planned and nothing sold."""
    url = ground.database("targets")
    with ground.api("targets", url) as api:
        stub = api.stub(org_pb2_grpc.OrgServiceStub, *OPERATIONS)
        rows = list(_sellers(people))
        for first in range(0, len(rows), 10_000):
            request = org_pb2.ImportOrgRequest(request_id=ids.new_id(), rows=rows[first : first + 10_000])
            summary_ = stub.ImportOrg(request, timeout=120)
            if summary_.errors:
                raise PlatformError(f"the organisation was refused: {summary_.errors[0]}")
        ground.settle(url)
        yield api, url


def _sellers(people: int) -> Iterator[org_pb2.OrgRow]:
    """Parents before children."""

    def unit(id_: str, parent: str, kind: str) -> org_pb2.OrgRow:
        return org_pb2.OrgRow(unit=org_pb2.UnitInput(id=id_, parent_id=parent, kind=kind, name=id_))

    top = unit(company.ROOT, "", "company")
    top.unit.manager_id = "BOSS"
    yield top
    yield org_pb2.OrgRow(person=org_pb2.PersonInput(id="BOSS", unit_id=company.ROOT, name="BOSS"))
    teams = -(-people // HEADS)
    for area in range(-(-teams // TEAMS)):
        yield unit(f"A{area}", company.ROOT, "area")
    for team in range(teams):
        yield unit(f"T{team}", f"A{team // TEAMS}", "team")
    for seller in range(people):
        row = org_pb2.OrgRow(
            person=org_pb2.PersonInput(id=f"S{seller}", unit_id=f"T{seller // HEADS}", name=f"S{seller}")
        )
        row.person.roles.append(options_pb2.ROLE_REP)
        yield row


def _cascades(ground: Ground, people: int, rounds: int) -> dict[str, float]:
    """Seconds by the clock and of the server's core for one target of a year; the first time is not counted."""
    ground.say(f"cascading a year to {people:,} people")
    with _many(ground, people) as (api, _):
        year = str(datetime.now(UTC).year)
        plans = api.stub(plans_pb2_grpc.PlanServiceStub, *OPERATIONS)
        plan = plans.CreatePlan(
            plans_pb2.CreatePlanRequest(
                request_id=ids.new_id(), name=year, unit_id=company.ROOT, period=year, strategy="grow"
            )
        )
        wanted = plans_pb2.TargetInput(
            metric="won_value",
            period=year,
            holder=plans_pb2.Holder(unit_id=company.ROOT),
            amount=metrics_pb2.Amount(money=protos.money(people * 1_234_567, "CNY")),
        )
        top = plans.SetTarget(
            plans_pb2.SetTargetRequest(request_id=ids.new_id(), plan_id=plan.id, version=1, target=wanted)
        )
        stub, server = api.stub(cascade_pb2_grpc.CascadeServiceStub, *OPERATIONS), psutil.Process(api.pid)
        clock, core, cells = [], [], 0
        for _ in range(rounds + 1):
            held = plans.GetTarget(plans_pb2.GetTargetRequest(target_id=top.id))
            request = cascade_pb2.RunCascadeRequest(
                request_id=ids.new_id(), target_id=top.id, etag=held.etag, rules=cascade_pb2.CascadeRules()
            )
            used, began = sum(server.cpu_times()[:2]), time.monotonic()
            done = stub.RunCascade(request, timeout=60)
            clock.append(time.monotonic() - began)
            core.append(sum(server.cpu_times()[:2]) - used)
            cells = done.cell_count
            if done.allocated != done.amount or done.node_count < people:
                raise LoadFailed(f"{done.node_count} nodes hold {done.allocated} of {done.amount}")
    took = summary(clock[1:])
    return {"clock": took.median, "core": summary(core[1:]).median, "cells": cells, "spread": took.spread}


def _told(few: dict[str, float], many: dict[str, float]) -> list[Figure]:
    """Within two seconds, and no dearer per cell than for a quarter of the people."""
    each, before = (one["clock"] / one["cells"] for one in (many, few))
    more = {"core_seconds": many["core"], "cells": many["cells"]}
    note = f"{many['cells']:,.0f} cells; {many['core']:.2f} s of the server's core"
    return [
        Figure(
            name=CASCADE, value=many["clock"], unit="s", against="", ratio=None, wanted=Wanted("<=", 2, of="value"),
            spread=many["spread"], note=note, more=more,
        ),
        Figure(
            name=f"{CASCADE}, per cell", value=each * 1e6, unit="µs", against=f"to {FEW:,}", ratio=each / before,
            limit=before * 1e6, wanted=Wanted("<=", 1.25),
        ),
    ]  # fmt: skip


def _restating(ground: Ground) -> list[Figure]:
    """From the request until the last series is stated; beside it somebody looks at a board all the time."""
    ground.say(f"{RESTATE}, a board looked at beside it")
    with _many(ground, MANY) as (api, url):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(HISTORY, {"people": MANY, "months": HISTORY_MONTHS, "heads": HEADS})
            connection.execute("VACUUM ANALYZE actual")
        stub = api.stub(forecasts_pb2_grpc.ForecastServiceStub, *OPERATIONS)
        boards = api.stub(boards_pb2_grpc.BoardServiceStub, *OPERATIONS)
        alone = [_look(boards, number) for number in range(200)]
        server, statistics = psutil.Process(api.pid), 0.0
        used, began = sum(server.cpu_times()[:2]), time.monotonic()
        run = stub.RestateForecasts(
            forecasts_pb2.RestateForecastsRequest(request_id=ids.new_id(), unit_id=company.ROOT)
        )
        beside: list[float] = []
        asked = 0.0
        while run.state in (forecasts_pb2.FORECAST_RUN_STATE_QUEUED, forecasts_pb2.FORECAST_RUN_STATE_RUNNING):
            beside.append(_look(boards, len(beside)))
            time.sleep(0.02)
            if time.monotonic() - asked > 0.5:
                asked = time.monotonic()
                statistics = max(statistics, _of_children(server))
                run = stub.GetForecastRun(forecasts_pb2.GetForecastRunRequest(run_id=run.id))
            if time.monotonic() - began > 600:
                raise LoadFailed(f"{run.series_done} of {run.series_total} series after ten minutes")
        took = time.monotonic() - began
        core = sum(server.cpu_times()[:2]) - used
    if run.series_failed or run.series_done != run.series_total or run.series_total < MANY:
        raise LoadFailed(f"{run.series_done} of {run.series_total} series, {run.series_failed} failed: {run.error}")
    each = 1000 * took / run.series_total
    return [
        Figure(
            name=RESTATE, value=took * MANY / run.series_total, unit="s", against="", ratio=None,
            wanted=Wanted("<=", 60, of="value"),
            note=f"{run.series_total:,} series of {HISTORY_MONTHS} months took {took:.1f} s, {each:.1f} ms each; "
            f"{statistics:.1f} s of a core for the statistics, {core:.1f} s of the server's with all it answered beside it",
            more={"statistics_seconds": statistics, "server_seconds": core, "series": run.series_total},
        ),
        Figure(
            name=f"{RESTATE}: a board beside it, p99", value=1000 * percentile(beside, 0.99), unit="ms", against="alone",
            ratio=None, limit=1000 * percentile(alone, 0.99), wanted=Wanted("<=", 150, of="value"),
            median=1000 * percentile(beside, 0.5), note=f"{len(beside)} looks; the longest {1000 * max(beside):.0f} ms",
        ),
    ]  # fmt: skip


def _of_children(server: psutil.Process) -> float:
    """Core seconds of the process that does the statistics."""
    used = 0.0
    for one in server.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            used += sum(one.cpu_times()[:2])
    return used


def _look(boards: boards_pb2_grpc.BoardServiceStub, number: int) -> float:
    """Seconds for the live board of one team."""
    request = boards_pb2.ListPersonProgressRequest(
        unit_id=f"T{number % (MANY // HEADS)}", view=boards_pb2.BOARD_VIEW_LIVE
    )
    began = time.monotonic()
    boards.ListPersonProgress(request)
    return time.monotonic() - began
