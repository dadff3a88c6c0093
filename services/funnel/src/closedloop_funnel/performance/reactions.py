"""The week before, judged on Monday morning: told to targets, and its consequences set going once (S57-S60)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Scope, Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.performance import measuring, stars, store, told
from closedloop_funnel.performance.measuring import WEEK, Judged
from closedloop_funnel.performance.rules import METRICS, MetricWord, PerformanceRules
from closedloop_funnel.performance.store import Kept
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.words import number

MORNING = "funnel.performance"
EVERYBODY = {
    **Scope(company=True, owner_id="", unit_ids=frozenset()).params,
    "owner": "",
    "units": None,
}

reactions = Reactions()


@every_day(reactions, MORNING, lambda work: work.rules(PerformanceRules).hour)
async def judge_week(work: Work) -> None:
    """Every morning looks for the last whole week; what was judged already stays as it was."""
    if work.home.today().day == work.rules(PerformanceRules).star_monthly_day:
        await stars.warn(work)
    week = measuring.monday(work.now, work) - WEEK
    known = {(row["person_id"], row["key"]) for row in await work.tx.all(store.KNOWN, {"week": week})}
    if not known:
        found = await measuring.measure(work.tx, work, EVERYBODY, week, week, by_person=True)
        await _keep([*found, *await told.measure(work.tx, work, week, found)], work)


async def _keep(found: Sequence[Judged], work: Work) -> None:
    by_person: defaultdict[str, list[Judged]] = defaultdict(list)
    for one in found:
        by_person[one.group_key].append(one)
    kept, warned = [], []
    for person_id, metrics in by_person.items():
        person = work.org.person(person_id)
        unit_id = person.unit_id if person else ""
        work.tell(_measured(person_id, unit_id, metrics, work), person_id)
        for one in metrics:
            kept.append(_row(one, unit_id, work))
            if one.consequence:
                warned.append(_warning(one, unit_id, work))
            if one.consequence and one.rule.task_kind and one.key != "proposals_made":
                work.tell(_task(one, unit_id, work), person_id)
    raising.raise_all(work, warned)
    if kept:
        work.tx.do(store.KEEP, {"rows": rows.pack(kept)})
    short = [one for one in found if one.key == "proposals_made" and one.consequence]
    if short:
        await _consultants(short, work)


async def _consultants(short: Sequence[Judged], work: Work) -> None:
    """Every deal that went on without a custom proposal gets a senior consultant (S59)."""
    params: dict[str, Any] = {
        **measuring.expected(work),
        "from": work.home.moment(short[0].week),
        "to": work.home.moment(short[0].week + WEEK),
        "owners": [one.group_key for one in short],
    }
    rule = short[0].rule
    for deal in await work.tx.all(store.MISSED, params):
        content = tasks_pb2.TaskContent(
            kind=rule.task_kind,
            title=f"缺定制方案: {deal['name']}"[:200],
            description="该商机未提交定制方案即进入下一阶段, 请资深顾问支援",
            assignee_role=rule.assignee,
            ownership=common_pb2.Ownership(owner_id=deal["owner_id"], unit_id=deal["unit_id"]),
            origin="funnel",
            cause_key=f"funnel.proposals_made:{deal['id']}",
            warning="funnel.proposals_made",
            subject_type="opportunity",
            subject_id=deal["id"],
            account_id=deal["account_id"] or "",
            opportunity_id=deal["id"],
            cause_time=protos.timestamp(work.now),
        )
        work.tell(approvals.TaskRequested(content=content), deal["id"])


def _task(one: Judged, unit_id: str, work: Work) -> approvals.TaskRequested:
    said = f"{one.rule.name} {one.value:.3g}, 健康线 {one.rule.healthy:g}, 连续 {one.weeks_beyond} 周低于要求"
    content = tasks_pb2.TaskContent(
        kind=one.rule.task_kind,
        title=f"{one.rule.name}: {one.group_key}"[:200],
        description=said,
        assignee_role=one.rule.assignee,
        ownership=common_pb2.Ownership(owner_id=one.group_key, unit_id=unit_id),
        origin="funnel",
        cause_key=f"funnel.{one.key}:{one.group_key}:{one.week}",
        warning=f"funnel.{one.key}",
        light=number(common_pb2.Light, one.light),
        subject_type="person",
        subject_id=one.group_key,
        cause_time=protos.timestamp(work.now),
        evidence=[
            common_pb2.Evidence(name=one.key, value=one.value, unit=one.rule.unit, text=said),
            common_pb2.Evidence(name="healthy", value=one.rule.healthy, unit=one.rule.unit),
        ],
        origin_checks=True,
    )
    return approvals.TaskRequested(content=content)


def _warning(one: Judged, unit_id: str, work: Work) -> Warning:
    """With the task it raised; what raises none says what follows instead."""
    content = _task(one, unit_id, work).content
    content.rule.CopyFrom(
        common_pb2.RuleReference(
            rulebook=PerformanceRules.rulebook,
            version=work.process.rulebooks.version(PerformanceRules, work.now),
            rule=f"metrics.{one.key}",
            explanation=content.description,
        )
    )
    person = work.org.person(one.group_key)
    raised = raising.of_task(cast(MetricWord, one.key), content, work, name=person.name if person else one.group_key)
    if not one.rule.task_kind or one.key == "proposals_made":
        return replace(raised, task_cause_key="", automatic_action=one.consequence)
    return raised


def _row(one: Judged, unit_id: str, work: Work) -> Kept:
    return Kept(
        person_id=one.group_key,
        week=one.week,
        key=one.key,
        unit_id=unit_id,
        value=one.value,
        sample_size=one.cases,
        light=one.light,
        weeks_beyond=one.weeks_beyond,
        consequence=one.consequence,
        measured_at=work.now,
    )


def _measured(person_id: str, unit_id: str, metrics: Sequence[Judged], work: Work) -> events.ProcessMetricsMeasured:
    version = work.process.rulebooks.version(PerformanceRules, work.now)
    return events.ProcessMetricsMeasured(
        person_id=person_id,
        unit_id=unit_id,
        week=protos.date_proto(metrics[0].week),
        version=1,
        metrics=[
            events.MeasuredMetric(
                key=one.key,
                value=one.value,
                unit=one.rule.unit,
                sample_size=one.cases,
                light=number(common_pb2.Light, one.light),
                rule=common_pb2.RuleReference(
                    rulebook=PerformanceRules.rulebook,
                    version=version,
                    rule=f"metrics.{one.key}" if one.key in METRICS else "told",
                ),
            )
            for one in metrics
        ],
    )
