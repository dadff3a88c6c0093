"""What a board is asked for: metric, period, day; and lines in the contract's shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from closedloop.common.v1.common_pb2 import Light
from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis.work import Call, Work
from closedloop_targets import amounts, money
from closedloop_targets.boards.rules import BoardRules, Standing
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar, Period


@dataclass(frozen=True, slots=True)
class Question:
    metric: str
    period: Period
    today: date


def question(work: Work, metric: str, period: str) -> Question:
    """The main metric and the present quarter where nothing else was asked.

    Raises InvalidArgument UNKNOWN_METRIC or UNKNOWN_PERIOD.
    """
    metrics, calendar, today = work.rules(MetricRules), work.rules(FiscalCalendar), work.home.today()
    found = metrics.metric(metric or metrics.main)
    asked = periods.parse(period, calendar) if period else periods.containing(today, "quarter", calendar)
    return Question(found.code, asked, today)


async def in_currency(call: Call, lines: Iterable[pb.PersonProgress | pb.TeamRank], code: str) -> None:
    """Shows the money of lines in another currency, at the day's rate (U16). Raises FailedPrecondition RATE_NOT_FOUND."""
    shown = await money.shown(call, call.db, code)
    if shown.currency:
        for line in lines:
            for name in ("target", "done", "expected", "forecast"):
                if line.progress.HasField(name):
                    shown.turn(getattr(line.progress, name))


def progress(work: Work, standing: Standing, asked: Question) -> pb.Progress:
    """Without what `completing` adds."""
    period = asked.period
    line = pb.Progress(
        metric=asked.metric,
        period=period_shapes.stored(period.code, period.grain, period.start, period.end),
        done=None if standing.done is None else amounts.amount(standing.done, standing.currency),
        expected=amounts.amount(standing.expected, standing.currency),
        deviation_ratio=standing.deviation,
        light=light(work, standing),
        weeks_under=standing.weeks_under,
    )
    if standing.target is not None:
        line.target.CopyFrom(amounts.amount(standing.target, standing.currency))
    if standing.completion is not None:
        line.completion_ratio = standing.completion
    return line


def figures(progress: pb.Progress) -> dict[str, object]:
    """What a line says, for SQL (report.person_progress, report.team_ranking)."""
    expected = amounts.read(progress.expected)
    return {
        "target": amounts.read(progress.target).minor if progress.HasField("target") else None,
        "done": amounts.read(progress.done).minor if progress.HasField("done") else None,
        "expected": expected.minor,
        "completion": progress.completion_ratio if progress.HasField("completion_ratio") else None,
        "currency": expected.currency,
        "weeks_under": progress.weeks_under,
    }


def light(work: Work, standing: Standing) -> Light.ValueType:
    return Light.Value(f"LIGHT_{standing.light(work.rules(BoardRules)).upper()}")


def currency(work: Work, metric: str) -> str:
    return work.home.currency if work.rules(MetricRules).metric(metric).kind == "money" else ""
