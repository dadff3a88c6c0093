"""Weeks of metrics, judged: colour, run, consequence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel.performance import rules, store
from closedloop_funnel.performance.rules import LightWord, MetricRule, MetricWord, PerformanceRules
from closedloop_funnel.pipelines.rules import PipelineRules

WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric of one group in one week, by its rule."""

    key: str
    rule: MetricRule
    group_key: str
    week: date
    value: float
    cases: int
    light: LightWord
    weeks_beyond: int

    @property
    def consequence(self) -> str:
        return self.rule.consequence if rules.follows(self.rule, self.light) else ""


def expected(work: Work) -> dict[str, list[str]]:
    """Stages in which a custom proposal is expected."""
    found = [
        (pipeline_id, stage.key)
        for pipeline_id, pipeline in work.rules(PipelineRules).pipelines.items()
        for stage in pipeline.stages
        if stage.proposal_expected
    ]
    return {"pipelines": [pipeline for pipeline, _ in found], "stages": [stage for _, stage in found]}


async def measure(
    db: Reader | Transaction,
    work: Work,
    narrowed: Mapping[str, Any],
    first: date,
    last: date,
    *,
    keys: Sequence[str] = (),
    by_person: bool,
) -> list[Judged]:
    """Every week that begins from `first` to `last`, both Mondays. Runs look back as far as the longest one that
    turns red."""
    judged_by = work.rules(PerformanceRules).metrics
    asked = [key for key in judged_by if not keys or key in keys]
    back = max((judged_by[key].red_weeks for key in asked), default=0)
    begins = first - back * WEEK
    params = {
        **narrowed,
        **expected(work),
        "from": work.home.moment(begins),
        "to": work.home.moment(last + WEEK),
        "now": work.now,
        "zone": str(work.home.zone()),
    }
    if not asked:
        return []
    found = await store.weeks(db, asked, params, by_person=by_person)
    series: defaultdict[tuple[str, str], dict[date, store.Week]] = defaultdict(dict)
    for one in found:
        series[one.key, one.group_key][one.week] = one
    mondays = [begins + number * WEEK for number in range((last - begins) // WEEK + 1)]
    return [
        judged
        for (key, group), weeks in series.items()
        for judged in _judge(judged_by[cast(MetricWord, key)], key, group, [weeks.get(monday) for monday in mondays])
        if judged.week >= first
    ]


def _judge(rule: MetricRule, key: str, group: str, weeks: Sequence[store.Week | None]) -> list[Judged]:
    enough = [week if week is not None and week.cases >= rule.least_cases else None for week in weeks]
    counted = rules.runs(rule, [week.value if week else None for week in enough])
    return [
        Judged(key, rule, group, week.week, week.value, week.cases, rules.colour(rule, week.value, run), run)
        for week, run in zip(enough, counted, strict=True)
        if week is not None
    ]


def monday(moment: datetime, work: Work) -> date:
    """Of the week in which the moment falls, at home."""
    day = work.home.day(moment)
    return day - timedelta(days=1) * day.weekday()
