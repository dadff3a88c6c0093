"""GetLeakReport: where a plan leaks (S4)."""

from __future__ import annotations

from fractions import Fraction

from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import errors, pages
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, amounts, company, holders, ledger
from closedloop_targets.book import versions
from closedloop_targets.book.model import Plan
from closedloop_targets.cascade.rules import REP
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import leak, shapes
from closedloop_targets.plans.rpcs import rpcs
from closedloop_targets.plans.rules import PlanRules

NODES = """
SELECT t.id, t.parent_id, t.holder_kind, t.holder_id, t.unit_id, t.owner_id, t.depth, t.minor, t.base_minor,
    t.currency, t.counts, t.weight,
       coalesce((SELECT e.state FROM sum_exception e WHERE e.target_id = t.id ORDER BY e.id DESC LIMIT 1),
           '') AS exception
  FROM target t
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s AND t.metric = %(metric)s
   AND (%(units)s::text[] IS NULL OR t.unit_id = ANY(%(units)s))
"""


@rpcs.method
async def get_leak_report(request: pb.GetLeakReportRequest, call: Call) -> pb.LeakReport:
    plan = await versions.plan(call.db, request.plan_id)
    if request.unit_id:
        await company.unit(call, request.unit_id)
        call.authorize("", request.unit_id)
    else:
        call.authorize(plan.owner_id, plan.unit_id)
    number = request.version or plan.version_in_force or plan.latest_version
    await versions.version(call.db, plan.id, number)
    units = list(call.org.subtree(request.unit_id)) if request.unit_id else None
    rows = await call.db.all(NODES, {"plan_id": plan.id, "number": number, "metric": request.metric, "units": units})
    if not rows:
        raise errors.NotFound("METRIC_NOT_IN_PLAN", f"version {number} has no targets of {request.metric!r}")
    currency = rows[0]["currency"]
    nodes = [
        leak.Node(
            **{name: value for name, value in row.items() if name not in ("currency", "weight")},
            weight=None if row["weight"] is None else Fraction(row["weight"]),
            kind=_kind(call, row["holder_kind"], row["unit_id"]),
        )
        for row in rows
    ]
    fairness, manner = _fairness(request.fair_share), aggregation.of(call, request.metric)
    history = await _history(call, plan, request.metric, nodes) if fairness == "history" else {}
    heads = leak.heads(nodes, fairness, history, call.rules(PlanRules).farthest_heads, manner)
    key = pages.after(request, -(2**62), "")
    ranked = [((-abs(one.difference), one.node.id), one) for one in leak.leaks(nodes, manner)]
    wanted = [row for row in ranked if list(row[0]) > key and (row[1].leaking or not request.leaking_only)]
    page, token = pages.split(wanted[: pages.size(request) + 1], request, lambda row: row[0])
    return pb.LeakReport(
        plan_id=plan.id,
        version=number,
        metric=request.metric,
        levels=[_level(one, currency) for one in leak.levels(nodes, manner)],
        heads=_heads(heads, currency),
        nodes=[_leak(one, currency) for _, one in page],
        next_page_token=token,
    )


def _kind(call: Call, holder_kind: str, unit_id: str) -> str:
    unit = call.org.unit(unit_id)
    return REP if holder_kind == "person" else unit.kind if unit else ""


def _fairness(value: int) -> leak.Fairness:
    known: dict[int, leak.Fairness] = {pb.FAIR_SHARE_HISTORY: "history", pb.FAIR_SHARE_EVEN_IN_TEAM: "even_in_team"}
    return known.get(value, "even")


async def _history(call: Call, plan: Plan, metric: str, nodes: list[leak.Node]) -> dict[str, int]:
    calendar = call.rules(FiscalCalendar)
    before = periods.year_before(periods.parse(plan.period, calendar), calendar)
    people = sorted({node.holder_id for node in nodes if node.holder_kind == "person"})
    asked = [ledger.Asked("person", person, metric, before.start, before.end) for person in people]
    return dict(zip(people, (minor or 0 for minor in await ledger.figures(call, call.db, asked)), strict=True))


def _level(one: leak.Level, currency: str) -> pb.LeakLevel:
    return pb.LeakLevel(
        kind=one.kind,
        depth=one.depth,
        node_count=one.node_count,
        received=amounts.amount(one.received, currency),
        passed_on=amounts.amount(one.passed_on, currency),
        difference=amounts.amount(one.difference, currency),
        difference_ratio=one.difference_ratio,
        cumulative_ratio=one.cumulative_ratio,
        padding=amounts.amount(one.padding, currency),
        excepted=amounts.amount(one.excepted, currency),
    )


def _leak(one: leak.Leak, currency: str) -> pb.LeakNode:
    return pb.LeakNode(
        target_id=one.node.id,
        holder=holders.to_proto(one.node.holder_kind, one.node.holder_id),
        owner_id=one.node.owner_id,
        received=amounts.amount(one.node.minor, currency),
        passed_on=amounts.amount(one.passed_on, currency),
        difference=amounts.amount(one.difference, currency),
        difference_ratio=one.difference_ratio,
        child_count=one.child_count,
        exception_state=shapes.exception_state(one.node.exception),
    )


def _heads(heads: leak.Heads, currency: str) -> pb.HeadDeviation:
    return pb.HeadDeviation(
        head_count=heads.count,
        lowest_ratio=heads.lowest_ratio,
        highest_ratio=heads.highest_ratio,
        mean_absolute_ratio=heads.mean_absolute_ratio,
        farthest=[
            pb.HeadShare(
                person_id=share.person_id,
                unit_id=share.unit_id,
                amount=amounts.amount(share.minor, currency),
                fair_share=amounts.amount(share.fair_minor, currency),
                deviation_ratio=share.deviation_ratio,
            )
            for share in heads.farthest
        ],
    )
