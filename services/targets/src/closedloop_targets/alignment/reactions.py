"""The board of the company is taken every morning; once a week whoever answers for a lagging department is warned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time

from psycopg.types.json import Jsonb

from closedloop.targets.v1 import events_pb2
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets import amounts
from closedloop_targets.alarms import raising
from closedloop_targets.alarms.raising import Finding
from closedloop_targets.alignment import measuring, rules, store
from closedloop_targets.alignment.measuring import Figure
from closedloop_targets.alignment.rules import AlignmentRules
from closedloop_targets.boards import asking
from closedloop_targets.boards.asking import Question
from closedloop_targets.periods.rules import DAY

ALIGNMENT_DAY = "targets.alignment_day"
COMPANY = "company"
BOARD = "alignment"

reactions = Reactions()


@reactions.on(events_pb2.PlanPublished)
async def plan_published(event: Heard[events_pb2.PlanPublished], work: Work) -> None:
    _next_morning(work)


@reactions.timer(ALIGNMENT_DAY)
async def morning(_: Sequence[Rung], work: Work) -> None:
    top = work.home.root
    if top is not None:
        asked = asking.question(work, "", "")
        found, attainment = await measuring.figures(work, work.tx, top.id, asked)
        _keep(work, top.id, asked, found, attainment)
        if asked.today.isoweekday() == work.rules(AlignmentRules).weekday:
            await _warn(work, top.id, asked, found)
    _next_morning(work)


def _keep(work: Work, unit_id: str, asked: Question, found: Sequence[Figure], attainment: float | None) -> None:
    work.tx.do(
        store.KEEP,
        {
            "board": BOARD,
            "date": asked.today,
            "metric": asked.metric,
            "period": asked.period.code,
            "unit_id": unit_id,
            "now": work.now,
            "positions": list(range(len(found))),
            "holder_ids": [f"{one.metric.code}:{one.neighbour.department_id}" for one in found],
            "lights": [measuring.severity(one) + 1 for one in found],
            "data": [measuring.line(work, one, unit_id, asked, attainment).SerializeToString() for one in found],
            "figures": [Jsonb(measuring.figures_of(work, one, attainment)) for one in found],
        },
    )


async def _warn(work: Work, unit_id: str, asked: Question, found: Sequence[Figure]) -> None:
    allowed = work.rules(AlignmentRules)
    findings, in_order = [], []
    for one in found:
        finding = _finding(work, unit_id, asked, one)
        if rules.warns(one.light, allowed):
            findings.append(finding)
        elif one.value is not None:
            in_order.append(finding.cause_key)
    await raising.clear(work, in_order)
    await raising.raise_(work, findings)


def _finding(work: Work, unit_id: str, asked: Question, one: Figure) -> Finding:
    """The department's leader answers; without a department whoever owns the metric, else whoever leads the company."""
    holder = one.neighbour.department_id or unit_id
    leader = work.org.manager_of(holder)
    owner = one.metric.owner_id if not one.neighbour.department_id else ""
    currency = work.home.currency if one.metric.kind == "money" else ""
    value, target = one.value or 0, one.target or 0
    return Finding(
        kind="alignment",
        light=one.light,
        owner_id=owner or (leader.id if leader else ""),
        unit_id=holder,
        holder_kind="unit",
        holder_id=holder,
        metric=one.metric.code,
        period=asked.period.code,
        start_date=asked.period.start,
        end_date=asked.period.end,
        message=f"{one.metric.name}: {amounts.words(value, currency)} where {amounts.words(target, currency)} is the target",
        rule=f"{one.light}_beyond",
        rule_version=work.process.rulebooks.version(AlignmentRules, work.now),
        actual=value,
        reference=target,
        currency=currency,
        deviation_ratio=value / target - 1 if target else 0.0,
        subject=one.metric.code,
    )


def _next_morning(work: Work) -> None:
    """One timer for the company; one that is set stays."""
    hour, day = time(work.rules(AlignmentRules).hour), work.home.today()
    moment = work.home.moment(day, hour)
    if moment <= work.now:
        moment = work.home.moment(day + DAY, hour)
    work.timers.set(ALIGNMENT_DAY, COMPANY, moment)
