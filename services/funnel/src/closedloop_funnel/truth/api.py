"""TruthService: findings, people's word on them, and claims against truth (S45, S50, S51)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import truth_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.points.earning import take_back
from closedloop_funnel.truth import scanning, store
from closedloop_funnel.truth.rules import TruthRules
from closedloop_funnel.truth.store import Finding
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.TruthService")


@rpcs.method
async def list_findings(request: pb.ListFindingsRequest, call: Call) -> pb.ListFindingsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "activity": request.activity_id or None,
        "kinds": [word(pb.FindingKind, kind) for kind in request.kinds] or None,
        "state": word(pb.FindingState, request.state),
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListFindingsResponse(findings=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def get_finding(request: pb.GetFindingRequest, call: Call) -> pb.Finding:
    found = await store.get(call.db, request.finding_id)
    call.authorize(found.owner_id, found.unit_id)
    return _to_proto(found)


@rpcs.method
async def answer_finding(request: pb.AnswerFindingRequest, call: Call) -> pb.Finding:
    before = await _open(request.finding_id, request.etag, call)
    return _save(before, replace(before, answer=request.answer), "answer", call)


@rpcs.method
async def review_finding(request: pb.ReviewFindingRequest, call: Call) -> pb.Finding:
    before = await _open(request.finding_id, request.etag, call)
    if before.owner_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_FINDING", "nobody judges himself")
    verdict = word(pb.FindingState, request.verdict)
    if verdict == "open":
        raise errors.InvalidArgument("VERDICT_OPEN", "confirm it or dismiss it", {"verdict": "is none"})
    after = replace(
        before, state=verdict, reviewer_id=call.caller.subject, comment=request.comment, reviewed_at=call.now
    )
    answer = _save(before, after, verdict, call)
    await scanning.settle(call, [after.activity_id])
    if verdict == "confirmed" and after.kind in call.rules(TruthRules).marking:
        await take_back(call, after.activity_id, f"finding {after.id} was confirmed")
    return answer


async def _open(finding_id: str, etag: str, call: Call) -> Finding:
    found = await store.lock(call.tx, finding_id)
    call.authorize(found.owner_id, found.unit_id)
    etags.check(etag, found.version)
    if found.state != "open":
        raise errors.FailedPrecondition("FINDING_SETTLED", f"it was {found.state} by {found.reviewer_id}")
    return found


def _save(before: Finding, after: Finding, action: str, call: Call) -> pb.Finding:
    after = replace(after, version=before.version + 1)
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.audit(after.id, action, rows.row(before, "version"), rows.row(after, "version"))
    return _to_proto(after)


@rpcs.method
async def scan_activities(request: pb.ScanActivitiesRequest, call: Call) -> pb.ScanActivitiesResponse:
    begins = protos.instant(request.period.start_time, "period.start_time")
    ends = protos.instant(request.period.end_time, "period.end_time")
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    units = list(call.org.subtree(request.unit_id)) if request.unit_id else None
    owners = await call.tx.all(store.OWNERS, {"from": begins, "to": ends, "owner": request.owner_id, "units": units})
    kinds = [word(pb.FindingKind, kind) for kind in request.kinds]
    found = await scanning.scan(call, [row["owner_id"] for row in owners], begins, ends, fresh=False, kinds=kinds)
    return pb.ScanActivitiesResponse(
        examined=found.examined,
        raised=found.raised.total(),
        withdrawn=found.withdrawn,
        counts=[
            pb.ScanCount(kind=number(pb.FindingKind, kind), raised=count)
            for kind, count in sorted(found.raised.items())
        ],
    )


@rpcs.method
async def get_truth_report(request: pb.GetTruthReportRequest, call: Call) -> pb.TruthReport:
    begins = protos.instant(request.period.start_time, "period.start_time")
    ends = protos.instant(request.period.end_time, "period.end_time")
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    params: dict[str, Any] = {
        **call.scope.params,
        "from": begins,
        "to": ends,
        "now": call.now,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
    }
    judged_by = call.rules(TruthRules)
    found = await call.db.all(store.report(request.by_person), params)
    precisions = await call.db.all(store.PRECISIONS, params)
    return pb.TruthReport(
        period=request.period,
        rows=[_row(row, request.by_person, judged_by, call) for row in found],
        precisions=[
            pb.RulePrecision(
                kind=number(pb.FindingKind, row["kind"]),
                raised=row["raised"],
                precision=estimates.share(row["confirmed"], row["judged"], judged_by.least_judged),
            )
            for row in precisions
        ],
        refresh_time=protos.timestamp(call.now),
    )


def _row(row: dict[str, Any], by_person: bool, judged_by: TruthRules, call: Call) -> pb.TruthReportRow:
    key = row["group_key"]
    named = call.org.person(key) if by_person else call.org.unit(key)
    claimed_ratio = row["kept"] / row["planned"] if row["planned"] else 0.0
    call_ratio = row["calls"] / row["claimed"] if row["claimed"] else 0.0
    answer = pb.TruthReportRow(
        group_key=key,
        group_name=named.name if named else key,
        planned_visits=row["planned"],
        claimed_visits=row["claimed"],
        genuine_visits=row["genuine"],
        claimed_ratio=claimed_ratio,
        call_ratio=call_ratio,
        outdated_script_ratio=row["outdated"] / row["scripted"] if row["scripted"] else 0.0,
        open_findings=row["open"],
        confirmed_findings=row["confirmed"],
    )
    low = False
    if row["ended"]:
        answer.conversion_ratio = row["won"] / row["ended"]
        answer.industry_conversion_share = answer.conversion_ratio / judged_by.industry_conversion
        low = answer.industry_conversion_share < judged_by.conversion_share_low
    if claimed_ratio >= judged_by.claimed_high and low:
        answer.light = common_pb2.LIGHT_RED
    elif call_ratio > judged_by.call_share_high:
        answer.light = common_pb2.LIGHT_YELLOW
    else:
        answer.light = common_pb2.LIGHT_NONE
    return answer


def _to_proto(found: Finding) -> pb.Finding:
    return pb.Finding(
        id=found.id,
        etag=etags.of(found.version),
        kind=number(pb.FindingKind, found.kind),
        state=number(pb.FindingState, found.state),
        activity_id=found.activity_id,
        ownership=common_pb2.Ownership(owner_id=found.owner_id, unit_id=found.unit_id),
        related_activity_ids=found.related_ids,
        confidence_ratio=found.confidence,
        evidence=[common_pb2.Evidence(name=found.kind, text=found.explanation[:2000])],
        rule=common_pb2.RuleReference(
            rulebook=TruthRules.rulebook,
            version=found.rule_version,
            rule=found.kind,
            explanation=found.explanation[:2000],
        ),
        answer=found.answer,
        reviewer_id=found.reviewer_id,
        review_comment=found.comment,
        create_time=protos.timestamp(found.created_at),
        review_time=protos.timestamp(found.reviewed_at),
    )
