"""Step 2: a target that is SMART, the leak on its way down, and the leak closed."""

from __future__ import annotations

from closedloop.targets.v1 import (
    cascade_pb2,
    cascade_pb2_grpc,
    periods_pb2,
    plans_pb2,
    plans_pb2_grpc,
)
from closedloop_chassis import ids
from closedloop_devstack.demo import company, rows
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale, yuan

PERIOD = "2026-Q1"
METRIC = "won_value"
LEVELS = {"company": "公司", "region": "大区", "area": "片区", "team": "小组", "rep": "代表"}


def play(tale: Tale) -> None:
    plans = tale.stage.stub(plans_pb2_grpc.PlanServiceStub, OPERATIONS)
    plan = plans.CreatePlan(
        plans_pb2.CreatePlanRequest(
            request_id=ids.new_id(),
            name="2026 年一季度销售计划",
            unit_id=company.ROOT,
            period=PERIOD,
            currency_code="CNY",
            owner_id="M-CO",
            strategy="以柔性产线打开新能源与教育市场",
        )
    )
    tale.threads.plan_id = plan.id
    _smart(tale, plans, plan.id)
    before = _leak(tale, plans, plan.id)
    after = _closed(tale, plans, plan.id)
    tale.figures("人均目标偏差", "deviation per head", _heads(before), _heads(after))
    tale.figures(
        "落到代表的目标合计",
        "what reaches the reps",
        yuan(before.levels[-1].passed_on.money),
        yuan(after.levels[-1].passed_on.money),
    )
    _published(tale, plans, plan.id)
    tale.close(
        Text("目标层层衰减：1.2 亿到代表只剩 9300 万", "The target leaks on its way down: 120 M become 93 M"),
        Text(
            "必须加总才可发布；分解到 176 人，一分不差",
            "Publishing demands the exact sum; cascaded to 176 heads, exact to the fen",
        ),
    )


def _smart(tale: Tale, plans: plans_pb2_grpc.PlanServiceStub, plan_id: str) -> None:
    tale.rule(
        "targets",
        "targets.smart",
        "目标必须 SMART；增长以历史与商机为证",
        "a target is SMART; growth is held against history and pipeline",
    )
    vague, real = (
        plans_pb2.TargetInput(statement="提升业绩 improve results"),
        plans_pb2.TargetInput(statement="Q1 华东大区 +20%"),
    )
    asked = plans_pb2.CheckTargetsRequest(plan_id=plan_id, targets=[vague, real])
    first, second = plans.CheckTargets(asked).checks
    letters = [plans_pb2.SmartLetter.Name(letter).removeprefix("SMART_LETTER_").lower() for letter in first.failed]
    tale.tell("有人写下目标“提升业绩”。", "Somebody writes the target “improve results”.")
    for finding in first.findings:
        if not finding.passed:
            tale.tell(f"  不通过：{finding.statement}", f"  fails: {finding.statement}")
    with tale.stage.refused("FAILED_PRECONDITION", "NOT_SMART") as refusal:
        plans.SetTarget(plans_pb2.SetTargetRequest(request_id=ids.new_id(), plan_id=plan_id, version=1, target=vague))
    named = (refusal.metadata or {}).get("letters", "")
    tale.facts(vague_target={"failed": letters, "refused_with": refusal.reason, "letters": named})
    tale.check(
        f"被拒绝，并指出不合格的字母：{named}",
        f"refused, and the failing letters are named: {named}",
        not first.passed and bool(named),
    )
    tale.check("“Q1 华东大区 +20%”五个字母全部通过", "“Q1, East China, +20 %” passes all five letters", second.passed)
    tale.ruled(second.rule)


