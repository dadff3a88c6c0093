"""Where deals stick, and why: the case of the documents to the digit, and a log of another system (S43, S44)."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from closedloop.funnel.v1 import diagnosis_pb2 as pb
from closedloop.funnel.v1 import diagnosis_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_cli.loading import xes
from closedloop_funnel.activities import store as activity_store
from closedloop_funnel.diagnosis.rules import DiagnosisRules, Parked, Stays, causes, change, quantile, sticking
from closedloop_funnel.opportunities import store
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import PipelineRule, StageRule

from .conftest import PROFILE, Company, rid
from .raw_history import History, moment, spread
from .test_pipelines import publish

EMPTY, TALK = "已沟通", "客户担心数据迁移, 要求先看同行案例, 约定周五给报价"


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.DiagnosisServiceStub:
    return company.live.stub(rpc.DiagnosisServiceStub, person, role)


def span(begins: date, ends: date) -> Interval:
    stamps = [Timestamp(), Timestamp()]
    for stamp, day in zip(stamps, (begins, ends), strict=True):
        stamp.FromDatetime(moment(day, 0).astimezone(UTC).replace(tzinfo=None))
    return Interval(start_time=stamps[0], end_time=stamps[1])


async def remember(company: Company, history: History, *, known: bool = False) -> None:
    tx = company.live.process.database.transaction()
    (store.save if known else store.add)(tx, history.deals)
    store.add_moves(tx, history.moves)
    for one in history.activities:
        activity_store.add(tx, one)
    await tx.commit()


def saas() -> PipelineRules:
    """Contact, demo, after the demo, signing."""
    rules = PipelineRules()
    names = {"contact": "初次接触", "demo": "方案演示", "post_demo": "方案演示后", "signing": "签约谈判"}
    b2b = rules.pipelines["b2b"]
    stages = tuple(StageRule(key=key, name=name, probability=0.5, category="pipeline") for key, name in names.items())
    ends = tuple(stage for stage in b2b.stages if stage.kind in ("won", "lost"))
    road = PipelineRule(
        name="软件订阅",
        stages=(*stages, *(stage.model_copy(update={"next_stage_keys": ()}) for stage in ends)),
        reasons=b2b.reasons,
    )
    return rules.model_copy(update={"pipelines": {**rules.pipelines, "saas": road}, "default": "saas"})


def year_before() -> History:
    """Q4 2024: 100 leads, 40 signed, four days after the demo; four in five go on from there."""
    history = History()
    for number in range(100):
        signs = number < 40
        stays = [2, 2, 4, 2] if signs else [2, 2, 4] if number < 50 else [2]
        history.deal(date(2024, 10, 8) + timedelta(days=number % 28), stays, "won" if signs else "lost")
    return history


def collapse() -> History:
    """Q4 2025: leads +20 %, signings -35 %, 62 deals parked after the demo, eleven days on average."""
    history = History()
    for number, stay in enumerate(spread(110, 26)):
        history.deal(date(2025, 10, 9) + timedelta(days=number), [1, 2, stay, 2], "won")
    for number, stay in enumerate(spread(110, 62)):
        history.parked(date(2026, 1, 1), stay + (1 if number % 2 else -1), "post_demo", EMPTY if number < 48 else TALK)
    for number in range(32):
        history.parked(date(2026, 1, 1), 3, "contact" if number < 20 else "demo", None)
    return history


def recovery() -> History:
    """February 2026, the Spring Festival in it: 4.3 days after the demo, and four in five go on again."""
    history = History()
    for number, stay in enumerate(spread(43, 10)):
        signs = number < 8
        history.deal(date(2026, 2, 2), [1, 1, stay, 1] if signs else [1, 1, stay], "won" if signs else "lost")
    return history


@pytest.mark.mission("S43", "S44", "S47")
async def test_the_collapse_is_diagnosed_to_the_digit(company: Company) -> None:
    await publish(company, saas())
    fallen = collapse()
    for history in (year_before(), fallen):
        await remember(company, history)
    quarter = span(date(2025, 10, 1), date(2026, 1, 1))
    found = await client(company).DiagnoseFunnel(pb.DiagnoseFunnelRequest(request_id=rid(), period=quarter))
    assert (found.sticking_stage_key, found.sticking_stage_name) == ("post_demo", "方案演示后")
    assert (found.signing_change, found.lead_change) == (pytest.approx(-0.35), pytest.approx(0.20))
    assert found.parked_ratio == 62 / 94
    assert found.parked_ratio > 0.6
    assert found.mean_dwell_days == pytest.approx(11.0, abs=1e-9)
    assert found.baseline_mean_dwell_days == pytest.approx(4.0, abs=1e-9)
    assert found.baseline_period == span(date(2024, 10, 1), date(2025, 1, 1)), "the same quarter of the year before"
    assert (found.causes[0].cause, found.causes[0].share_ratio) == (pb.STICKING_CAUSE_EMPTY_CONTACTS, 48 / 62)
    assert len(found.causes[0].opportunity_ids) == 20
    [stage] = [one for one in found.stages if one.stage_key == "post_demo"]
    assert (stage.entered_count, stage.left_count, stage.parked_count) == (88, 26, 62)
    assert (stage.conversion_ratio, stage.baseline_conversion_ratio) == (26 / 88, 40 / 50)
    assert (found.case_count, found.rule.rule) == (120, "parked_share")
    for said in ("66.0%", "11.0", "-35%", "+20%", "方案演示后", "无实质内容"):
        assert said in found.summary

    await company.live.move_to(moment(date(2026, 3, 2), 9))
    await remember(company, recovery())
    await remember(company, fallen.cleared("post_demo", date(2026, 1, 20)), known=True)
    after = await client(company).DiagnoseFunnel(
        pb.DiagnoseFunnelRequest(
            request_id=rid(),
            period=span(date(2026, 2, 1), date(2026, 3, 1)),
            baseline_period=span(date(2024, 10, 1), date(2025, 1, 1)),
        )
    )
    [stage] = [one for one in after.stages if one.stage_key == "post_demo"]
    assert stage.mean_dwell_days == pytest.approx(4.3, abs=1e-9)
    assert (stage.parked_count, stage.conversion_ratio, stage.baseline_conversion_ratio) == (0, 0.8, 0.8)
    assert after.sticking_stage_key != "post_demo"
    read = await client(company, "boss", "executive").GetDiagnosis(pb.GetDiagnosisRequest(diagnosis_id=found.id))
    assert read == found
    listed = await client(company).ListDiagnoses(pb.ListDiagnosesRequest(page_size=1))
    assert [one.id for one in listed.diagnoses] == [after.id]
    assert not listed.diagnoses[0].stages
    older = await client(company).ListDiagnoses(pb.ListDiagnosesRequest(page_token=listed.next_page_token))
    assert [one.id for one in older.diagnoses] == [found.id]


@pytest.mark.mission("S44")
def test_a_stage_stands_out_by_its_stock_or_by_the_time_it_takes() -> None:
    rules = DiagnosisRules()
    full = Stays("full", parked=62, seconds=1)
    rest = Stays("rest", parked=38, seconds=99)
    assert sticking(rules, [full, rest]) == ("full", "parked_share")
    assert sticking(rules, [Stays("few", parked=9), Stays("slow", seconds=9)]) == ("slow", "dwell_share")
    level = [Stays(str(number), parked=10, seconds=1) for number in range(5)]
    assert sticking(rules, level) == ("", "")
    assert sticking(rules, []) == ("", "")
    assert (change(65, 100), change(1, 0)) == (-0.35, None)
    assert quantile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.5
    assert quantile([], 0.9) is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"contacts": 0}, ["no_follow_up"]),
        ({"contacts": 2, "effective": 0}, ["empty_contacts"]),
        ({"contacts": 2, "effective": 1, "pending": True, "unmet": True}, ["slow_approval"]),
        ({"contacts": 2, "effective": 1, "unmet": True}, ["unmet_evidence"]),
        ({"contacts": 2, "effective": 1}, ["unknown"]),
        ({"contacts": 2, "effective": 1, "owner_id": "busy"}, ["overload"]),
        ({"contacts": 2, "effective": 1, "customer_type": "startup"}, ["mix_shift"]),
    ],
)
def test_each_cause_is_told_from_the_others(shown: dict[str, Any], expected: list[str]) -> None:
    one = {"owner_id": "rep", "customer_type": "enterprise", "effective": 0, "pending": False, "unmet": False, **shown}
    parked = [Parked(opportunity_id=str(number), **one) for number in range(10)]
    found = causes(DiagnosisRules(), parked, {"busy": 41, "rep": 40}, {"enterprise": 0.9, "startup": 0.1})
    assert [cause.cause for cause in found] == expected
    assert causes(DiagnosisRules(), [], {}, {}) == []


def independent(path: Path) -> dict[str, list[float]]:
    """Days after each step until the next of its case, out of the text itself: no XML parser, no database."""
    stays: dict[str, list[float]] = defaultdict(list)
    for trace in gzip.decompress(path.read_bytes()).decode().split("<trace>")[1:]:
        steps = []
        for event in trace.split("<event>")[1:]:
            name = re.search(r'key="concept:name" value="([^"]*)"', event)
            time = re.search(r'key="time:timestamp" value="([^"]*)"', event)
            assert name
            assert time
            steps.append((name[1], datetime.fromisoformat(time[1])))
        for (step, at), (_, next_at) in pairwise(steps):
            stays[step].append((next_at - at) / timedelta(days=1))
    return stays


@pytest.mark.mission("S43", "S44", "U14")
async def test_a_log_of_another_system_says_where_its_cases_stick(company: Company, data_folder: Path) -> None:
    path = data_folder / "process" / "receipt.xes.gz"
    events = [item.message for item in xes.items(path)]
    request = pb.BulkImportProcessEventsRequest(request_id=rid(), process_log="receipt", events=events)
    checked = await client(company).BulkImportProcessEvents(
        pb.BulkImportProcessEventsRequest(
            request_id=rid(), process_log="receipt", events=events[:100], validate_only=True
        )
    )
    assert (checked.summary.created, checked.event_count) == (100, 0)
    first = await client(company).BulkImportProcessEvents(request)
    assert (first.summary.created, first.case_count, first.event_count) == (8577, 1434, 8577)
    request.request_id = rid()
    assert (await client(company).BulkImportProcessEvents(request)).summary.unchanged == 8577

    whole = span(date(2010, 1, 1), date(2012, 2, 1))
    found = await client(company).DiagnoseFunnel(
        pb.DiagnoseFunnelRequest(request_id=rid(), process_log="receipt", period=whole)
    )
    stays = independent(path)
    assert {stage.stage_key for stage in found.stages if stage.left_count} == set(stays)
    for stage in found.stages:
        days = stays.get(stage.stage_key, [])
        assert stage.left_count == len(days)
        if not days:
            continue
        assert stage.mean_dwell_days == pytest.approx(fmean(days), abs=1e-9)
        assert stage.median_dwell_days == pytest.approx(median(days), abs=1e-9)
        assert stage.total_dwell.ToTimedelta() / timedelta(days=1) == pytest.approx(sum(days), abs=1e-6)
        if len(days) > 1:
            tenths = quantiles(days, n=10, method="inclusive")
            assert stage.p90_dwell_days == pytest.approx(tenths[8], abs=1e-9)
    longest = max(stays, key=lambda step: sum(stays[step]))
    assert (found.sticking_stage_key, longest) == (longest, "T05 Print and send confirmation of receipt")
    assert found.mean_dwell_days == pytest.approx(fmean(stays[longest]), abs=1e-9)
    assert (found.case_count, found.event_count, found.rule.rule) == (1434, 8577, "dwell_share")

    exported = [
        event
        async for event in client(company).ExportProcess(pb.ExportProcessRequest(process_log="receipt", period=whole))
    ]
    assert len(exported) == 8577
    assert [event.time.ToMicroseconds() for event in exported] == sorted(e.time.ToMicroseconds() for e in events)
    as_they_came = {(event.case_id, event.position): event.step for event in events}
    assert {(event.case_id, event.position): event.step for event in exported} == as_they_came

    # A year in which nothing of it happened, a log nobody brought, a calendar nobody made.
    asked = pb.DiagnoseFunnelRequest(process_log="receipt", period=span(date(2020, 1, 1), date(2021, 1, 1)))
    for reason, code, change_ in (
        ("TOO_LITTLE_DATA", "FAILED_PRECONDITION", {}),
        ("PROCESS_LOG_UNKNOWN", "NOT_FOUND", {"process_log": "nobody's"}),
        ("CALENDAR_UNKNOWN", "FAILED_PRECONDITION", {"calendar": "moon", "period": whole}),
        ("PERIOD_OPEN", "INVALID_ARGUMENT", {"period": Interval(start_time=whole.start_time)}),
        (
            "TIMES_REVERSED",
            "INVALID_ARGUMENT",
            {"period": Interval(start_time=whole.end_time, end_time=whole.start_time)},
        ),
    ):
        bad = pb.DiagnoseFunnelRequest(request_id=rid())
        bad.MergeFrom(asked)
        for name, value in change_.items():
            if isinstance(value, str):
                setattr(bad, name, value)
            else:
                getattr(bad, name).CopyFrom(value)
        with company.live.refused(code, reason):
            await client(company).DiagnoseFunnel(bad)


@pytest.mark.mission("S43", "U14")
async def test_bad_rows_are_named_and_our_own_process_goes_out_step_by_step(company: Company) -> None:
    stamp = Timestamp(seconds=1_700_000_000)
    tomorrow = Timestamp(seconds=int((company.live.now + timedelta(days=1)).timestamp()))
    good = pb.ProcessEvent(case_id="c", position=0, step="A", time=stamp)
    answer = await client(company).BulkImportProcessEvents(
        pb.BulkImportProcessEventsRequest(
            request_id=rid(),
            process_log="x",
            events=[
                *(good, pb.ProcessEvent(case_id="c", position=1, step="B"), good, pb.ProcessEvent(time=stamp)),
                pb.ProcessEvent(case_id="c", position=2, step="C", time=tomorrow),
            ],
        )
    )
    assert [(one.row, one.reason) for one in answer.summary.errors] == [
        (1, "TIME_MISSING"),
        (2, "DUPLICATE_ROW"),
        (3, "ROW_INVALID"),
        (4, "TIME_IN_FUTURE"),
    ]
    assert answer.summary.created == 1
    with company.live.refused("FAILED_PRECONDITION", "TOO_LITTLE_DATA"):
        await client(company).DiagnoseFunnel(
            pb.DiagnoseFunnelRequest(request_id=rid(), process_log="x", period=span(date(2023, 1, 1), date(2024, 1, 1)))
        )
    deal = await company.open()
    await company.live.advance(days=1)
    await company.climb(deal, PROFILE)
    await company.open("rep2", "rep")
    january = span(date(2026, 1, 1), date(2026, 2, 1))
    mine = [
        event async for event in client(company, "m1", "manager").ExportProcess(pb.ExportProcessRequest(period=january))
    ]
    assert [(event.case_id, event.position, event.step) for event in mine] == [
        (deal.id, 0, "profile"),
        (deal.id, 1, "need"),
    ]
    assert dict(mine[1].attributes)["dwell_days"] == 1


async def test_the_month_before_is_diagnosed_by_itself(company: Company) -> None:
    await company.live.hear(
        targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1)
    )
    for _ in range(12):
        await company.open()
    await company.live.move_to(moment(date(2026, 2, 1), 1))
    listed = await client(company, "boss", "executive").ListDiagnoses(pb.ListDiagnosesRequest())
    [january] = listed.diagnoses
    assert january.period == span(date(2026, 1, 1), date(2026, 2, 1))
    assert (january.sticking_stage_key, january.case_count, january.parked_ratio) == ("profile", 12, 1)
    assert january.causes[0].cause == pb.STICKING_CAUSE_NO_FOLLOW_UP
    # February holds next to nothing new: the deals still stand, and that is what it says.
    others = await client(company, "m2", "manager").ListDiagnoses(pb.ListDiagnosesRequest())
    assert not others.diagnoses, "the company's is not for the leader of one region"
