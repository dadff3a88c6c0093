"""TranscriptService: conversations taken, read, judged, and what is heard how often (S48, S49)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import transcripts_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.talk import proto, store, taking
from closedloop_funnel.talk.listening import Said
from closedloop_funnel.talk.rules import TalkRules, slope
from closedloop_funnel.talk.store import Around, Read
from closedloop_funnel.talk.taking import Brought
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.TranscriptService")

NIL = "00000000-0000-0000-0000-000000000000"
# Lights in order of gravity; a talk has none, yellow or red.
LIGHTS = ("none", "blue", "yellow", "red")


@rpcs.method
async def create_transcript(request: pb.CreateTranscriptRequest, call: Call) -> pb.Transcript:
    owner_id = request.owner_id or call.caller.subject
    person = call.org.person(owner_id)
    if person is None:
        raise errors.InvalidArgument("OWNER_UNKNOWN", f"nobody here is {owner_id}", {"owner_id": "unknown"})
    call.authorize(owner_id, person.unit_id)
    started = protos.instant(request.start_time, "start_time")
    if started > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it has not begun yet", {"start_time": "in the future"})
    said = _said(request.utterances, timedelta(hours=call.rules(TalkRules).longest_hours))
    around = await store.around(call.tx, request.account_id, request.opportunity_id, request.activity_id)
    _check(request, around, call)
    deal = around.opportunity or {}
    account_id = request.account_id or deal.get("account_id")
    if account_id and around.account is None:
        around = replace(around, account={"customer_type": deal["customer_type"]})
    kept, hearings = await taking.take(
        call,
        Brought(
            owner_id=owner_id,
            unit_id=person.unit_id,
            source=request.provenance.source or "manual",
            source_id=request.provenance.source_id.strip(),
            channel=word(pb.Channel, request.channel),
            account_id=account_id or None,
            opportunity_id=request.opportunity_id or None,
            activity_id=request.activity_id or None,
            contact_ids=list(request.contact_ids),
            started=started,
            language=request.language_code,
            said=said,
            speakers=[one.speaker for one in request.utterances],
        ),
        around,
        call.actor,
    )
    return proto.transcript(kept, hearings)


def _said(given: Sequence[pb.Utterance], longest: timedelta) -> list[Said]:
    """Raises InvalidArgument UTTERANCES_OUT_OF_ORDER or NO_SELLER_SPEAKS."""
    said: list[Said] = []
    for at, one in enumerate(given):
        start = _milliseconds(one.start_offset, at, longest)
        end = _milliseconds(one.end_offset, at, longest) if one.HasField("end_offset") else start
        if end < start or (said and start < said[-1].start_ms):
            raise errors.InvalidArgument(
                "UTTERANCES_OUT_OF_ORDER", f"utterance {at} comes before its time", {"utterances": f"{at}: order"}
            )
        said.append(Said(word(pb.SpeakerSide, one.side), one.text, start, end))
    if not any(one.side == "seller" for one in said):
        raise errors.InvalidArgument("NO_SELLER_SPEAKS", "nobody speaks for us in it", {"utterances": "no seller"})
    return said


def _milliseconds(offset: Duration, at: int, longest: timedelta) -> int:
    milliseconds = offset.seconds * 1000 + offset.nanos // 1_000_000
    if not 0 <= milliseconds <= longest // timedelta(milliseconds=1):
        raise errors.InvalidArgument(
            "UTTERANCES_OUT_OF_ORDER", f"utterance {at} is at no time of the talk", {"utterances": f"{at}: time"}
        )
    return milliseconds


def _check(request: pb.CreateTranscriptRequest, around: Around, call: Call) -> None:
    """What is named must be known and in the caller's reach; an account in the pool is anybody's."""
    if request.opportunity_id and around.opportunity is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
    if request.activity_id and around.activity is None:
        raise errors.NotFound("ACTIVITY_UNKNOWN", f"no activity {request.activity_id}")
    if request.account_id and around.account is None:
        raise errors.InvalidArgument("ACCOUNT_UNKNOWN", f"no account {request.account_id}", {"account_id": "unknown"})
    for named in (around.opportunity, around.activity):
        if named is not None:
            call.authorize(named["owner_id"], named["unit_id"], named["participant_ids"])
    account, deal = around.account, around.opportunity
    own_deal = account is not None and deal is not None and deal["account_id"] == account["id"]
    if account is not None and account["owner_id"] and not own_deal:
        call.authorize(account["owner_id"], account["unit_id"], account["participant_ids"])


@rpcs.method
async def get_transcript(request: pb.GetTranscriptRequest, call: Call) -> pb.Transcript:
    found = await store.get(call.db, request.transcript_id)
    call.authorize(found.owner_id, found.unit_id)
    heard = await store.hearings(call.db, [found.id])
    return proto.transcript(found, heard[found.id], found.utterances if request.include_utterances else ())


@rpcs.method
async def list_transcripts(request: pb.ListTranscriptsRequest, call: Call) -> pb.ListTranscriptsResponse:
    after, after_id = pages.after(request, "infinity", NIL)
    least = word(common_pb2.Light, request.least_churn_light)
    params = {
        **_period(request, call),
        "account": request.account_id or None,
        "opportunity": request.opportunity_id or None,
        "lights": list(LIGHTS[LIGHTS.index(least) :]) if least else None,
        "kind": word(pb.HearingKind, request.hearing_kind),
        "key": request.hearing_key,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Read)
    page, token = pages.split(found, request, lambda one: [one.started_at.isoformat(), one.id])
    heard = await store.hearings(call.db, [one.id for one in page])
    return pb.ListTranscriptsResponse(
        transcripts=[proto.transcript(one, heard[one.id]) for one in page], next_page_token=token
    )


def _period(request: pb.ListTranscriptsRequest | pb.GetTalkReportRequest, call: Call) -> dict[str, Any]:
    period = request.period
    return {
        **call.scope.params,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "from": protos.instant(period.start_time, "period.start_time") if period.HasField("start_time") else None,
        "to": protos.instant(period.end_time, "period.end_time") if period.HasField("end_time") else None,
    }


@rpcs.method
async def review_hearing(request: pb.ReviewHearingRequest, call: Call) -> pb.Transcript:
    found = await store.get(call.tx, request.transcript_id)
    call.authorize(found.owner_id, found.unit_id)
    before = await call.tx.one(store.LOCK_HEARING, {"id": request.hearing_id}, into=store.Hearing)
    if before is None or before.transcript_id != found.id:
        raise errors.NotFound("HEARING_UNKNOWN", f"no hearing {request.hearing_id} in this transcript")
    verdict = word(pb.HearingReview, request.review)
    if verdict == "open":
        raise errors.InvalidArgument("REVIEW_OPEN", "say whether it was heard right", {"review": "is none"})
    if request.corrected_key and request.corrected_key not in _catalogue(call.rules(TalkRules), before.kind):
        raise errors.InvalidArgument(
            "KEY_UNKNOWN", f"no {before.kind} is called {request.corrected_key}", {"corrected_key": "unknown"}
        )
    after = replace(before, review=verdict, reviewer_id=call.caller.subject, corrected_key=request.corrected_key)
    call.tx.do(store.REVIEW, {"rows": rows.pack([after])})
    call.audit(after.id, "review", rows.row(before, "sentence"), rows.row(after, "sentence"))
    heard = await store.hearings(call.tx, [found.id])
    return proto.transcript(found, heard[found.id])


def _catalogue(rules: TalkRules, kind: str) -> Any:
    return {"keyword": rules.keywords, "objection": rules.objections, "risk": rules.risks, "churn": rules.churn}[kind]


@rpcs.method
async def get_intent_trend(request: pb.GetIntentTrendRequest, call: Call) -> pb.IntentTrend:
    if bool(request.account_id) == bool(request.opportunity_id):
        raise errors.InvalidArgument(
            "SUBJECT_NOT_ONE", "name an account or an opportunity", {"account_id": "one of the two"}
        )
    period, rules = request.period, call.rules(TalkRules)
    params = {
        **call.scope.params,
        "account": request.account_id or None,
        "opportunity": request.opportunity_id or None,
        "from": protos.instant(period.start_time, "period.start_time") if period.HasField("start_time") else None,
        "to": protos.instant(period.end_time, "period.end_time") if period.HasField("end_time") else None,
    }
    # Newest first out of the store; the trend is told from the first on.
    talks = (await call.db.all(store.TREND, params))[::-1]
    answer = pb.IntentTrend(churn_light=common_pb2.LIGHT_NONE)
    if not talks:
        return answer
    month = timedelta(days=rules.trend_month_days)
    points = [((talk["started_at"] - talks[0]["started_at"]) / month, talk["intent"]) for talk in talks]
    steepness = slope(points, rules.trend_least)
    if steepness is not None:
        answer.slope = steepness
    for talk in talks:
        answer.points.add(transcript_id=talk["id"], time=protos.timestamp(talk["started_at"]), intent=talk["intent"])
    # Where he stands now is what he said last.
    answer.churn_light = number(common_pb2.Light, talks[-1]["churn_light"])
    heard = (await store.hearings(call.db, [talks[-1]["id"]]))[talks[-1]["id"]]
    signs = sorted(
        (one for one in heard if one.kind == "churn" and one.review != "wrong"), key=lambda one: -one.confidence
    )
    answer.reasons.extend(common_pb2.Evidence(name=one.key, text=one.sentence) for one in signs)
    return answer


@rpcs.method
async def suggest_reply(request: pb.SuggestReplyRequest, call: Call) -> pb.SuggestReplyResponse:
    around = await store.around(call.db, "", request.opportunity_id) if request.opportunity_id else Around()
    if request.opportunity_id and around.opportunity is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
    reading = await taking.read(call, [Said("customer", request.sentence)], around)
    found = sorted((one for one in reading.heard if one.kind == "objection"), key=lambda one: -one.confidence)
    return pb.SuggestReplyResponse(objections=[proto.heard(one) for one in found])


@rpcs.method
async def get_talk_report(request: pb.GetTalkReportRequest, call: Call) -> pb.TalkReport:
    params = {**_period(request, call), "kind": word(pb.HearingKind, request.kind)}
    params["from"] = params["from"] or protos.EPOCH
    params["to"] = params["to"] or call.now
    if params["to"] <= params["from"]:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    total = await call.db.value(store.COUNT, params)
    found = await call.db.all(store.report(request.by_person), params)
    least = call.rules(TalkRules).report_least
    return pb.TalkReport(
        period=request.period,
        transcript_count=total,
        rows=[
            pb.TalkReportRow(
                group_key=row["group_key"],
                kind=number(pb.HearingKind, row["kind"]),
                key=row["key"],
                name=row["name"],
                transcript_count=row["heard"],
                share=estimates.share(row["heard"], row["talks"], least),
                precision=estimates.share(row["right"], row["reviewed"], least) if row["reviewed"] else None,
            )
            for row in found
        ],
        refresh_time=protos.timestamp(call.now),
    )