def _leak(tale: Tale, plans: plans_pb2_grpc.PlanServiceStub, plan_id: str) -> plans_pb2.LeakReport:
    given = list(rows.targets(tale.company, tale.company.leaking_targets(), PERIOD))
    tale.tell(
        "各级照老办法用表格往下分，逐级报进系统。",
        "Every level passes the target on by spreadsheet, the old way, and enters it.",
    )
    loaded = plans.ImportTargets(
        plans_pb2.ImportTargetsRequest(request_id=ids.new_id(), plan_id=plan_id, version=1, targets=given)
    )
    problems = "; ".join(f"{error.row}: {error.message}" for error in loaded.errors[:3])
    tale.check(
        f"{loaded.created} 个目标已录入 {problems}",
        f"{loaded.created} targets are entered {problems}",
        loaded.created == len(given),
    )
    report = _report(plans, plan_id)
    for level in report.levels[1:]:
        zh, share = LEVELS.get(level.kind, level.kind), f"{level.difference_ratio:+.1%}"
        tale.tell(
            f"{zh}：应收 {yuan(level.received.money)}，下达 {yuan(level.passed_on.money)}（{share}）",
            f"{level.kind}: received {yuan(level.received.money)}, passed on {yuan(level.passed_on.money)} ({share})",
        )
    by_kind = {level.kind: level for level in report.levels}
    tale.facts(
        leak={
            level.kind: {"passed_on": yuan(level.passed_on.money), "difference_ratio": round(level.difference_ratio, 4)}
            for level in report.levels
        },
        heads={
            "count": report.heads.head_count,
            "lowest": report.heads.lowest_ratio,
            "highest": report.heads.highest_ratio,
        },
    )
    passed = [rows.fen(by_kind[kind].passed_on.money) for kind in ("company", "region", "area", "rep")]
    tale.check(
        "漏损复现：1.2 亿 → 1.08 亿（-10%）→ 9300 万（-14%）",
        "the leak of the documents: 120 M → 108 M (-10 %) → 93 M (-14 %)",
        passed == [company.TOP, company.REGIONS_GOT, company.AREAS_GOT, company.AREAS_GOT]
        and round(by_kind["region"].difference_ratio, 2) == -0.10
        and round(by_kind["area"].difference_ratio, 2) == -0.14,
    )
    tale.check(
        f"{report.heads.head_count} 名代表，人均偏差 {_heads(report)}",
        f"{report.heads.head_count} heads, {_heads(report)} from a fair share",
        report.heads.head_count == company.HEADS
        and round(report.heads.lowest_ratio, 2) == -company.FARTHEST
        and round(report.heads.highest_ratio, 2) == company.FARTHEST,
    )
    version = plans.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan_id, version=1))
    with tale.stage.refused("FAILED_PRECONDITION", "PLAN_DOES_NOT_SUM") as refusal:
        plans.PublishPlanVersion(
            plans_pb2.PublishPlanVersionRequest(request_id=ids.new_id(), plan_id=plan_id, version=1, etag=version.etag)
        )
    tale.rule(
        "targets",
        "targets.plans",
        "下级之和必须等于上级，否则须签字例外",
        "children sum to their parent, or an exception is signed",
    )
    tale.check(
        f"发布被拒绝：{refusal.message}", f"publishing is refused: {refusal.message}", version.obstacle_count > 0
    )
    return report


def _closed(tale: Tale, plans: plans_pb2_grpc.PlanServiceStub, plan_id: str) -> plans_pb2.LeakReport:
    [top] = plans.ListTargets(
        plans_pb2.ListTargetsRequest(plan_id=plan_id, version=1, unit_id=company.ROOT, max_depth=1, page_size=1)
    ).targets
    cascades = tale.stage.stub(cascade_pb2_grpc.CascadeServiceStub, OPERATIONS)
    even = cascade_pb2.TreeRule(method=cascade_pb2.ALLOCATION_METHOD_EVEN)
    tale.tell(
        "运营改由系统分解：按人头、按工作日，逐级精确到分。",
        "Operations lets the system cascade it: by heads, by working days, exact at every node.",
    )
    run = cascades.RunCascade(
        cascade_pb2.RunCascadeRequest(
            request_id=ids.new_id(), target_id=top.id, etag=top.etag, rules=cascade_pb2.CascadeRules(tree=[even])
        )
    )
    tale.facts(cascade={"nodes": run.node_count, "cells": run.cell_count, "allocated": yuan(run.allocated.money)})
    tale.check(
        f"{run.node_count} 个节点、{run.cell_count} 个月/双周/周单元，合计 {yuan(run.allocated.money)}",
        f"{run.node_count} nodes, {run.cell_count} cells of months, fortnights and weeks: {yuan(run.allocated.money)}",
        rows.fen(run.allocated.money) == company.TOP,
    )
    report = _report(plans, plan_id)
    tale.check(
        "每一级收到多少就下达多少",
        "every level passes on exactly what it received",
        all(rows.fen(level.difference.money) == 0 for level in report.levels)
        and rows.fen(report.levels[-1].passed_on.money) == company.TOP,
    )
    _grains(tale, cascades, plan_id)
    _by_product(tale, cascades, plans, plan_id)
    return report


