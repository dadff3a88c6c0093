"""Action units with what came of them in a period."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop.funnel.v1 import experiments_pb2
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel import estimates
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.actions.units import UnitRule
from closedloop_funnel.effects import rules, store
from closedloop_funnel.effects.rules import EffectRules
from closedloop_funnel.effects.store import Counted
from closedloop_funnel.pipelines.rules import PipelineRules


@dataclass(frozen=True, slots=True)
class Effect:
    """`effect`: went on with the action less without it; `change`: went on in this period less in the one before."""

    key: str
    unit: UnitRule
    now: Counted
    before: Counted
    effect: experiments_pb2.Estimate
    change: experiments_pb2.Estimate
    idle: bool


async def measure(
    db: Reader | Transaction,
    work: Work,
    scoped: Mapping[str, Any],
    begins: datetime,
    ends: datetime,
    keys: Collection[str] = (),
) -> list[Effect]:
    """One for every unit that a stage expects; held against a period of the same length before."""
    units, judged_by = work.rules(UnitRules).units, work.rules(EffectRules)
    homes = [
        (key, pipeline_id, stage.key)
        for pipeline_id, pipeline in work.rules(PipelineRules).pipelines.items()
        for stage in pipeline.stages
        for key in stage.action_unit_keys
        if key in units and (not keys or key in keys)
    ]
    columns = (
        dict(zip(("keys", "pipelines", "stages"), map(list, zip(*homes, strict=True)), strict=True)) if homes else {}
    )
    if not columns:
        return []
    params = {**scoped, **columns, "from": begins, "to": ends, "before": begins - (ends - begins)}
    found = {(one.key, one.period): one for one in await store.counted(db, params)}
    return [
        _effect(key, units[key], found.get((key, 0)), found.get((key, 1)), judged_by)
        for key in sorted({key for key, _, _ in homes})
    ]


def _effect(key: str, unit: UnitRule, now: Counted | None, before: Counted | None, judged_by: EffectRules) -> Effect:
    now, before = now or Counted(key, 0, 0, 0, 0, 0, 0), before or Counted(key, 1, 0, 0, 0, 0, 0)
    change = estimates.difference(now.advanced, now.due, before.advanced, before.due, judged_by.least)
    return Effect(
        key=key,
        unit=unit,
        now=now,
        before=before,
        effect=estimates.difference(
            now.advanced_done, now.done, now.advanced - now.advanced_done, now.due - now.done, judged_by.least
        ),
        change=change,
        idle=rules.stands_still(
            judged_by, now.due, now.done, before.due, change.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
        ),
    )
