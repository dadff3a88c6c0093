"""The board as it is now: each neighbour's figure, its light, and its tie with what a unit reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from closedloop.common.v1.common_pb2 import Light
from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import aggregation, amounts, company, ledger
from closedloop_targets.alignment import rules, store
from closedloop_targets.alignment.rules import LIGHTS, AlignmentRules, Neighbour, Tie
from closedloop_targets.amounts import MILLIONTHS
from closedloop_targets.boards.asking import Question
from closedloop_targets.book import in_force
from closedloop_targets.metrics.rules import Metric, MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import DAY, FiscalCalendar, Period


@dataclass(frozen=True, slots=True)
class Figure:
    """One neighbour's; amounts in minor units or millionths, None where nothing is known."""

    neighbour: Neighbour
    metric: Metric
    value: int | None
    target: int | None
    light: rules.Light
    tie: Tie


async def figures(
    work: Work, reader: Reader | Transaction, unit_id: str, asked: Question
) -> tuple[list[Figure], float | None]:
    """Of every neighbour whose metric is known, and what the unit reached in the period. Six round trips."""
    allowed, catalogue = work.rules(AlignmentRules), work.rules(MetricRules)
    known = [(one, metric) for one in allowed.neighbours if (metric := catalogue.find(one.metric)) is not None]
    months = _months(work, asked.today, allowed.months)
    values = await _values(work, reader, known, [asked.period, *months])
    reached = await _reached(work, reader, unit_id, asked.metric, [asked.period, *months])
    targets = await _targets(work, reader, known, asked.period)
    found = []
    for at, (one, metric) in enumerate(known):
        value, target = values.get((at, 0)), targets[at]
        series = [values.get((at, month)) for month in range(1, len(months) + 1)]
        tied = rules.tie(
            [None if v is None else float(v) for v in series], reached[1:], allowed.least_months, allowed.confidence
        )
        light = rules.light(value, target, metric.lower_is_better, allowed)
        found.append(Figure(one, metric, value, target, light, tied))
    return found, reached[0]


def line(work: Work, one: Figure, unit_id: str, asked: Question, attainment: float | None) -> pb.Alignment:
    currency = _currency(work, one)
    shape = pb.Alignment(
        metric=one.metric.code,
        department_id=one.neighbour.department_id,
        light=Light.Value(f"LIGHT_{one.light.upper()}"),
        driven_unit_id=unit_id,
        driven_metric=asked.metric,
        attainment_ratio=attainment,
        association=pb.Association(
            correlation=one.tie.correlation,
            lower=one.tie.lower,
            upper=one.tie.upper,
            sample_size=one.tie.sample,
            method=rules.METHOD,
            verdict=one.tie.verdict,
        ),
    )
    if one.value is not None:
        shape.value.CopyFrom(amounts.amount(one.value, currency))
    if one.target is not None:
        shape.target.CopyFrom(amounts.amount(one.target, currency))
    return shape


def figures_of(work: Work, one: Figure, attainment: float | None) -> dict[str, object]:
    """The line's figures for SQL (report.alignment)."""
    return {
        "neighbour": one.metric.code,
        "department": one.neighbour.department_id,
        "value": one.value,
        "target": one.target,
        "currency": _currency(work, one),
        "attainment": attainment,
        "correlation": one.tie.correlation,
        "months": one.tie.sample,
        "verdict": one.tie.verdict,
    }


def severity(one: Figure) -> int:
    return LIGHTS.index(one.light)


def _currency(work: Work, one: Figure) -> str:
    return work.home.currency if one.metric.kind == "money" else ""


def _months(work: Work, today: date, count: int) -> list[Period]:
    """Full ones, the oldest first."""
    calendar, found = work.rules(FiscalCalendar), []
    month = periods.containing(today, "month", calendar)
    for _ in range(count):
        month = periods.containing(month.start - DAY, "month", calendar)
        found.append(month)
    return found[::-1]


async def _values(
    work: Work, reader: Reader | Transaction, known: Sequence[tuple[Neighbour, Metric]], spans: Sequence[Period]
) -> dict[tuple[int, int], int | None]:
    """By line and span, both from 0."""
    params = {
        "metrics": [metric.code for _, metric in known],
        "departments": [one.department_id for one, _ in known],
        **aggregation.manners(work),
        "starts": [span.start for span in spans],
        "ends": [span.end for span in spans],
        **company.closure(work.org, dict.fromkeys(one.department_id for one, _ in known)),
    }
    return {(row["line"] - 1, row["span"] - 1): row["value"] for row in await reader.all(store.VALUES, params)}


async def _reached(
    work: Work, reader: Reader | Transaction, unit_id: str, metric: str, spans: Sequence[Period]
) -> list[float | None]:
    """Done over asked in each span; None where nothing was asked."""
    params = {
        "holders": [unit_id],
        "kind": "unit",
        "metrics": [metric],
        "since": min(span.start for span in spans),
        "until": max(span.end for span in spans),
        "starts": [span.start for span in spans],
        "ends": [span.end for span in spans],
        **in_force.places(work),
        **aggregation.manners(work),
    }
    goals = {row["span"] - 1: row["minor"] for row in await reader.all(store.ASKED, params)}
    done = await ledger.figures(
        work, reader, [ledger.Asked("unit", unit_id, metric, span.start, span.end) for span in spans]
    )
    manner = aggregation.of(work, metric)
    # Of what adds up, nothing known is nothing done.
    known = [0 if minor is None and manner.adds_up else minor for minor in done]
    return [manner.attained(minor, goals.get(at)) for at, minor in enumerate(known)]


async def _targets(
    work: Work, reader: Reader | Transaction, known: Sequence[tuple[Neighbour, Metric]], period: Period
) -> list[int | None]:
    """A department's own target in force goes before the rulebook's."""
    params = {
        "holders": sorted({one.department_id for one, _ in known if one.department_id}),
        "kind": "unit",
        "metrics": [metric.code for _, metric in known],
        "since": period.start,
        "until": period.end,
        **in_force.places(work),
    }
    own = {(row["holder_id"], row["metric"]): row["minor"] for row in await reader.all(store.OWN, params)}
    return [own.get((one.department_id, metric.code), _minor(one.target or metric.healthy)) for one, metric in known]


def _minor(value: Decimal | None) -> int | None:
    return None if value is None else int(value * MILLIONTHS)
