"""Conversion by response time, measured (S24: 70 % lower after 48 h, so the documents say)."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from statistics import median
from typing import Any

from closedloop.customers.v1 import leads_pb2 as pb
from closedloop_chassis import enums, protos
from closedloop_chassis.work import Call
from closedloop_customers import explanations, records, scoring
from closedloop_customers.leads import store
from closedloop_customers.leads.rules import ResponseRules

GROUP_BY = {"source": "source", "unit": "unit_id", "owner": "owner_id"}


async def measure(request: pb.GetResponseReportRequest, call: Call) -> pb.ResponseReport:
    rules = call.rules(ResponseRules)
    params = {
        **call.scope.params,
        **records.span(request.received, call.now),
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "sources": list(request.sources) or None,
    }
    by = GROUP_BY.get(enums.word(pb.ResponseBreakdown, request.breakdown), "")
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in await call.db.all(store.ANSWERED, params):
        groups[row[by] if by else ""].append(row)
    limit = rules.unanswered.budget(timedelta(days=1))
    why = f"首响时限 {rules.first_response.hours:g} 个工作小时，{limit / timedelta(hours=1):g} 小时报警"
    return pb.ResponseReport(
        groups=[_group(key, rows, rules, limit) for key, rows in sorted(groups.items())],
        rule=explanations.reference(explanations.because(call, ResponseRules, "report_hours", why)),
        time=protos.timestamp(call.now),
    )


def _group(key: str, rows: list[dict[str, Any]], rules: ResponseRules, limit: timedelta) -> pb.ResponseGroup:
    bounds = [timedelta(hours=hours) for hours in rules.report_hours]
    kept: list[list[dict[str, Any]]] = [[] for _ in range(len(bounds) + 1)]
    for row in rows:
        taken = row["took"]
        place = next((n for n, bound in enumerate(bounds) if taken is not None and taken <= bound), len(bounds))
        kept[place].append(row)
    answered = [row["took"] for row in rows if row["took"] is not None]
    within = [row for row in rows if row["took"] is not None and row["took"] <= limit]
    later = [row for row in rows if row["took"] is None or row["took"] > limit]
    early, late = _share(within), _share(later)
    enough = min(len(within), len(later)) >= rules.least_leads
    return pb.ResponseGroup(
        key=key,
        buckets=[_bucket(part, bound) for part, bound in zip(kept, [*bounds, None], strict=True)],
        leads=len(rows),
        in_time_ratio=sum(bool(row["in_time"]) for row in rows) / len(rows),
        median_response=protos.duration(median(answered)) if answered else None,
        alarms=sum(row["alarmed"] for row in rows),
        conversion_drop_ratio=1 - late / early if early and enough else 0.0,
        enough_data=enough,
    )


def _bucket(rows: list[dict[str, Any]], bound: timedelta | None) -> pb.ResponseBucket:
    converted = sum(row["converted"] for row in rows)
    low, high = scoring.wilson(converted, len(rows))
    return pb.ResponseBucket(
        upper_bound=protos.duration(bound) if bound is not None else None,
        leads=len(rows),
        converted=converted,
        won=sum(row["won"] for row in rows),
        conversion_ratio=_share(rows),
        conversion_low_ratio=low,
        conversion_high_ratio=high,
    )


def _share(rows: list[dict[str, Any]]) -> float:
    return sum(row["converted"] for row in rows) / len(rows) if rows else 0.0
