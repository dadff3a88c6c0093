"""NoticeService."""

from __future__ import annotations

from dataclasses import replace

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop_chassis import bulk, errors, etags, pages, protos
from closedloop_chassis.enums import word, words
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations import runs
from closedloop_integrations.notices import intake, store, wire
from closedloop_integrations.notices.rules import Notice, ProcurementRules, complete, sector_matcher
from closedloop_integrations.procurement.matching import normalise

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

rpcs = Rpcs("closedloop.integrations.v1.NoticeService")


@rpcs.method
async def bulk_import_notices(request: pb.BulkImportNoticesRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    rules = call.rules(ProcurementRules)
    sectors = sector_matcher(rules)
    notices = []
    for position, row in good:
        try:
            said = wire.said(row, call.actor, call.now)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        notices.append(complete(said, rules, sectors, id=new_id(), now=call.now))
    outcome = await intake.take_in(call, notices, dry=request.validate_only)
    summary = bulk.summary(read=len(request.rows), created=outcome.created, updated=outcome.updated, refused=refused)
    if not request.validate_only:
        figures = {
            "read": summary.read,
            "created": summary.created,
            "updated": summary.updated,
            "rejected": summary.rejected,
        }
        call.audit("notices", "import", after=figures)
        runs.keep_summary(call, runs.source_of(good), summary)
    return summary


@rpcs.method
async def get_notice(request: pb.GetNoticeRequest, call: Call) -> pb.Notice:
    found = await store.get(call.db, request.id)
    if found is None:
        raise errors.NotFound("NOTICE_UNKNOWN", f"no notice {request.id}")
    return wire.notice(found)


@rpcs.method
async def list_notices(request: pb.ListNoticesRequest, call: Call) -> pb.ListNoticesResponse:
    day, id = pages.after(request, "9999-12-31", LAST_ID)
    found = await store.listed(
        call.db,
        {
            "day": day,
            "id": id,
            "query": normalise(request.query),
            "buyer": normalise(request.buyer),
            "region": request.region,
            "kinds": words(pb.NoticeKind, request.kinds),
            "sector": request.sector,
            "begin": protos.instant(request.published.start_time).date()
            if request.published.HasField("start_time")
            else None,
            "end": protos.instant(request.published.end_time).date()
            if request.published.HasField("end_time")
            else None,
            "source": request.source,
            "project_key": request.project_key,
            "unmatched": request.unmatched,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(found, request, lambda notice: (notice.publish_date.isoformat(), notice.id))
    return pb.ListNoticesResponse(notices=[wire.notice(each, body=False) for each in shown], next_page_token=token)


@rpcs.method
async def list_matches(request: pb.ListMatchesRequest, call: Call) -> pb.ListMatchesResponse:
    at, id = pages.after(request, "9999-12-31T00:00:00+00:00", LAST_ID)
    found = await store.listed_matches(
        call.db,
        {
            **call.scope.params,
            "at": at,
            "id": id,
            "account_id": request.account_id or None,
            "notice_id": request.notice_id or None,
            "states": words(pb.MatchState, request.states),
            "sector": request.sector,
            "confidence": request.min_confidence,
            "begin": protos.instant(request.matched.start_time) if request.matched.HasField("start_time") else None,
            "end": protos.instant(request.matched.end_time) if request.matched.HasField("end_time") else None,
            "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(found, request, lambda match: (match.matched_at.isoformat(), match.id))
    matches = [wire.match(each, wire.from_json(each.notice)) for each in shown if each.notice is not None]
    return pb.ListMatchesResponse(matches=matches, next_page_token=token)


@rpcs.method
async def review_match(request: pb.ReviewMatchRequest, call: Call) -> pb.Match:
    state = word(pb.MatchState, request.state)
    if state not in ("confirmed", "rejected"):
        raise errors.InvalidArgument(
            "NOT_A_VERDICT", "a match is confirmed or rejected", {"state": "confirmed or rejected"}
        )
    if request.account_id and state != "confirmed":
        raise errors.InvalidArgument(
            "NOT_A_VERDICT", "another customer is named when confirming", {"account_id": "only with confirmed"}
        )
    before = await store.lock_match(call.tx, request.id)
    if before is None:
        raise errors.NotFound("MATCH_UNKNOWN", f"no match {request.id}")
    call.authorize(before.owner_id or "", before.unit_id or "", before.participant_ids or ())
    etags.check(request.etag, before.version)
    if before.superseded:
        raise errors.FailedPrecondition(
            "MATCH_SUPERSEDED", "the notice was changed and speaks of this customer no longer"
        )
    notice = await store.get(call.tx, before.notice_id)
    if notice is None:
        raise errors.NotFound("NOTICE_UNKNOWN", f"no notice {before.notice_id}")
    if request.account_id and request.account_id != before.account_id:
        return await _another_customer(request, before, notice, call)
    after = _reviewed(before, state, request.comment, call)
    store.put_matches(call.tx, [after])
    _record(call, before, after)
    intake.tell(call, after, notice)
    return wire.match(after, notice)


async def _another_customer(
    request: pb.ReviewMatchRequest, before: store.Match, notice: Notice, call: Call
) -> pb.Match:
    """The one found is rejected, the one that was meant is confirmed and answered."""
    meant = await store.account(call.tx, request.account_id)
    if meant is None:
        raise errors.NotFound("ACCOUNT_UNKNOWN", f"no account {request.account_id}")
    call.authorize(meant["owner_id"], meant["unit_id"], meant["participant_ids"])
    rejected = _reviewed(before, "rejected", request.comment, call)
    known = {match.account_id: match for match in await store.matches_of(call.tx, [notice.id])}.get(request.account_id)
    named = replace(
        before,
        id=known.id if known else new_id(),
        version=known.version if known else 0,
        confidence=1.0,
        matched_field="review",
        rule="review",
        explanation=f"named by {call.actor}",
        account_id=meant["id"],
        account_name=meant["account_name"],
        owner_id=meant["owner_id"],
        unit_id=meant["unit_id"],
    )
    confirmed = _reviewed(named, "confirmed", request.comment, call)
    store.put_matches(call.tx, [rejected, confirmed])
    for old, new in ((before, rejected), (known, confirmed)):
        _record(call, old, new)
        intake.tell(call, new, notice)
    return wire.match(confirmed, notice)


def _reviewed(match: store.Match, state: str, comment: str, call: Call) -> store.Match:
    return replace(
        match,
        state=state,
        reviewed_by=call.actor,
        reviewed_at=call.now,
        review_comment=comment,
        superseded=False,
        version=match.version + 1,
    )


def _record(call: Call, before: store.Match | None, after: store.Match) -> None:
    kept = ("account_id", "state", "review_comment")
    old = {name: getattr(before, name) for name in kept} if before else {}
    call.audit(after.id, "review", before=old, after={name: getattr(after, name) for name in kept})
