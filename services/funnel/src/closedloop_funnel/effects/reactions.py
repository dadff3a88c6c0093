"""Once a month, what is done nearly always without result is sent to review (S54)."""

from __future__ import annotations

from datetime import timedelta

from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.effects import measuring
from closedloop_funnel.effects.rules import EffectRules
from closedloop_funnel.mornings import every_day
from closedloop_funnel.pipelines import scope
from closedloop_funnel.reviews import process

MORNING = "funnel.effects"

reactions = Reactions()


@every_day(reactions, MORNING, lambda work: work.rules(EffectRules).hour)
async def monthly(work: Work) -> None:
    judged_by, today = work.rules(EffectRules), work.home.today()
    if today.day == judged_by.monthly_day:
        ends = work.home.moment(today)
        whole = scope.whole(pipelines_pb2.FunnelScope(), work)
        found = await measuring.measure(work.tx, work, whole, ends - timedelta(days=judged_by.days), ends)
        known = await process.open_by_unit(work.tx)
        for one in found:
            if one.idle and one.key not in known:
                share = one.now.done / one.now.due
                said = f"{one.unit.name}: done in {share:.1%} of {one.now.due} stays; {one.change.explanation} went on"
                evidence = [
                    {"name": "execution", "value": share, "unit": "1"},
                    {"name": "result_now", "value": one.now.advanced / one.now.due, "unit": "1"},
                    {"name": "result_before", "value": one.before.advanced / one.before.due, "unit": "1"},
                ]
                version = work.process.rulebooks.version(EffectRules, work.now)
                process.open_review(work, one.key, one.unit.result_metric, said, evidence, version, judged_by.task_kind)
