"""Series are stated piece by piece in the background, by a process that does nothing else (S6)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import time
from multiprocessing import get_context
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis import ids
from closedloop_chassis.work import Work
from closedloop_targets import aggregation, company, extrapolation
from closedloop_targets.cascade.rules import CascadeDefaults
from closedloop_targets.extrapolation import Options, Outlook
from closedloop_targets.forecasts import rules, store
from closedloop_targets.forecasts.rules import ForecastRules
from closedloop_targets.forecasts.store import Run
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import DAY, FiscalCalendar, Period

RUN = "targets.forecast_run"
MONTH = "targets.restatement"
COMPANY = "company"
POLITENESS = 10

# (holder kind, holder id, metric, product id)
Series = Sequence[str]


async def begin(work: Work, unit_id: str, metrics: Sequence[str], requested_by: str, reason: str) -> Run:
    """Queues everything at and below the unit: units, people who carry targets, and the unit's products."""
    catalogue = work.rules(MetricRules)
    wanted = tuple(metrics) or work.rules(ForecastRules).metrics or (catalogue.main,)
    # Months, products and what is in the pipeline add up to a forecast; to that of a mean they do not.
    wanted = tuple(metric for metric in wanted if aggregation.of(work, metric).adds_up)
    org, carriers = work.org, work.rules(CascadeDefaults).carriers
    units = sorted(org.subtree(unit_id), key=lambda unit: (len(list(org.ancestry(unit))), unit))
    people = sorted(
        person.id
        for unit in units
        for person in org.members(unit)
        if person.active and carriers.intersection(person.roles)
    )
    products = [row["id"] for row in await work.tx.all(store.PRODUCTS, {})]
    series = [
        one
        for metric in wanted
        for one in (
            *(["unit", unit, metric, ""] for unit in units),
            *(["unit", unit_id, metric, product] for product in products),
            *(["person", person, metric, ""] for person in people),
        )
    ]
    run = Run(ids.new_id(), "queued", unit_id, series, len(series), 0, 0, 0, requested_by, reason, work.now, None, "")
    work.tx.do(
        store.ADD_RUN,
        {
            "id": run.id,
            "unit_id": unit_id,
            "series": Jsonb(series),
            "total": len(series),
            "requested_by": requested_by,
            "reason": reason,
            "now": work.now,
        },
    )
    work.timers.set(RUN, run.id, work.now)
    return run


async def go_on(work: Work, run: Run) -> None:
    """States the next piece of a run; the clock brings the one after it."""
    allowed = work.rules(ForecastRules)
    piece = run.series[run.series_done : run.series_done + allowed.chunk]
    naive, failed, error = 0, 0, run.error
    if piece:
        naive, failed, said = await _state(work, run, piece, allowed)
        error = error or said
    done = run.series_done + len(piece)
    over = done >= run.series_total
    state = (
        "running"
        if not over
        else "failed"
        if run.series_total and run.series_failed + failed == run.series_total
        else "done"
    )
    work.tx.do(
        store.PUT_RUN,
        {
            "id": run.id,
            "state": state,
            "done": done,
            "naive": run.series_naive + naive,
            "failed": run.series_failed + failed,
            "ended_at": work.now if over else None,
            "error": error,
        },
    )
    if over:
        _worker.rest()
    else:
        work.timers.set(RUN, run.id, work.now)


async def _state(work: Work, run: Run, piece: Sequence[Series], allowed: ForecastRules) -> tuple[int, int, str]:
    """(naive, failed, first error)"""
    calendar, catalogue = work.rules(FiscalCalendar), work.rules(MetricRules)
    past, ahead = _months(work.home.today(), allowed, calendar)
    params = {
        "kinds": [one[0] for one in piece],
        "holders": [one[1] for one in piece],
        "metrics": [one[2] for one in piece],
        "products": [one[3] for one in piece],
        "firsts": [month.start for month in past],
        "lasts": [month.end for month in past],
        "since": past[0].start,
        "until": past[-1].end,
        "ahead_firsts": [month.start for month in ahead],
        "ahead_lasts": [month.end for month in ahead],
        "main": catalogue.main,
        **company.closure(work.org, dict.fromkeys(one[1] for one in piece if one[0] == "unit")),
    }
    histories = _grid(len(piece), len(past), await work.tx.all(store.MONTHS, params))
    pipeline = _grid(len(piece), len(ahead), await work.tx.all(store.PIPELINE, params))
    trends = await work.tx.all(store.TRENDS, {"since": ahead[0].start, "until": ahead[-1].end})
    products = sorted({one[3] for one in piece if one[3]})
    lines = {row["id"]: row["line"] for row in await work.tx.all(store.LINES, {"ids": products})} if products else {}
    outlooks = await _worker.ask(histories, allowed.options())
    rows, failed, error = [], 0, ""
    for one, history, open_deals, found in zip(piece, histories, pipeline, outlooks, strict=True):
        if isinstance(found, str):
            failed, error = failed + 1, error or found
            continue
        rows.append(_row(work, run, one, history, open_deals, found, trends, lines.get(one[3], ""), ahead, allowed))
    work.tx.do(store.ADD, {"rows": Jsonb(rows)})
    return sum(row["naive"] for row in rows), failed, error