def _grains(tale: Tale, cascades: cascade_pb2_grpc.CascadeServiceStub, plan_id: str) -> None:
    """One rep's quarter in months, fortnights and weeks."""
    rep = tale.company.reps[0]
    sums: dict[str, int] = {}
    for name in ("MONTH", "FORTNIGHT", "WEEK"):
        grain = periods_pb2.PeriodGrain.Value(f"PERIOD_GRAIN_{name}")
        asked = cascade_pb2.ListCellsRequest(plan_id=plan_id, version=1, person_id=rep.id, grain=grain, page_size=100)
        cells = cascades.ListCells(asked).cells
        sums[name.lower()] = sum(rows.fen(cell.amount.money) for cell in cells)
        if name == "MONTH":
            shown = "，".join(f"{cell.period.code} {yuan(cell.amount.money)}" for cell in cells)
            tale.tell(f"{rep.name} 的一季度：{shown}", f"{rep.name}'s quarter: {shown.replace('，', ', ')}")
    tale.facts(one_rep={"person": rep.id, **{grain: yuan(total) for grain, total in sums.items()}})
    tale.check(
        "月、双周、周三种颗粒度各自加总相等",
        "months, fortnights and weeks each add up to the same quarter",
        len(set(sums.values())) == 1,
    )


def _by_product(
    tale: Tale, cascades: cascade_pb2_grpc.CascadeServiceStub, plans: plans_pb2_grpc.PlanServiceStub, plan_id: str
) -> None:
    """What the life-cycle weights would make of the same target, without doing it (S16)."""
    [top] = plans.ListTargets(
        plans_pb2.ListTargetsRequest(plan_id=plan_id, version=1, unit_id=company.ROOT, max_depth=1, page_size=1)
    ).targets
    chosen = ("P-103", "P-201", "P-301")
    rules = cascade_pb2.CascadeRules(
        levels=1,
        product=cascade_pb2.ProductRule(
            method=cascade_pb2.ALLOCATION_METHOD_EVEN, product_ids=chosen, weigh_by_stage=True
        ),
    )
    preview = cascades.PreviewCascade(cascade_pb2.PreviewCascadeRequest(target_id=top.id, rules=rules, page_size=1000))
    got = dict.fromkeys(chosen, 0)
    for one in preview.allocations:
        if one.holder.unit_id != company.ROOT and one.parent.unit_id == company.ROOT:
            got[one.scope.product_id] += rows.fen(one.amount.money)
    tale.facts(by_product={product: yuan(total) for product, total in got.items()})
    ratios = [round(total / max(got.values()), 2) for total in got.values()]
    tale.check(
        f"按产品预演：导入期、成长期、成熟期之比 {ratios}",
        f"previewed by product: introduction, growth, mature as {ratios}",
        ratios == [0.7, 1.0, 0.9] and sum(got.values()) == company.TOP,
    )


def _published(tale: Tale, plans: plans_pb2_grpc.PlanServiceStub, plan_id: str) -> None:
    version = plans.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan_id, version=1))
    said = "; ".join(obstacle.message for obstacle in version.obstacles[:3])
    tale.check(f"发布前无障碍 {said}", f"nothing stands in the way of publishing {said}", version.obstacle_count == 0)
    plans.PublishPlanVersion(
        plans_pb2.PublishPlanVersionRequest(request_id=ids.new_id(), plan_id=plan_id, version=1, etag=version.etag)
    )
    plan = plans.GetPlan(plans_pb2.GetPlanRequest(plan_id=plan_id))
    tale.check("计划已发布并生效", "the plan is published and in force", plan.version_in_force == 1)


def _report(plans: plans_pb2_grpc.PlanServiceStub, plan_id: str) -> plans_pb2.LeakReport:
    return plans.GetLeakReport(plans_pb2.GetLeakReportRequest(plan_id=plan_id, version=1, metric=METRIC))


def _heads(report: plans_pb2.LeakReport) -> str:
    farthest = max(-report.heads.lowest_ratio, report.heads.highest_ratio)
    return f"±{farthest:.1%}"


CHAPTER = Chapter(
    id="2",
    title=Text("目标：SMART、漏损、闭合、发布", "The target: SMART, leaking, closed, published"),
    rows=("S1", "S2", "S4", "S16"),
    play=play,
    needs=("1",),
    timeless=Text("没有时限：发布当场被拒绝或完成", "no clock: publishing is refused or done at once"),
)
