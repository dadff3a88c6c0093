"""Looks records through: what is doubtful is written down, what is doubtful no more is closed, lights follow."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Evidence, Light
from closedloop_chassis.work import Work
from closedloop_customers import asking, explanations
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.accounts.rules import AccountRules
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import store

TASK = "customers.stale_key_fields"


async def look_through(work: Work, account_ids: Collection[str] | None = None) -> bool:
    """Of these accounts, or of all; answers whether there was more to find than one look makes.

    A handful of round trips, however many accounts."""
    rules = work.rules(QualityRules)
    params = _params(work, rules, account_ids)
    work.tx.do(store.REOPEN, params)
    closed = await work.tx.all(store.fitted(store.CLOSE, account_ids), params)
    for row in closed:
        if row["tasked"]:
            asking.task_cleared(work, TASK, row["record_id"])
    found = await work.tx.all(store.fitted(store.FIND, account_ids), {**params, "rules": Jsonb(_because(work, rules))})
    await _ask_supervisors(work, rules, {row["record_id"]: row for row in found if row["tasked"]})
    lit = await relight(work, account_ids)
    return rules.largest_look in (len(found), lit)


async def relight(work: Work, account_ids: Collection[str] | None) -> int:
    """The lights of these accounts, or of all, as they are now. One round trip where none has changed."""
    rules = work.rules(QualityRules)
    other = await work.tx.all(store.fitted(store.OTHER_LIGHT, account_ids), _params(work, rules, account_ids))
    await accounts.set_lights(work, {row["id"]: row["light"] for row in other})
    return len(other)


async def still(work: Work, finding: store.Finding) -> bool:
    """Whether its cause stands. One round trip."""
    params = _params(work, work.rules(QualityRules), [finding.account_id])
    about = {"record_id": finding.record_id, "kind": finding.kind}
    return await work.tx.value(store.fitted(store.STILL, [finding.account_id]), params | about) is not None


async def _ask_supervisors(work: Work, rules: QualityRules, red: dict[str, dict[str, Any]]) -> None:
    if not red:
        return
    budget = work.calendars.budget(rules.task, "")
    rule = explanations.reference(_because(work, rules)["stale_key_fields"])
    for account in (await accounts.locked(work.tx, list(red))).values():
        days = (work.now - account.last_verify_at).days
        asking.task(
            work,
            kind="intervention",
            warning=TASK,
            origin_checks=True,
            subject_type="account",
            subject_id=account.id,
            title=f"{account.profile['name']} 的关键信息 {days} 天未更新",
            description="请安排负责人核实并更新客户关键信息，并注明依据的业务动作。",
            assignee="manager_of_owner",
            owner_id=account.owner_id,
            unit_id=account.unit_id,
            light=Light.LIGHT_RED,
            priority=tasks_pb2.TASK_PRIORITY_HIGH,
            account_id=account.id,
            due_time=work.calendars.add(work.now, budget, rules.task.calendar, account.unit_id),
            cause_time=red[account.id]["since_at"],
            evidence=[Evidence(name="days_without_update", value=days, unit="d")],
            rule=rule,
        )


def _because(work: Work, rules: QualityRules) -> dict[str, explanations.Explanation]:
    said = {
        "stale_record": ("stale_days", f"{rules.stale_days} 天未更新"),
        "silent": ("silent_days", f"{rules.silent_days} 天无有效互动"),
        "stale_key_fields": ("key_field_days", f"关键字段 {rules.key_field_days} 天未更新"),
        "missing_fields": ("required_fields", "必填字段为空"),
        "without_owner": ("owner", "负责人已离职或停用"),
        "job_changed": ("job_changed", "联系人职务已变动，接任者或新职务未知"),
    }
    return {kind: explanations.because(work, QualityRules, rule, why) for kind, (rule, why) in said.items()}


def _params(work: Work, rules: QualityRules, ids: Collection[str] | None) -> dict[str, Any]:
    return store.parameters(rules, work.rules(AccountRules).key_fields, work.now, ids)
