"""NewcomerService: how newcomers start, and what it brings (S62, S92, S93)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.funnel.v1 import newcomers_pb2 as pb
from closedloop.funnel.v1.experiments_pb2 import Estimate
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.newcomers import rules, store
from closedloop_funnel.newcomers.rules import NewcomerRules
from closedloop_funnel.newcomers.store import Onboarding, Seen
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.NewcomerService")

EVERYBODY = 1_000_000
DAY = timedelta(days=1)


@rpcs.method
async def set_onboarding(request: pb.SetOnboardingRequest, call: Call) -> pb.Onboarding:
    person, guide = call.org.person(request.person_id), call.org.person(request.guide_id)
    if person is None or (request.guide_id and guide is None):
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {request.guide_id if person else request.person_id}")
    if request.guide_id == request.person_id:
        raise errors.InvalidArgument("OWN_GUIDE", "nobody is his own guide", {"guide_id": "the newcomer"})
    call.authorize(person.id, person.unit_id)
    before = await call.tx.one(store.LOCK, {"person_id": person.id}, into=Onboarding)
    if before is not None or request.etag:
        # Empty is for the first time only.
        etags.check(request.etag or "none", before.version if before else 0)
    left = await call.tx.value(store.LEFT, {"person_id": person.id})
    if left is None and not person.active:
        raise errors.FailedPrecondition("LEAVE_DATE_UNKNOWN", f"{person.id} has left, and nobody has said when")
    after = Onboarding(
        person_id=person.id,
        version=before.version + 1 if before else 1,
        unit_id=person.unit_id,
        start_date=protos.day(request.start_date, "start_date"),
        style=word(pb.OnboardingStyle, request.style),
        guide_id=request.guide_id,
        leave_date=left,
        updated_at=call.now,
    )
    call.tx.do(store.PUT, {"rows": rows.pack([after])})
    call.audit(person.id, "set_onboarding", rows.row(before) if before else None, rows.row(after))
    return _to_proto(
        Seen(**rows.row(after), first_deal_date=None, segments={}, guide_segments={}), call.rules(NewcomerRules)
    )


@rpcs.method
async def list_onboardings(request: pb.ListOnboardingsRequest, call: Call) -> pb.ListOnboardingsResponse:
    after, after_id = pages.after(request, "-infinity", "")
    params = {
        **call.scope.params,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "style": word(pb.OnboardingStyle, request.style),
        "from": protos.day(request.start_date_from) if request.HasField("start_date_from") else None,
        "to": protos.day(request.start_date_to) if request.HasField("start_date_to") else None,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    judged_by = call.rules(NewcomerRules)
    page, token = pages.split(found, request, lambda one: [one.start_date.isoformat(), one.person_id])
    return pb.ListOnboardingsResponse(onboardings=[_to_proto(one, judged_by) for one in page], next_page_token=token)


@rpcs.method
async def get_newcomer_report(request: pb.GetNewcomerReportRequest, call: Call) -> pb.NewcomerReport:
    judged_by = call.rules(NewcomerRules)
    sides: list[dict[str, list[float]]] = []
    said: list[str] = []
    for field, period in (("before_period", request.before_period), ("after_period", request.after_period)):
        first, last = _days(period, field, call)
        people = await _started(request.unit_id, first, last, call)
        params: dict[str, Any] = {
            **_narrowed(request.unit_id, call),
            "from": first,
            "to": last,
            "complex": list(judged_by.complex_products),
            "days": judged_by.repurchase_days,
            "today": call.home.today(),
        }
        deals = await call.db.one(store.DEALS, params)
        assert deals is not None
        first_deals = _first_deals(people, judged_by, call)
        said.append(first_deals.sentence)
        sides.append(
            {
                "first_deal_days": first_deals.days,
                "repurchase_ratio": [float(back) for back in deals["came_back"]],
                "complex_product_penetration_ratio": [float(one) for one in deals["complex"]],
            }
        )
    before, after = sides
    names = [name for name in before if judged_by.complex_products or not name.startswith("complex")]
    metrics = [
        _days_apart(name, before[name], after[name], judged_by.least)
        if _unit(name) == "d"
        else _shares_apart(name, before[name], after[name], judged_by.least)
        for name in names
    ]
    first_deal = metrics[0]
    first_deal.before.explanation, first_deal.after.explanation = said
    return pb.NewcomerReport(before_period=request.before_period, after_period=request.after_period, metrics=metrics)


def _first_deals(people: Sequence[Seen], judged_by: NewcomerRules, call: Call) -> rules.Followed:
    return rules.followed(judged_by, ((one.start_date, one.first_deal_date) for one in people), call.home.today())


def _days_apart(name: str, before: Sequence[float], after: Sequence[float], least: int) -> pb.BeforeAfter:
    return pb.BeforeAfter(
        name=name,
        before=estimates.spread(before, "d", least),
        after=estimates.spread(after, "d", least),
        change=estimates.relative(before, after, least),
    )


def _shares_apart(name: str, before: Sequence[float], after: Sequence[float], least: int) -> pb.BeforeAfter:
    """Of ones and zeros: that nobody of five came back does not say that nobody ever does."""
    earlier, later = ((int(sum(values)), len(values)) for values in (before, after))
    return pb.BeforeAfter(
        name=name,
        before=estimates.share(*earlier, least),
        after=estimates.share(*later, least),
        change=estimates.relative_share(*later, *earlier, least),
    )


def _unit(name: str) -> str:
    return "d" if name.endswith("days") else "1"


@rpcs.method
async def compare_onboardings(request: pb.CompareOnboardingsRequest, call: Call) -> pb.OnboardingComparison:
    judged_by = call.rules(NewcomerRules)
    people = await _started(request.unit_id, *_days(request.period, "period", call), call)
    by_style: defaultdict[str, list[Seen]] = defaultdict(list)
    for one in people:
        by_style[one.style].append(one)
    stayed = {style: _stayed(group, judged_by, call.home.today()) for style, group in by_style.items()}
    own, shadow = stayed.get("own_customers", (0, 0)), stayed.get("shadow", (0, 0))
    difference = estimates.difference(*own, *shadow, judged_by.least)
    gaps = _gaps([one for one in people if one.guide_id], judged_by.least)
    groups = [
        pb.OnboardingGroup(
            style=number(pb.OnboardingStyle, style),
            people=len(group),
            retention=estimates.share(*stayed[style], judged_by.least),
            first_deal_days=_spread(_first_deals(group, judged_by, call), judged_by),
            segment_mismatch=_mismatch(group, judged_by),
        )
        for style, group in sorted(by_style.items())
    ]
    return pb.OnboardingComparison(
        period=request.period,
        groups=groups,
        retention_difference=difference,
        segment_gaps=gaps,
        summary=f"{judged_by.retention_days} 天留存: 自拓客户 {own[0]}/{own[1]}, 跟岗 {shadow[0]}/{shadow[1]}"
        + (f"; 客群差异最大: {gaps[0].segment}" if gaps else ""),
    )


def _mismatch(group: Sequence[Seen], judged_by: NewcomerRules) -> Estimate:
    told = [rules.mismatch(judged_by, one.segments, one.guide_segments) for one in group]
    known = [one for one in told if one is not None]
    found = estimates.spread(known, "1", judged_by.least)
    least = judged_by.least_deals
    found.explanation = (
        f"{len(known)} of {len(group)} have {least} deals, and a guide who has; it takes {judged_by.least}"
    )
    return found


def _spread(followed: rules.Followed, judged_by: NewcomerRules) -> Estimate:
    found = estimates.spread(followed.days, "d", judged_by.least)
    found.explanation = followed.sentence
    return found


def _gaps(people: Sequence[Seen], least: int) -> list[pb.SegmentGap]:
    """The largest first; none where newcomers or guides have fewer deals than say anything."""
    guides, newcomers = Counter[str](), Counter[str]()
    for guide_id, segments in {one.guide_id: one.guide_segments for one in people}.items():
        guides.update({key: int(count) for key, count in segments.items() if guide_id})
    for one in people:
        newcomers.update({key: int(count) for key, count in one.segments.items()})
    if min(guides.total(), newcomers.total()) < least:
        return []
    gaps = [
        pb.SegmentGap(segment=key, guides_ratio=rules.share(guides, key), newcomers_ratio=rules.share(newcomers, key))
        for key in {*guides, *newcomers}
    ]
    return sorted(gaps, key=lambda gap: (-abs(gap.guides_ratio - gap.newcomers_ratio), gap.segment))


def _stayed(people: Sequence[Seen], judged_by: NewcomerRules, today: date) -> tuple[int, int]:
    """How many stayed for the days, of those who started so long ago."""
    span = judged_by.retention_days * DAY
    old = [one for one in people if one.start_date + span <= today]
    return sum(one.leave_date is None or one.leave_date >= one.start_date + span for one in old), len(old)


async def _started(unit_id: str, first: date, last: date, call: Call) -> list[Seen]:
    params = {"style": "", "from": first, "to": last, "after": "-infinity", "after_id": "", "limit": EVERYBODY}
    return await store.page(call.db, {**_narrowed(unit_id, call), **params})


def _narrowed(unit_id: str, call: Call) -> dict[str, Any]:
    return {**call.scope.params, "units": list(call.org.subtree(unit_id)) if unit_id else None}


def _days(period: Interval, field: str, call: Call) -> tuple[date, date]:
    """First and last day. Raises InvalidArgument PERIOD_OPEN or TIMES_REVERSED."""
    if not (period.HasField("start_time") and period.HasField("end_time")):
        raise errors.InvalidArgument("PERIOD_OPEN", "it takes a beginning and an end", {field: "open"})
    begins, ends = protos.instant(period.start_time, field), protos.instant(period.end_time, field)
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {field: "reversed"})
    return call.home.day(begins), call.home.day(ends - timedelta(microseconds=1))


def _first(one: Seen) -> int | None:
    """Days from the start to the first deal."""
    return (one.first_deal_date - one.start_date).days if one.first_deal_date else None


def _to_proto(one: Seen, judged_by: NewcomerRules) -> pb.Onboarding:
    return pb.Onboarding(
        person_id=one.person_id,
        etag=etags.of(one.version),
        unit_id=one.unit_id,
        start_date=protos.date_proto(one.start_date),
        style=number(pb.OnboardingStyle, one.style),
        guide_id=one.guide_id,
        first_deal_date=protos.date_proto(one.first_deal_date),
        first_deal_days=_first(one),
        leave_date=protos.date_proto(one.leave_date),
        segment_mismatch_ratio=rules.mismatch(judged_by, one.segments, one.guide_segments) if one.guide_id else None,
    )
