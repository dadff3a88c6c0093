"""AppraisalService: scorecards as they stand, and the records that are kept of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop.targets.v1 import appraisals_pb2 as pb
from closedloop.targets.v1 import metrics_pb2
from closedloop.targets.v1.plans_pb2 import TargetScope
from closedloop_chassis import enums, errors, ids, pages, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_targets import amounts, company, holders
from closedloop_targets.appraisals import rules, store
from closedloop_targets.appraisals.rules import AppraisalRules, Figure, Line, Score
from closedloop_targets.appraisals.store import Kept
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar, Period

rpcs = Rpcs("closedloop.targets.v1.AppraisalService")

EPOCH = date(2000, 1, 1)
FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def list_scorecards(request: pb.ListScorecardsRequest, call: Call) -> pb.ListScorecardsResponse:
    calendar = call.rules(FiscalCalendar)
    today = call.home.today()
    period = (
        periods.parse(request.period, calendar) if request.period else periods.containing(today, "quarter", calendar)
    )
    if request.units:
        if request.unit_id:
            await company.unit(call, request.unit_id)
        below = call.org.subtree(request.unit_id) if request.unit_id else call.org.units
        found = [unit for unit in below if call.scope.covers("", unit)]
        if request.unit_id and not found:
            call.authorize("", request.unit_id)
    else:
        found = [person.id for person in await company.people(call, request.unit_id, request.person_id)]
    (after,) = pages.after(request, "")
    wanted = [one for one in sorted(found) if one > after][: pages.size(request) + 1]
    page, token = pages.split(wanted, request, lambda one: (one,))
    cards = await _cards(call, call.db, "unit" if request.units else "person", list(page), period)
    return pb.ListScorecardsResponse(scorecards=[card for _, card in cards], next_page_token=token)


@rpcs.method
async def issue_appraisals(request: pb.IssueAppraisalsRequest, call: Call) -> pb.IssueAppraisalsResponse:
    await company.unit(call, request.unit_id)
    call.authorize("", request.unit_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar))
    if period.end >= call.home.today():
        raise errors.FailedPrecondition("PERIOD_NOT_OVER", f"{period.code} ends on {period.end}")
    units = call.org.subtree(request.unit_id)
    people = sorted(person.id for unit in units for person in call.org.members(unit))
    params = {"holders": people, "period": period.code, "since": period.start, "until": period.end}
    latest = {row["person_id"]: row for row in await call.tx.all(store.LATEST, params)}
    unit_ids = {row["person_id"]: row["unit_ids"] for row in await call.tx.all(store.UNITS_OF, params)}
    answer = pb.IssueAppraisalsResponse()
    rows = []
    for person_id, card in await _cards(call, call.tx, "person", people, period):
        if not any(line.HasField("target") for track in card.tracks for line in track.lines):
            answer.without_target_ids.append(person_id)
            continue
        before = latest.get(person_id)
        digest = _digest(person_id, card)
        if before is not None and before["digest"] == digest:
            answer.unchanged += 1
            continue
        known = call.org.people[person_id]
        record = pb.Appraisal(
            id=before["id"] if before else ids.new_id(),
            person_id=person_id,
            name=known.name,
            unit_ids=dict.fromkeys(unit_ids.get(person_id, [known.unit_id])),
            scorecard=card,
            revision=before["revision"] + 1 if before else 1,
            reason=request.reason or ("its figures changed" if before else ""),
            issued_by=call.caller.subject,
            issue_time=protos.timestamp(call.now),
            digest=digest,
        )
        answer.issued += before is None
        answer.revised += before is not None
        unit_id = record.unit_ids[-1] if record.unit_ids else known.unit_id
        rows.append((record.id, record.revision, person_id, unit_id, digest, record.SerializeToString()))
    if not rows and not answer.unchanged:
        raise errors.FailedPrecondition(
            "NO_PLAN_IN_FORCE", f"nobody of {request.unit_id} has a target in {period.code}"
        )
    store.add(call.tx, period, call.now, rows)
    call.audit(
        f"unit:{request.unit_id}",
        "issue_appraisals",
        after={"period": period.code, "issued": answer.issued, "revised": answer.revised},
        business_action=request.reason,
    )
    return answer


@rpcs.method
async def get_appraisal(request: pb.GetAppraisalRequest, call: Call) -> pb.Appraisal:
    row = await call.db.one(store.BY_ID, {"id": request.appraisal_id, "revision": request.revision})
    if row is None:
        raise errors.NotFound("APPRAISAL_NOT_FOUND", f"there is no appraisal {request.appraisal_id}")
    call.authorize(row["owner_id"], row["unit_id"])
    return pb.Appraisal.FromString(row["data"])


@rpcs.method
async def list_appraisals(request: pb.ListAppraisalsRequest, call: Call) -> pb.ListAppraisalsResponse:
    if request.unit_id:
        await company.unit(call, request.unit_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    key, owner, after = pages.after(request, -(2**31), "", FIRST_ID)
    params = {
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "person_id": request.person_id,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "key": key,
        "key_owner": owner,
        "key_id": after,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST, params, into=Kept)
    page, token = pages.split(rows, request, lambda row: (-(row.start_date - EPOCH).days, row.owner_id, row.id))
    return pb.ListAppraisalsResponse(
        appraisals=[pb.Appraisal.FromString(row.data) for row in page], next_page_token=token
    )


async def _cards(
    call: Call, reader: Reader | Transaction, kind: str, found: Sequence[str], period: Period
) -> list[tuple[str, pb.Scorecard]]:
    """In the order asked; two queries."""
    metrics = [metric for metric in call.rules(MetricRules).metrics if metric.track in rules.TRACKS]
    goals, done = await store.figures(call, reader, kind, list(found), period)
    money = call.home.currency
    cards = []
    for holder in found:
        figures = []
        for metric in metrics:
            goal, fact = goals.get((holder, metric.code)), done.get((holder, metric.code))
            is_money = metric.kind == "money"
            figures.append(
                Figure(
                    metric=metric,
                    target=goal.minor if goal else None,
                    actual=fact.minor if fact else None,
                    stage_weighted=fact.weighed if fact and is_money else None,
                    currency=(goal.currency if goal else money) if is_money else "",
                    plan_versions=tuple(goal.versions) if goal else (),
                )
            )
        scored = rules.score(figures, call.rules(AppraisalRules))
        cards.append((holder, _card(call, kind, holder, period, scored)))
    return cards


def _card(call: Call, kind: str, holder: str, period: Period, scored: Score) -> pb.Scorecard:
    return pb.Scorecard(
        holder=holders.to_proto(kind, holder),
        period=period_shapes.stored(period.code, period.grain, period.start, period.end),
        tracks=[
            pb.TrackScore(
                track=enums.number(metrics_pb2.Track, track.track),
                weight_ratio=track.weight,
                score=round(track.score, 4),
                lines=[_line(line) for line in track.lines],
            )
            for track in scored.tracks
        ],
        score=round(scored.score, 4),
        rule=RuleReference(
            rulebook=AppraisalRules.rulebook,
            version=call.process.rulebooks.version(AppraisalRules, call.now),
            explanation="; ".join(f"{t.track} {t.score:.1f} x {t.weight:.0%}" for t in scored.tracks),
        ),
        as_of_time=protos.timestamp(call.now),
    )


def _line(line: Line) -> pb.ScoreLine:
    figure = line.figure
    shape = pb.ScoreLine(
        metric=figure.metric.code,
        scope=TargetScope(product_id=figure.product_id),
        completion_ratio=line.completion,
        weight_ratio=line.weight,
        score=round(line.score, 4),
        plan_versions=figure.plan_versions,
        note=line.note,
    )
    if figure.target is not None:
        shape.target.CopyFrom(amounts.amount(figure.target, figure.currency))
    if figure.actual is not None:
        shape.actual.CopyFrom(amounts.amount(figure.actual, figure.currency))
    if figure.stage_weighted is not None:
        shape.stage_weighted_actual.CopyFrom(amounts.amount(figure.stage_weighted, figure.currency))
    return shape


def _digest(person_id: str, card: pb.Scorecard) -> str:
    """Of what was reached and how it scores; when it was looked at does not matter."""
    figures = pb.Scorecard()
    figures.CopyFrom(card)
    figures.ClearField("as_of_time")
    return hashlib.sha256(person_id.encode() + b"\0" + figures.SerializeToString(deterministic=True)).hexdigest()
