"""The figures of a period, stage by stage: of our own funnel, or of a foreign log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel.diagnosis import store
from closedloop_funnel.diagnosis.rules import Stays
from closedloop_funnel.diagnosis.store import Standing
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.pipelines.stages import PipelineRule


@dataclass(frozen=True, slots=True)
class Period:
    begins: datetime
    ends: datetime

    @property
    def params(self) -> dict[str, Any]:
        return {"from": self.begins, "to": self.ends}


@dataclass(frozen=True, slots=True)
class Measured:
    """One period. `won` and `opened` count deals; `mix`: share of each customer type among the opened ones."""

    stages: list[Stays]
    won: int = 0
    opened: int = 0
    cases: int = 0
    events: int = 0
    standing: Sequence[Standing] = ()
    mix: Mapping[str, float] = field(default_factory=dict)

    def stage(self, key: str) -> Stays:
        return next((stage for stage in self.stages if stage.stage_key == key), Stays(key))


async def funnel(
    db: Reader | Transaction, scoped: Mapping[str, Any], period: Period, pipeline: PipelineRule, work: Work
) -> Measured:
    params = {**scoped, **period.params}
    ended = {one.stage_key: one for one in await store.ended(db, params)}
    standing = await store.standing(db, params)
    turns = await db.one(store.TURNS, params)
    mix = await db.all(store.MIX, params)
    assert turns is not None
    days, seconds = _standing_days(standing, period, pipeline, work)
    known = [stage.key for stage in pipeline.stages if stage.kind == "open"]
    left_over = sorted({*ended, *days} - set(known))
    stages = []
    for key in (*known, *left_over):
        one = ended.get(key)
        stages.append(
            Stays(
                stage_key=key,
                entered=one.entered if one else 0,
                left=one.left if one else 0,
                advanced=one.advanced if one else 0,
                parked=len(days[key]),
                days=[*(one.days if one else ()), *days[key]],
                seconds=(one.seconds if one else 0.0) + seconds[key],
            )
        )
    opened = sum(row["deals"] for row in mix)
    return Measured(
        stages=stages,
        won=turns["won"],
        opened=turns["opened"],
        # Whoever stands where it stood before the period began made no move in it.
        cases=turns["cases"] + sum(one.since < period.begins for one in standing),
        events=turns["events"],
        standing=standing,
        mix={row["customer_type"]: row["deals"] / opened for row in mix},
    )


def _standing_days(
    standing: Sequence[Standing], period: Period, pipeline: PipelineRule, work: Work
) -> tuple[defaultdict[str, list[float]], defaultdict[str, float]]:
    """Days so far of the deals that stood there at the end, by stage; and by the plain clock."""
    counted = Dwell(work.calendars, min(period.ends, work.now))
    days: defaultdict[str, list[float]] = defaultdict(list)
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in standing:
        plain = period.ends - one.since
        try:
            dwelt = counted.days(one.since, pipeline.stage(one.stage_key).calendar, one.unit_id)
        except errors.FailedPrecondition:
            # A year no calendar knows: one old deal must not fail the diagnosis.
            dwelt = plain / timedelta(days=1)
        days[one.stage_key].append(dwelt)
        seconds[one.stage_key] += plain.total_seconds()
    return days, seconds


async def foreign(db: Reader | Transaction, log: str, period: Period, calendar: str, work: Work) -> Measured:
    """Time after a step until the next one of its case; the last step of a case takes none."""
    steps = await db.all(store.STEPS, {"log": log, **period.params}, into=store.Step)
    counted = Dwell(work.calendars, work.now)
    entered: defaultdict[str, int] = defaultdict(int)
    left: defaultdict[str, int] = defaultdict(int)
    parked: defaultdict[str, int] = defaultdict(int)
    days: defaultdict[str, list[float]] = defaultdict(list)
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in steps:
        entered[one.step] += period.begins <= one.at < period.ends
        if one.next_at is None:
            continue
        until = period.ends if one.at_end else one.next_at
        parked[one.step] += one.at_end
        left[one.step] += not one.at_end
        days[one.step].append(counted.days(one.at, calendar, "", until))
        seconds[one.step] += max((until - one.at).total_seconds(), 0.0)
    stages = [
        Stays(key, entered[key], left[key], left[key], parked[key], days[key], seconds[key])
        for key in sorted(entered, key=lambda key: -seconds[key])
    ]
    cases, events = await store.in_log(db, log)
    return Measured(stages=stages, cases=cases, events=events)
