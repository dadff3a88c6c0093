"""Stock that lasts too long is somebody's to sell off: a task while it is so, called off by the data alone (S78, S102)."""

from __future__ import annotations

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.enums import number
from closedloop_chassis.work import Work
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import EconomicsRules
from closedloop_integrations.economics.turnover import LIGHTS, Stock, sentence

WARNING = "integrations.stock_days"
ORIGIN = "integrations"


def follow(work: Work, stock: Stock, light: str, previous: str) -> None:
    """Asks when a product's light goes beyond where it is warned from, and says that it is over when it is back."""
    least = LIGHTS.index(work.rules(EconomicsRules).stock.warn_from)
    warned, warns = LIGHTS.index(previous) >= least, LIGHTS.index(light) >= least
    if warns and LIGHTS.index(light) > LIGHTS.index(previous):
        work.tell(approvals.TaskRequested(content=_task(work, stock, light)), stock.product_id)
    elif warned and not warns:
        over = approvals.TaskWithdrawn(
            origin=ORIGIN,
            cause_key=f"{WARNING}:{stock.product_id}",
            reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
            clear_time=protos.timestamp(work.now),
            evidence=[_evidence(stock)],
        )
        work.tell(over, stock.product_id)


def _task(work: Work, stock: Stock, light: str) -> tasks_pb2.TaskContent:
    rules, root = work.rules(EconomicsRules).stock, work.home.root
    lasts = "近期没有销售" if stock.days is None else f"够卖 {stock.days:.0f} 天"
    return tasks_pb2.TaskContent(
        kind=rules.task_kind,
        title=f"库存周转过慢: {stock.product_id} {lasts}"[:200],
        description=f"健康线 {rules.lights.blue:g} 天以内: 请促销、调拨或停止补货。",
        assignee_role=rules.assignee,
        ownership=common_pb2.Ownership(owner_id=root.manager_id if root else "", unit_id=root.id if root else ""),
        origin=ORIGIN,
        cause_key=f"{WARNING}:{stock.product_id}",
        warning=WARNING,
        light=number(common_pb2.Light, light),
        subject_type="product",
        subject_id=stock.product_id,
        cause_time=protos.timestamp(work.now),
        evidence=[_evidence(stock)],
        rule=reference(work, "stock.lights", sentence(stock)),
        origin_checks=True,
    )


def _evidence(stock: Stock) -> common_pb2.Evidence:
    return common_pb2.Evidence(name="stock_days", value=stock.days or 0.0, unit="d", text=sentence(stock))