def _row(
    work: Work,
    run: Run,
    one: Series,
    history: Sequence[int],
    open_deals: Sequence[int],
    found: Outlook,
    trends: Sequence[dict[str, Any]],
    line: str,
    ahead: Sequence[Period],
    allowed: ForecastRules,
) -> dict[str, Any]:
    kind, holder, metric, product = one
    person = work.org.person(holder) if kind == "person" else None
    unit_id = person.unit_id if person else holder
    leader = work.org.manager_of(unit_id)
    market = [_growth(work, trends, unit_id, product, line, month) for month in ahead]
    points = rules.points(found, open_deals, market, allowed)
    money = work.rules(MetricRules).metric(metric).kind == "money"
    return {
        "holder_kind": kind,
        "holder_id": holder,
        "owner_id": holder if kind == "person" else leader.id if leader else "",
        "unit_id": unit_id,
        "metric": metric,
        "product_id": product,
        "stated_at": work.now.isoformat(),
        "run_id": run.id,
        "currency": work.home.currency if money else "",
        "method": found.method,
        "naive": found.naive,
        "explanation": found.explanation,
        "history_months": next((len(history) - at for at, value in enumerate(history) if value), 0),
        "interval_ratio": allowed.interval,
        "points": [
            {
                "period": month.code,
                "start": month.start.isoformat(),
                "end": month.end.isoformat(),
                **{name: getattr(point, name) for name in point.__slots__},
            }
            for month, point in zip(ahead, points, strict=True)
        ],
        "mase": found.accuracy.mase,
        "wape": found.accuracy.wape,
        "coverage": found.accuracy.coverage,
        "folds": found.accuracy.folds,
        "fold_months": allowed.backtest_months,
        "verdict": rules.verdict(found, allowed.interval),
        "seasons": found.seasons,
        "model_mase": found.model.mase,
        "model_coverage": found.model.coverage,
        "plain_mase": found.plain.mase,
        "plain_coverage": found.plain.coverage,
    }


def _months(today: Any, allowed: ForecastRules, calendar: FiscalCalendar) -> tuple[list[Period], list[Period]]:
    """Whole months behind us, oldest first; and this one with those that follow."""
    month = periods.containing(today, "month", calendar)
    ahead = [month]
    while len(ahead) < allowed.horizon_months:
        ahead.append(periods.containing(ahead[-1].end + DAY, "month", calendar))
    past = [periods.containing(month.start - DAY, "month", calendar)]
    while len(past) < allowed.history_months:
        past.append(periods.containing(past[-1].start - DAY, "month", calendar))
    return past[::-1], ahead


def _grid(series: int, months: int, rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    grid = [[0] * months for _ in range(series)]
    for row in rows:
        grid[row["position"] - 1][row["number"] - 1] = row["minor"]
    return grid


def _growth(
    work: Work, trends: Sequence[dict[str, Any]], unit_id: str, product: str, line: str, month: Period
) -> float:
    """Of the nearest unit at or above; of the product before its line, of that before everything. The newest where several
    overlap."""
    scopes = [("", "")]
    if line:
        scopes.insert(0, ("", line))
    if product:
        scopes.insert(0, (product, ""))
    for unit in work.org.ancestry(unit_id):
        for scope in scopes:
            held = [
                one["growth_ratio"]
                for one in trends
                if one["unit_id"] == unit
                and (one["product_id"], "" if one["product_id"] else one["product_line"]) == scope
                and one["start_date"] <= month.start
                and one["end_date"] >= month.end
            ]
            if held:
                return float(held[-1])
    return 0.0


def next_month(work: Work) -> None:
    """One timer for the company; one that is set stays."""
    allowed, today = work.rules(ForecastRules), work.home.today()
    moment = work.home.moment(today.replace(day=allowed.day), time(allowed.hour))
    if moment <= work.now:
        following = (today.replace(day=28) + 7 * DAY).replace(day=allowed.day)
        moment = work.home.moment(following, time(allowed.hour))
    work.timers.set(MONTH, COMPANY, moment)


class _Worker:
    """A process that alone imports the library, started with the first piece of a run and ended with the last."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def ask(self, histories: Sequence[Sequence[int]], options: Options) -> list[Outlook | str]:
        if self._pool is None:
            # Whoever asks the API goes first where both want the same core.
            self._pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(POLITENESS,)
            )
        numbers = [[float(value) for value in history] for history in histories]
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, extrapolation.many, numbers, options)
        except Exception:
            self.rest()
            raise

    def rest(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


_worker = _Worker()
