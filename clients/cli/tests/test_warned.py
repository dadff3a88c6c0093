"""The page of warnings: what several services know of one is one line, and nothing counts as mended that no data says is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import LIGHT_RED, LIGHT_YELLOW, Evidence, Ownership
from closedloop.customers.v1 import quality_pb2
from closedloop.funnel.v1 import warnings_pb2
from closedloop.platform.v1 import platform_pb2
from closedloop.targets.v1 import alarms_pb2
from closedloop_chassis import protos
from closedloop_cli.warned import line, reading
from closedloop_cli.warned.line import Line

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
DONE, OPEN, WITHDRAWN = tasks_pb2.TASK_STATE_DONE, tasks_pb2.TASK_STATE_OPEN, tasks_pb2.TASK_STATE_WITHDRAWN


def task(cause: str, days: float = 0, *, origin: str = "customers", subject: str = "", **given: Any) -> Line:
    content = tasks_pb2.TaskContent(
        title="请处理", origin=origin, cause_key=cause, warning=cause.partition(":")[0], light=LIGHT_RED,
        subject_type="alarm" if subject else "account", subject_id=subject,
    )  # fmt: skip
    given = {"state": OPEN, "effect": tasks_pb2.TASK_EFFECT_NOT_CHECKED} | given
    raised = protos.timestamp(MONDAY + timedelta(days=days))
    return reading.of_task(
        tasks_pb2.Task(id=f"task-{cause}-{days}", content=content, assignee_id="lead", raise_time=raised, **given)
    )


def warned(state: int, cause: str = "funnel.stage_dwell:D1", days: float = 0, **given: Any) -> Line:
    return reading.of_funnel(
        warnings_pb2.Warning(
            id=f"w{days}", kind=warnings_pb2.WARNING_KIND_STAGE_DWELL, state=state, light=LIGHT_YELLOW,  # type: ignore[arg-type]
            subject_name="换线项目", ownership=Ownership(owner_id="lead", unit_id="east"), task_cause_key=cause,
            raise_time=protos.timestamp(MONDAY + timedelta(days=days)), **given,
        )
    )  # fmt: skip


def alarm(state: int, *, worked: bool | None = None, **given: Any) -> Line:
    check = alarms_pb2.EffectCheck(verdict="from 12 % to 3 %")
    if worked is not None:
        check.worked = worked
    return reading.of_alarm(
        alarms_pb2.Alarm(
            id="A1", kind=alarms_pb2.ALARM_KIND_DEVIATION, state=state, light=LIGHT_RED,  # type: ignore[arg-type]
            ownership=Ownership(owner_id="rep1"), raise_time=protos.timestamp(MONDAY), checks=[check], **given,
        )
    )  # fmt: skip


def finding(state: int, by: str = "") -> Line:
    return reading.of_finding(
        quality_pb2.Finding(
            id="F1", account_name="Acme", kind=quality_pb2.FINDING_KIND_STALE_KEY_FIELDS, state=state,  # type: ignore[arg-type]
            light=LIGHT_RED, ownership=Ownership(owner_id="rep1"), since_time=protos.timestamp(MONDAY),
            task_cause_key="customers.stale_key_fields:ACME", resolved_by=by,
        )
    )  # fmt: skip


@pytest.mark.mission("S102")
def test_what_a_task_and_its_origin_know_of_a_warning_is_one_line() -> None:
    cause = "funnel.stage_dwell:D1"
    settled = task(cause, 0.0001, origin="funnel", state=DONE, outcome="done", outcome_comment="已督促",
                   effect=tasks_pb2.TASK_EFFECT_WORKED)  # fmt: skip
    failed = warned(
        warnings_pb2.WARNING_STATE_FAILED, action="done · 已督促", outcome=[Evidence(name="dwell", value=9, unit="d")]
    )
    [one] = line.merged([failed], [settled])
    assert (one.result, one.told, one.action, one.owner_id) == ("did_not_work", "dwell 9 d", "done · 已督促", "lead")
    # Warned of the same a month later: each time is a line of its own, and the task belongs to the one before it.
    later = warned(warnings_pb2.WARNING_STATE_OPEN, days=20)
    lines = line.merged([failed, later], [settled])
    assert [(each.id, each.result) for each in lines] == [("w20", "open"), ("w0", "did_not_work")]
    # Another service's task of the same words is another warning.
    assert len(line.merged([failed], [task(cause)])) == 2


@pytest.mark.mission("S102")
@pytest.mark.parametrize(
    ("own", "tasks", "result"),
    [
        (alarm(alarms_pb2.ALARM_STATE_ANSWERED), [], "cannot_say"),
        (alarm(alarms_pb2.ALARM_STATE_RESOLVED, worked=True), [], "worked"),
        (alarm(alarms_pb2.ALARM_STATE_OPEN, worked=False), [], "did_not_work"),
        (alarm(alarms_pb2.ALARM_STATE_LAPSED), [], "gone"),
        (alarm(alarms_pb2.ALARM_STATE_OPEN), [task("x", origin="targets", subject="A1")], "open"),
        (alarm(alarms_pb2.ALARM_STATE_OPEN), [task("x", origin="targets", subject="A1", state=DONE)], "cannot_say"),
        (finding(quality_pb2.FINDING_STATE_OPEN), [], "open"),
        (finding(quality_pb2.FINDING_STATE_RESOLVED, "customers"), [], "gone"),
        (finding(quality_pb2.FINDING_STATE_RESOLVED, "rep1"), [], "worked"),
        (
            finding(quality_pb2.FINDING_STATE_RESOLVED, "customers"),
            [task("customers.stale_key_fields:ACME", state=DONE, effect=tasks_pb2.TASK_EFFECT_WORKED)],
            "worked",
        ),
        (
            finding(quality_pb2.FINDING_STATE_OPEN),
            [task("customers.stale_key_fields:ACME", state=DONE, effect=tasks_pb2.TASK_EFFECT_PENDING)],
            "cannot_say",
        ),
        (
            finding(quality_pb2.FINDING_STATE_OPEN),
            [task("customers.stale_key_fields:ACME", state=WITHDRAWN)],
            "open",
        ),
    ],
)  # fmt: skip
def test_whether_it_worked_is_what_the_data_says(own: Line, tasks: list[Line], result: str) -> None:
    [one] = line.merged([own], tasks)
    assert one.result == result


@pytest.mark.mission("S102")
def test_a_task_alone_and_a_limit_that_passed_stand_for_themselves() -> None:
    stock = task("integrations.stock_days:B86", origin="integrations", state=DONE, outcome_comment="促销",
                 effect=tasks_pb2.TASK_EFFECT_PENDING)  # fmt: skip
    limit = platform_pb2.Clock(id="c1", kind="approvals.decision", owner_id="boss", due_time=protos.timestamp(MONDAY))
    late = reading.of_clock("approvals", limit)
    limit.answer_time.CopyFrom(protos.timestamp(MONDAY + timedelta(hours=3)))
    lines = line.merged([late, reading.of_clock("customers", limit)], [stock])
    told = {(each.service, each.kind): (each.result, each.action) for each in lines}
    assert told == {
        ("integrations", "integrations.stock_days"): ("cannot_say", "促销"),
        ("approvals", "approvals.decision"): ("open", ""),
        ("customers", "approvals.decision"): ("worked", ""),
    }
