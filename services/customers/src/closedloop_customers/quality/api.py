"""QualityService."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from google.type.date_pb2 import Date

from closedloop.common.v1.common_pb2 import Light
from closedloop.customers.v1 import quality_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import asking, business_actions, explanations, freshness, records
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.accounts.rules import AccountRules
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import desk, store, wire
from closedloop_customers.wake_ups import silence

rpcs = Rpcs("closedloop.customers.v1.QualityService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"
LONG_AGO = "0001-01-01T00:00:00+00:00"
# What looking at a record can make true again.
VERIFIABLE = frozenset({"stale_record", "stale_key_fields", "job_changed"})


@rpcs.method
async def get_account_quality(request: pb.GetAccountQualityRequest, call: Call) -> pb.AccountQuality:
    standing = await records.account(call.db, call, request.account_id)
    account = await accounts.read(call.db, standing.id)
    key_fields = sorted(call.rules(AccountRules).key_fields)
    trail = await call.db.all(store.TRAIL, {"account_id": account.id, "key_fields": key_fields})
    seen = {row["field"]: row for row in trail}
    rules = call.rules(QualityRules)
    oldest = min((row["time"] for row in trail), default=account.last_verify_at)
    return pb.AccountQuality(
        account_id=account.id,
        light=enums.number(
            Light,
            freshness.light(account.last_interaction_at or account.created_at, account.last_verify_at, call.now, rules),
        ),
        last_effective_interaction_time=protos.timestamp(account.last_interaction_at),
        oldest_key_field_time=protos.timestamp(oldest),
        fields=[wire.field(name, account, seen.get(name), call.now, rules) for name in key_fields],
        findings=[wire.finding(row) for row in await store.of_account(call.db, account.id)],
        fill_ratio=sum(name in account.profile for name in key_fields) / max(len(key_fields), 1),
    )


@rpcs.method
async def list_findings(request: pb.ListFindingsRequest, call: Call) -> pb.ListFindingsResponse:
    after_rank, after_since, after_id = pages.after(request, -1, LONG_AGO, FIRST_ID)
    since_from, since_to = protos.bounds(request.since)
    params = {
        **records.filters(request, call),
        "record_id": request.record.id or None,
        "kinds": enums.words(pb.FindingKind, request.kinds) or None,
        "states": enums.words(pb.FindingState, request.states) or ["open"],
        "lights": [enums.word(Light, n) for n in range(request.minimum_light, 5)]
        if request.minimum_light > 1
        else None,
        "since_from": since_from,
        "since_to": since_to,
        "after_rank": after_rank,
        "after_since": after_since,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params)
    page, token = pages.split(found, request, lambda row: (row["rank"], row["since_at"].isoformat(), row["id"]))
    rows = [store.Finding(**{name: value for name, value in row.items() if name != "rank"}) for row in page]
    return pb.ListFindingsResponse(findings=[wire.finding(row) for row in rows], next_page_token=token)


@rpcs.method
async def resolve_finding(request: pb.ResolveFindingRequest, call: Call) -> pb.Finding:
    finding = await store.locked(call.tx, request.id)
    if finding is None:
        raise errors.NotFound("FINDING_NOT_FOUND", f"no finding {request.id}")
    records.may_change(call, finding.owner_id, finding.unit_id)
    etags.check(request.etag, finding.version)
    if finding.state == "resolved":
        raise errors.FailedPrecondition("FINDING_RESOLVED", f"{finding.resolved_by} has worked it off")
    way = enums.word(pb.FindingResolution, request.resolution)
    after = _postponed(request, call, finding) if way == "postponed" else await _resolved(request, call, finding, way)
    call.tx.do(
        store.RESOLVE,
        {
            "id": after.id,
            "state": after.state,
            "until": after.postponed_until,
            "by": after.resolved_by,
            "at": after.resolved_at,
            "action": after.business_action,
            "note": request.note,
        },
    )
    call.audit(
        finding.record_id, "resolve_finding", {finding.kind: finding.state}, {finding.kind: way}, after.business_action
    )
    if finding.tasked and after.state == "resolved":
        from_there = "subject_gone" if way == "retired" else "cause_cleared"
        asking.task_cleared(call, desk.TASK, finding.record_id, from_there)
    return wire.finding(replace(after, version=finding.version + 1))


@rpcs.method
async def get_quality_report(request: pb.GetQualityReportRequest, call: Call) -> pb.QualityReport:
    rules = call.rules(QualityRules)
    now = await _figures(request, call, _end_of(request.date, call.now) if request.HasField("date") else call.now)
    required = len(rules.required_fields)
    why = f"{rules.silent_days} 天无有效互动黄灯，关键字段 {rules.key_field_days} 天未更新红灯，{rules.stale_days} 天为陈旧"
    report = pb.QualityReport(
        total=wire.row(wire.total(now), required),
        rows=[wire.row(one, required) for one in now],
        rule=explanations.reference(explanations.because(call, QualityRules, "silent_days", why)),
    )
    if request.HasField("compare_date"):
        before = await _figures(request, call, _end_of(request.compare_date, call.now))
        report.previous_total.CopyFrom(wire.row(wire.total(before), required))
    return report


def _postponed(request: pb.ResolveFindingRequest, call: Call, finding: store.Finding) -> store.Finding:
    most = call.now + timedelta(days=call.rules(QualityRules).postpone_most_days)
    until = protos.instant(request.postpone_until_time, "postpone_until_time")
    if not call.now < until <= most:
        raise errors.InvalidArgument(
            "POSTPONED_TOO_LONG", f"until {most.date()} at the latest", {"postpone_until_time": "too far, or past"}
        )
    return replace(finding, state="postponed", postponed_until=until)


async def _resolved(request: pb.ResolveFindingRequest, call: Call, finding: store.Finding, way: str) -> store.Finding:
    action = business_actions.cited(call, request.business_action, "change" if way == "retired" else "confirm")
    if way == "corrected" or (way == "verified" and finding.kind not in VERIFIABLE):
        if await desk.still(call, finding):
            raise errors.FailedPrecondition("STILL_STALE", "its cause stands; put it right first", kind=finding.kind)
    elif finding.record_type == "account":
        await _account(request, call, finding, way, action)
    else:
        await _contact(call, finding, way, action)
    return replace(finding, state="resolved", resolved_by=call.actor, resolved_at=call.now, business_action=action)


async def _account(
    request: pb.ResolveFindingRequest, call: Call, finding: store.Finding, way: str, action: str
) -> None:
    old = (await accounts.locked(call.tx, [finding.account_id]))[finding.account_id]
    if way == "retired":
        accounts.change(call, [(old, replace(old, status="retired"))], action)
        silence.forget(call, old.id)
        return
    fields = set(request.fields or finding.fields)
    if unknown := fields - set(finding.fields):
        raise errors.InvalidArgument(
            "UNKNOWN_FIELD", f"it is not about {', '.join(sorted(unknown))}", {"fields": "not of the finding"}
        )
    accounts.change(call, [(old, replace(old, last_verify_at=call.now))], action, action="verify")
    call.audit(old.id, "verify", {}, {f"verified.{name}": call.now for name in fields}, action)


async def _contact(call: Call, finding: store.Finding, way: str, action: str) -> None:
    old = (await contacts.locked(call.tx, [finding.record_id]))[finding.record_id]
    new = replace(old, state="left") if way == "retired" else contacts.corrected(call, old, old.profile)
    contacts.change(call, [(old, new)], action, "retire" if way == "retired" else "verify")


async def _figures(request: pb.GetQualityReportRequest, call: Call, at: datetime) -> list[store.Figures]:
    params = {
        **call.scope.params,
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "by_owner": request.by_owner,
        "at": at,
        "done_within": timedelta(days=call.rules(QualityRules).report_days),
    }
    return await call.db.all(store.REPORT, params, into=store.Figures)


def _end_of(day: Date, now: datetime) -> datetime:
    return min(datetime.combine(protos.day(day) + timedelta(days=1), time(), UTC), now)
