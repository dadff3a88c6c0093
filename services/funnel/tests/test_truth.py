"""Truth of activities: false check-ins found by rules that can be read, judged by people (S45, S50, S51)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval
from google.type.latlng_pb2 import LatLng

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import activities_pb2 as logs
from closedloop.funnel.v1 import activities_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import truth_pb2 as pb
from closedloop.funnel.v1 import truth_pb2_grpc as rpc
from closedloop_funnel.truth.prints import prints
from closedloop_funnel.truth.rules import Log, Script, TruthRules, from_colleague, judge, standing

from .conftest import ACME, Company, remember, rid
from .labelled_logs import Labelled, draw, draw_colleagues
from .pictures import picture
from .raw_history import moment
from .test_activities import TALK, call
from .test_attachments import PHOTOS, upload

RULES = TruthRules(
    scripts=(Script(version="2025", since=date(2025, 1, 1)), Script(version="2026", since=date(2026, 1, 1)))
)
MONDAY = moment(date(2026, 3, 2), 10)
SPEAKS = "生产总监担心换型停产, 约定下周三技术交流"


def log(id_: str = "b", minutes: float = 0, **fields: Any) -> Log:
    begins = MONDAY + timedelta(minutes=minutes)
    made = Log(
        id=id_,
        kind="visit",
        account_id="acme",
        started=begins,
        ended=begins + timedelta(minutes=30),
        logged=begins + timedelta(minutes=40),
        content=SPEAKS,
        place=(31.23, 121.47),
    )
    return replace(made, **fields)


OTHER = log("a", account_id="north", content="店长要求缩短交期, 陈列面被压缩, 等招标公告")


@pytest.mark.mission("S45", "S50", "S51")
@pytest.mark.parametrize(
    ("seen", "others", "expected"),
    [
        (log(), [], set()),
        (log(content=" 已 沟通。"), [], {"no_content"}),
        (log(content="去了"), [], {"no_content"}),
        (log(kind="mail", content=""), [], set()),
        (log(content=OTHER.content + "。"), [log("a", minutes=-2000, content=OTHER.content)], {"copied_text"}),
        (log(), [log("a", minutes=-44000)], set()),  # a month ago
        (log(minutes=15, place=None, has_photos=True), [OTHER], {"impossible_time"}),
        (log(minutes=25, place=None, has_photos=True), [OTHER], set()),
        (log(ended=MONDAY + timedelta(minutes=3)), [], {"impossible_time"}),
        (log(minutes=40, place=(31.6, 121.47)), [OTHER], {"impossible_place"}),
        (log(minutes=70, place=(31.6, 121.47)), [OTHER], set()),
        (log(contradictions=("taken two days before",)), [], {"photo_contradicts"}),
        (log(reused_in=("a",)), [], {"photo_reused"}),
        (log(place=None, content="电话沟通: " + SPEAKS), [], {"call_as_visit"}),
        (log(content="电话沟通: " + SPEAKS), [], set()),
        (log(place=None), [log("a", kind="call", content=OTHER.content, place=None)], {"call_as_visit"}),
        (log(script_version="2025"), [], {"outdated_script"}),
        (log(script_version="2024"), [], {"outdated_script"}),
        (log(script_version="2026"), [], set()),
        (log(logged=MONDAY + timedelta(hours=73)), [], {"logged_late"}),
    ],
)
def test_each_rule_strikes_where_it_should(seen: Log, others: list[Log], expected: set[str]) -> None:
    assert {one.kind for one in judge(RULES, seen, [seen, *others])} == expected
    # Of two that contradict each other the one written down first stands.
    assert not [one for other in others for one in judge(RULES, other, [seen, *others]) if seen.id in one.related]


def test_findings_make_a_log_suspect_until_somebody_judges() -> None:
    assert standing(RULES, []) == "genuine"
    assert standing(RULES, [("logged_late", "open"), ("outdated_script", "confirmed")]) == "genuine"
    assert standing(RULES, [("no_content", "open"), ("copied_text", "dismissed")]) == "suspect"
    assert standing(RULES, [("no_content", "confirmed"), ("copied_text", "open")]) == "confirmed_false"


def measure(seed: int) -> tuple[float, float, Counter[str], Counter[str]]:
    """Precision and recall of the marking rules, how many of each way there were and how many were found."""
    rules, timelines = TruthRules(), defaultdict(list)
    labelled: list[Labelled] = draw(seed)
    for one in labelled:
        timelines[one.owner].append(one.log)
    there, found = Counter[str](), Counter[str]()
    struck = right = 0
    for one in labelled:
        marked = any(found_.kind in rules.marking for found_ in judge(rules, one.log, timelines[one.owner]))
        struck += marked
        if one.false:
            there[one.false] += 1
            found[one.false] += marked
            right += marked
    return right / struck, right / there.total(), there, found


@pytest.mark.mission("S45", "S51")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_precision_and_recall_on_a_labelled_set(seed: int) -> None:
    precision, recall, there, found = measure(seed)
    assert there.total() > 100
    assert precision >= 0.9
    assert recall >= 0.8
    assert all(found[way] for way in there), "no way of making a log up goes unseen"


def measure_colleagues(seed: int) -> tuple[float, float]:
    """Precision and recall of copies from colleagues, found by prints as the database finds them."""
    rules, labelled = TruthRules(), draw_colleagues(seed)
    by_print: defaultdict[int, list[Labelled]] = defaultdict(list)
    for one in labelled:
        for each in prints(one.log.content):
            by_print[each].append(one)
    struck = right = 0
    for one in labelled:
        alike = {
            other.log.id: replace(other.log, owner=other.owner)
            for each in prints(one.log.content)
            for other in by_print[each]
            if other.owner != one.owner
        }
        found = from_colleague(rules, one.log, list(alike.values()))
        struck += found is not None
        right += found is not None and one.false == "copied_colleague"
    return right / struck, right / sum(one.false == "copied_colleague" for one in labelled)


@pytest.mark.mission("S45")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_colleague_wrote_is_found_and_a_visit_together_is_not(seed: int) -> None:
    precision, recall = measure_colleagues(seed)
    assert precision >= 0.8
    assert recall >= 0.7


@pytest.mark.mission("S45")
def test_what_three_sellers_write_is_how_one_writes_and_prints_find_what_is_nearly_the_same() -> None:
    theirs = replace(
        OTHER, owner="rep9", content="生产总监担心换型停产, 约定下周三技术交流, 带财务一起谈", account_id="east"
    )
    mine = log(minutes=3000, content=theirs.content + "。")
    assert from_colleague(RULES, mine, [theirs]) is not None
    assert from_colleague(RULES, replace(mine, account_id="east", started=theirs.started), [theirs]) is None
    everybody = [replace(theirs, id=f"x{number}", owner=f"rep{number}") for number in range(3)]
    assert from_colleague(RULES, mine, everybody) is None
    assert from_colleague(RULES, replace(mine, content="约定下周三"), [theirs]) is None
    assert len(set(prints(theirs.content)) & set(prints(mine.content))) == 6
    assert not set(prints(theirs.content)) & set(prints(OTHER.content))
    assert prints("短") == []


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.TruthServiceStub:
    return company.live.stub(rpc.TruthServiceStub, person, role)


def january() -> Interval:
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(moment(date(2026, 1, 1), 8).replace(tzinfo=None))
    end.FromDatetime(moment(date(2026, 2, 1), 8).replace(tzinfo=None))
    return Interval(start_time=start, end_time=end)


@pytest.mark.mission("S45", "S50", "S51")
async def test_a_false_check_in_is_found_answered_and_judged(company: Company) -> None:
    live, refused = company.live, company.live.refused
    rep = live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
    place = {"position": LatLng(latitude=31.23, longitude=121.47)}
    file = await upload(company, picture(7))
    shown = {"photos": [logs.VisitPhoto(attachment_id=file.id, subject=PHOTOS[0])]}

    async def visit(hours: float, content: str, **fields: Any) -> logs.Activity:
        start = live.now - timedelta(hours=hours)
        request = call(company, kind=logs.ACTIVITY_KIND_VISIT, account_id=ACME, content=content, **fields)
        request.start_time.FromDatetime(start.replace(tzinfo=None))
        request.end_time.FromDatetime((start + timedelta(minutes=40)).replace(tzinfo=None))
        return await rep.LogActivity(request)

    true = await visit(30, TALK, visit={**place, **shown})
    hollow = await visit(5, "已沟通", visit=place)
    reused = await visit(2, "财务总监要求分期, 预算要等集团批复", visit={**place, **shown})
    assert hollow.authenticity == logs.AUTHENTICITY_UNCHECKED
    await live.advance(minutes=16)
    found = await client(company).ListFindings(pb.ListFindingsRequest())
    kinds = {one.activity_id: pb.FindingKind.Name(one.kind)[13:] for one in found.findings}
    assert kinds == {hollow.id: "NO_CONTENT", reused.id: "PHOTO_REUSED"}
    [finding] = [one for one in found.findings if one.activity_id == hollow.id]
    assert (finding.ownership.owner_id, finding.rule.rulebook) == ("rep1", "funnel.truth")
    assert "已沟通" in finding.evidence[0].text
    seen = await rep.GetActivity(logs.GetActivityRequest(activity_id=hollow.id))
    assert (seen.authenticity, list(seen.finding_ids)) == (logs.AUTHENTICITY_SUSPECT, [finding.id])
    genuine = await rep.GetActivity(logs.GetActivityRequest(activity_id=true.id))
    assert genuine.authenticity == logs.AUTHENTICITY_GENUINE
    told = [one for one in await live.told(events.ActivityLogged) if one.activity_id == reused.id]
    assert [(one.version, one.authenticity) for one in told] == [
        (1, logs.AUTHENTICITY_UNCHECKED),
        (2, logs.AUTHENTICITY_SUSPECT),
    ]

    mine = client(company, "rep1", "rep")
    answered = await mine.AnswerFinding(
        pb.AnswerFindingRequest(request_id=rid(), finding_id=finding.id, etag=finding.etag, answer="客户临时有事")
    )
    review = pb.ReviewFindingRequest(
        request_id=rid(), finding_id=finding.id, etag=finding.etag, verdict=pb.FINDING_STATE_CONFIRMED, comment="未到访"
    )
    manager = client(company, "m1", "manager")
    with refused("ABORTED", "ETAG_MISMATCH"):
        await manager.ReviewFinding(review)
    review.etag = answered.etag
    with refused("PERMISSION_DENIED"):
        await client(company, "m2", "manager").ReviewFinding(review)
    judged = await manager.ReviewFinding(review)
    assert (judged.state, judged.reviewer_id, judged.answer) == (pb.FINDING_STATE_CONFIRMED, "m1", "客户临时有事")
    review.request_id, review.etag = rid(), judged.etag
    with refused("FAILED_PRECONDITION", "FINDING_SETTLED"):
        await manager.ReviewFinding(review)
    after = await rep.GetActivity(logs.GetActivityRequest(activity_id=hollow.id))
    assert (after.authenticity, after.effective) == (logs.AUTHENTICITY_CONFIRMED_FALSE, False)
    [other] = [one for one in found.findings if one.activity_id == reused.id]
    dismissed = await client(company).ReviewFinding(
        pb.ReviewFindingRequest(
            request_id=rid(), finding_id=other.id, etag=other.etag, verdict=pb.FINDING_STATE_DISMISSED
        )
    )
    assert dismissed.state == pb.FINDING_STATE_DISMISSED
    cleared = await rep.GetActivity(logs.GetActivityRequest(activity_id=reused.id))
    assert (cleared.authenticity, len(cleared.finding_ids)) == (logs.AUTHENTICITY_GENUINE, 0)

    # Looking again changes nothing that was judged; looking for one rule raises no other.
    again = await client(company).ScanActivities(pb.ScanActivitiesRequest(request_id=rid(), period=january()))
    assert (again.examined, again.raised, again.withdrawn) == (3, 0, 0)
    report = await client(company, "boss", "executive").GetTruthReport(
        pb.GetTruthReportRequest(period=january(), by_person=True)
    )
    [row] = report.rows
    assert (row.group_key, row.claimed_visits, row.genuine_visits, row.confirmed_findings) == ("rep1", 3, 2, 1)
    by_kind = {pb.FindingKind.Name(one.kind)[13:]: one for one in report.precisions}
    assert {kind: one.raised for kind, one in by_kind.items()} == {"NO_CONTENT": 1, "PHOTO_REUSED": 1}
    for one in by_kind.values():
        assert (one.precision.explanation, one.precision.HasField("value")) == ("1 cases, it takes 5", False)
    with refused("NOT_FOUND", "FINDING_UNKNOWN"):
        await mine.GetFinding(pb.GetFindingRequest(finding_id=ACME))
    own = pb.ReviewFindingRequest(
        request_id=rid(), finding_id=finding.id, etag=judged.etag, verdict=pb.FINDING_STATE_OPEN
    )
    with refused("FAILED_PRECONDITION", "FINDING_SETTLED"):
        await client(company).ReviewFinding(own)


@pytest.mark.mission("S51")
async def test_ninety_eight_percent_visited_and_73_by_phone_is_red(company: Company) -> None:
    live = company.live
    kept = 98
    rows = [
        {
            "id": f"0190b000-0000-7000-8000-{number:012}",
            "version": 1,
            "kind": "visit",
            "state": "done" if number < kept else "planned",
            "owner_id": "rep1",
            "unit_id": "team1",
            "source": "crm",
            "planned_from": MONDAY + timedelta(days=number),
            "planned_to": MONDAY + timedelta(days=number, hours=1),
            "started_at": MONDAY + timedelta(days=number),
            "at": MONDAY + timedelta(days=number),
            "content": ("电话沟通, " if number % 100 < 72 else "")
            + f"第{number}家门店: 店长{'要求缩短交期' * (number % 3)}谈{number * 37}元积分",
            "script_version": "2025" if number % 2 else "2026",
            "updated_at": MONDAY,
        }
        for number in range(100)
    ]
    await remember(company, "activity", rows)
    await live.move_to(moment(date(2026, 7, 1), 9))
    period = Interval(
        start_time=Timestamp(seconds=int(MONDAY.timestamp()) - 60),
        end_time=Timestamp(seconds=int(live.now.timestamp())),
    )
    await client(company).ScanActivities(pb.ScanActivitiesRequest(request_id=rid(), period=period))
    plain = await company.gateless()
    for number in range(10):
        deal = await company.open(pipeline_id=plain)
        tx = live.process.database.transaction()
        tx.do(
            "UPDATE opportunity SET state = %(state)s, closed_at = %(at)s WHERE id = %(id)s",
            {"state": "won" if number < 1 else "lost", "at": live.now - timedelta(days=1), "id": deal.id},
        )
        await tx.commit()
    report = await client(company).GetTruthReport(pb.GetTruthReportRequest(period=period, by_person=True))
    [row] = report.rows
    assert (row.planned_visits, row.claimed_visits, row.claimed_ratio) == (100, 98, 0.98)
    assert row.call_ratio == pytest.approx(0.73, abs=0.01)
    assert row.industry_conversion_share == pytest.approx(0.5)
    assert row.light == common_pb2.LIGHT_RED
