"""A warning comes to be, beside what its rule sets going by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.warnings import store
from closedloop_funnel.warnings.answerable import answerable
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.warnings.rules import LIGHTS, KindWord
from closedloop_funnel.words import word


def raise_all(work: Work, warnings: Iterable[Warning]) -> None:
    """Queues one statement for all. Of one kind and subject there is one unsettled warning: the darkest stands."""
    darkest: dict[tuple[str, str], Warning] = {}
    for one in warnings:
        other = darkest.get((one.kind, one.subject_id))
        if other is None or LIGHTS.index(one.light) > LIGHTS.index(other.light):
            darkest[one.kind, one.subject_id] = one
    if darkest:
        given = [darkest[key] for key in sorted(darkest)]
        work.tx.do(store.RAISE, {"rows": rows.pack(given)})


def of_task(
    kind: KindWord, content: tasks_pb2.TaskContent, work: Work, *, name: str = "", context: dict[str, Any] | None = None
) -> Warning:
    """The warning behind a task: same subject, same numbers, and whoever gets the task has to act."""
    return warning(
        kind,
        work,
        light=word(common_pb2.Light, content.light) or "yellow",
        subject=(content.subject_type, content.subject_id, name or content.title),
        about=(content.ownership.owner_id, content.ownership.unit_id),
        assignee=content.assignee_role,
        evidence=[evidence(one.name, one.value, one.unit, one.text) for one in content.evidence],
        rule=content.rule,
        automatic_action=f"task: {content.title}",
        task_cause_key=content.cause_key,
        context=context,
    )


def warning(
    kind: KindWord,
    work: Work,
    *,
    light: str,
    subject: tuple[str, str, str],
    about: tuple[str, str],
    assignee: str,
    evidence: list[dict[str, Any]],
    rule: common_pb2.RuleReference,
    automatic_action: str = "",
    task_cause_key: str = "",
    context: dict[str, Any] | None = None,
) -> Warning:
    """`subject`: type, id, name; `about`: whose matter it is and of which unit; `assignee`: who acts, in a task's words."""
    return Warning(
        id=new_id(),
        kind=kind,
        light=light,
        subject_type=subject[0],
        subject_id=subject[1],
        subject_name=subject[2],
        owner_id=answerable(assignee, *about, work),
        unit_id=about[1],
        evidence=evidence,
        rulebook=rule.rulebook,
        rule=rule.rule,
        rule_version=rule.version,
        explanation=rule.explanation,
        automatic_action=automatic_action,
        task_cause_key=task_cause_key,
        context=context or {},
        raised_at=work.now,
    )


def evidence(name: str, value: float, unit: str, text: str = "") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "text": text}
