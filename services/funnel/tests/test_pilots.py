"""The pilot of thirty days: bottlenecks out of the data, a frozen baseline, feedback, before and after (S101)."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any

import protovalidate
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import experiments_pb2, pipelines_pb2
from closedloop.funnel.v1 import pilots_pb2 as pb
from closedloop.funnel.v1 import pilots_pb2_grpc as rpc
from closedloop_chassis.ids import new_id
from closedloop_funnel import clustered, estimates
from closedloop_funnel.pilots import rules
from closedloop_funnel.pilots.rules import Found, Wait, pooled

from .conftest import Company, cny, day, remember, rid
from .raw_history import moment
from .test_effects import stay
from .test_performance import visit

EAST = [f"e{number}" for number in range(6)]
NORTH = [f"n{number}" for number in range(6)]
NEED = "stage:b2b/need"
VISITS = "metric:visit_completion"


def at(dom: int, hour: int = 9, month: int = 3) -> datetime:
    return moment(date(2026, month, dom), hour)


@pytest.mark.mission("S101")
def test_an_interval_is_as_wide_as_the_people_differ() -> None:
    """Two hundred pilots of twelve sellers with six cases each, other sellers after than before, and nothing changed."""
    draw = random.Random(5)

    def cases(of: str) -> dict[str, list[float]]:
        usual = {f"{of}{number}": draw.gauss(10, 2) for number in range(12)}
        return {person: [draw.gauss(own, 2) for _ in range(6)] for person, own in usual.items()}

    held = over_cases = 0
    for _ in range(200):
        values = cases("p")
        found = estimates.spread(pooled(values), "d")
        told = clustered.mean(found, values)
        held += told.low <= 10 <= told.high
        over_cases += found.low <= 10 <= found.high
    assert over_cases / 200 < 0.8
    assert 0.9 <= held / 200 <= 0.99
    before, after = {"a": [10.0, 10.0], "b": [20.0, 20.0]}, {"a": [5.0, 5.0], "b": [10.0, 10.0]}
    halved = clustered.relative(estimates.relative(pooled(before), pooled(after)), before, after)
    assert (halved.value, halved.method) == (-0.5, "mover, student_t, by person")
    alone = clustered.mean(estimates.spread([1.0, 2.0, 3.0], "d"), {"a": [1.0, 2.0, 3.0]})
    assert alone.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    none = clustered.mean(estimates.share(0, 40), {"a": [0.0] * 20, "b": [0.0] * 20})
    assert (none.low, none.high) == (0, pytest.approx(0.088, abs=0.001)), "nobody of forty is not never"


@pytest.mark.mission("S101")
def test_a_wait_counts_once_when_it_ends_or_falls_due() -> None:
    waits = [
        Wait("a", at(1), at(5), at(4)),
        Wait("a", at(1), at(5), at(9), worth=7.0),
        Wait("b", at(1), at(5), None, worth=3.0),
        # Decided before the time: what is cleared in it, late, is no news.
        Wait("b", at(20, month=2), at(25, month=2), at(3)),
        # Not decided yet.
        Wait("b", at(8), at(12), None, worth=5.0),
    ]
    assert rules.settled(waits, at(1), at(10)) == {"a": [0.0, 1.0], "b": [1.0]}
    assert rules.held_up(waits, at(10)) == 3
    assert rules.held_up(waits, at(12)) == 8
    assert rules.changes({"a": [1.0, 0.0], "b": [1.0], "c": []}, {"a": [0.0], "c": [1.0]}) == [-0.5]
    assert rules.pooled({"b": [2.0], "a": [1.0, 0.0]}) == [1.0, 0.0, 2.0]


@pytest.mark.mission("S101")
def test_what_costs_most_stands_first() -> None:
    found = [Found("x", 0.5, None), Found("y", 0.1, 100), Found("z", 0.9, None), Found("w", 0.1, 200)]
    assert [one.key for one in rules.ranked(found)] == ["w", "y", "z", "x"]
    assert [one.key for one in rules.ranked([Found("x", 9, 900, undecided=True), *found])][-1] == "x"
    assert rules.beyond(0.9, 0.87, 0.93, 0.95, rising=True)
    assert rules.beyond(0.9, 0.80, 0.96, 0.95, rising=True) is None, "healthy lies within its interval"
    assert rules.beyond(0.95, 0.9, 0.99, 0.95, rising=True) is False
    assert rules.beyond(6.0, 5.6, 6.4, 5.5, rising=False)
    assert rules.beyond(6.0, 4.0, 8.0, 5.5, rising=False) is None


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.PilotServiceStub:
    return company.live.stub(rpc.PilotServiceStub, person, role)


def span(begins: datetime, ends: datetime) -> Interval:
    return Interval(
        start_time=Timestamp(seconds=int(begins.timestamp())), end_time=Timestamp(seconds=int(ends.timestamp()))
    )


async def _stays(
    company: Company, people: list[str], first: date, overdue: int, each: int = 5, left: bool = True
) -> list[str]:
    """So many stays of each in the need stage from that Monday on; the first ones for two weeks, the others for a day."""
    deals: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    for person in people:
        for number in range(each):
            deal, steps = stay(first + timedelta(days=14 if number < overdue else 1), went_on=not left)
            deal |= {
                "owner_id": person,
                "unit_id": "team1" if person in EAST else "north",
                "reporting_minor": 10_000_000,
            }
            steps[0]["at"] = moment(first, 10)
            if not left:
                deal |= {"stage_key": "need", "stage_entered_at": steps[0]["at"], "move_count": 1}
            deals.append(deal)
            moves += steps if left else steps[:1]
    await remember(company, "opportunity", deals)
    await remember(company, "stage_move", moves)
    return [deal["id"] for deal in deals]


async def _quotes(company: Company, deals: list[str], pending: int) -> None:
    """One for each deal, handed in on a Monday morning: the first ones wait still, the others were decided by noon."""
    handed = moment(date(2025, 12, 15), 10)
    rows = [
        {
            "id": new_id(), "revision": 1, "opportunity_id": deal, "number": f"Q{number}", "version": 1,
            "state": "submitted" if number < pending else "approved", "lines": [], "currency": "CNY", "list_minor": 0,
            "total_minor": 0, "discount_ratio": 0, "terms": "", "justification": "", "attachment_ids": [],
            "approval_id": "", "approval_state": "pending" if number < pending else "approved", "decider_ids": [],
            "decided_at": None if number < pending else handed + timedelta(hours=2), "approval_comment": "",
            "content_digest": "", "submitted_revision": 1, "submitted_at": handed, "answer_comment": "",
            "custom_fields": {}, "author_id": "e0", "created_at": handed, "updated_at": handed,
        }
        for number, deal in enumerate(deals)
    ]  # fmt: skip
    await remember(company, "quote", rows)


async def _visits(company: Company, people: list[str], first: date, done: int) -> None:
    rows = [
        {
            **visit("rep1", first, number, done=number < done),
            "owner_id": person,
            "unit_id": "team1" if person in EAST else "north",
        }
        for person in people
        for number in range(5)
    ]
    await remember(company, "activity", rows)


@pytest.mark.mission("S101", "S44")
async def test_a_month_on_two_bottlenecks_against_before_and_against_others(company: Company) -> None:
    live, refused, ops = company.live, company.live.refused, client(company)
    await live.organise(
        units=[],
        people=[
            *((one, "team1", one, ["rep"]) for one in EAST),
            *((one, "north", one, ["rep"]) for one in NORTH),
        ],
    )
    empty = await ops.ListBottlenecks(pb.ListBottlenecksRequest())
    assert not empty.bottlenecks, "of nothing nothing is said"

    def wanted(**fields: Any) -> pb.CreatePilotRequest:
        fields.setdefault("bottleneck_keys", [NEED, VISITS])
        fields.setdefault("unit_ids", ["east"])
        fields.setdefault("start_date", day(2026, 1, 5))
        return pb.CreatePilotRequest(
            request_id=rid(), name="需求阶段提速", measures="每周一清点需求阶段, 逐单定下一步", **fields
        )

    with refused("FAILED_PRECONDITION", "TOO_LITTLE_DATA"):
        await ops.CreatePilot(wanted())
    # December: four of five stays last too long, everywhere; two more of each seller in the east have stood there since.
    deals = await _stays(company, [*EAST, *NORTH], date(2025, 12, 8), overdue=4)
    await _quotes(company, [*deals[::5], *deals[1::5]], pending=10)
    await _stays(company, EAST, date(2025, 12, 8), overdue=2, each=2, left=False)
    await _visits(company, [*EAST, *NORTH], date(2025, 12, 15), done=2)

    found = (await ops.ListBottlenecks(pb.ListBottlenecksRequest())).bottlenecks
    need = found[0]
    assert (need.key, need.metric_key, need.healthy) == (NEED, "stage_overdue", 0.1)
    assert (need.value.value, need.value.sample_size, need.value.method) == (60 / 72, 72, "wilson, by person")
    # Twelve that still stand there, each 100,000 at a probability of one half.
    assert need.cost == cny(600_000)
    said = {one.name: one.value for one in need.evidence}
    assert (said["held_up"], said["sticking"]) == (12, 1)
    assert said["parked_share"] == 1
    quote = found[1]
    assert (quote.key, quote.value.value, quote.cost) == ("approval:quote", 10 / 24, cny(500_000))
    assert {one.key for one in found} >= {NEED, VISITS}
    assert not found[-1].HasField("cost")
    page = await ops.ListBottlenecks(pb.ListBottlenecksRequest(page_size=1))
    rest = await ops.ListBottlenecks(pb.ListBottlenecksRequest(page_token=page.next_page_token))
    assert [*page.bottlenecks, *rest.bottlenecks] == list(found)
    north = await client(company, "m2", "manager").ListBottlenecks(pb.ListBottlenecksRequest())
    assert next(one for one in north.bottlenecks if one.key == NEED).value.sample_size == 30, "as far as he reaches"
    # Of five of one seller alone: too few to say, and it is said.
    one = pb.ListBottlenecksRequest(scope=pipelines_pb2.FunnelScope(owner_id=NORTH[0]))
    few = {each.key: each for each in (await ops.ListBottlenecks(one)).bottlenecks}[NEED]
    assert (few.undecided, few.value.HasField("value"), few.value.explanation) == (True, False, "5 cases, it takes 20")
    assert [one.undecided for one in found] == sorted(one.undecided for one in found), "last what cannot be said"
    assert (need.undecided, quote.undecided) == (False, False)
    with refused("NOT_FOUND", "UNIT_UNKNOWN"):
        await ops.ListBottlenecks(pb.ListBottlenecksRequest(scope=pipelines_pb2.FunnelScope(unit_id="nosuch")))
    narrow = pb.ListBottlenecksRequest(scope=pipelines_pb2.FunnelScope(customer_type="school"))
    assert not (await ops.ListBottlenecks(narrow)).bottlenecks
    with refused("INVALID_ARGUMENT", "TIMES_REVERSED"):
        await ops.ListBottlenecks(pb.ListBottlenecksRequest(period=span(at(5), at(4))))

    for fields, reason in (
        ({"bottleneck_keys": ["stage:moon"]}, "BOTTLENECK_UNKNOWN"),
        ({"unit_ids": ["moon"]}, "UNIT_UNKNOWN"),
        ({"comparison_unit_ids": ["team1"]}, "UNITS_OVERLAP"),
        ({"end_date": day(2026, 1, 4)}, "DATES_REVERSED"),
        ({"end_date": day(2026, 12, 31)}, "PILOT_TOO_LONG"),
        ({"start_date": day(2025, 12, 1)}, "START_OUT_OF_RANGE"),
        ({"start_date": day(2027, 1, 1)}, "START_OUT_OF_RANGE"),
        ({"baseline_period": span(at(5, month=1), at(12, month=1))}, "BASELINE_NOT_OVER"),
    ):
        with refused("INVALID_ARGUMENT", reason):
            await ops.CreatePilot(wanted(**fields))
    with refused("PERMISSION_DENIED"):
        await client(company, "m2", "manager").CreatePilot(wanted())
    pilot = await ops.CreatePilot(wanted(comparison_unit_ids=["north"]))
    assert (pilot.state, pilot.end_date) == (pb.PILOT_STATE_RUNNING, day(2026, 2, 3))
    assert [one.key for one in pilot.bottlenecks] == [NEED, VISITS]
    assert (pilot.bottlenecks[0].value.value, pilot.bottlenecks[1].value.value) == (36 / 42, 0.4)
    for fields in ({"unit_ids": ["team1"]}, {"unit_ids": ["north"]}, {"unit_ids": ["co"]}):
        with refused("FAILED_PRECONDITION", "UNIT_IN_ANOTHER_PILOT"):
            await ops.CreatePilot(wanted(**fields))

    # Its month: one of five in the east, four of five in the north; visits as before.
    await _stays(company, EAST, date(2026, 1, 6), overdue=1)
    await _stays(company, NORTH, date(2026, 1, 6), overdue=4)
    await _visits(company, [*EAST, *NORTH], date(2026, 1, 7), done=2)
    get = pb.GetPilotRequest(pilot_id=pilot.id)
    before = await ops.GetPilot(get)
    assert before.results[0].before.value == 36 / 42
    assert before.results[0].after.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY, "it has just begun"
    rep = client(company, "e0", "rep")
    feedback = pb.RecordPilotFeedbackRequest(request_id=rid(), pilot_id=pilot.id, rating=4, text="单子清楚多了")
    with refused("PERMISSION_DENIED"):
        await client(company, "n0", "rep").RecordPilotFeedback(feedback)
    await rep.RecordPilotFeedback(feedback)
    feedback.request_id, feedback.rating, feedback.text = rid(), 2, "表格太多"
    said_so = await client(company, "e1", "rep").RecordPilotFeedback(feedback)
    assert {(one.person_id, one.rating) for one in said_so.feedback} == {("e0", 4), ("e1", 2)}
    # Of what has only begun nothing is spread.
    early = pb.ConcludePilotRequest(
        request_id=rid(), pilot_id=pilot.id, etag=before.etag, decision=pb.PILOT_DECISION_SPREAD, conclusion="推广"
    )
    for early.decision in (pb.PILOT_DECISION_SPREAD, pb.PILOT_DECISION_CHANGE):
        with refused("FAILED_PRECONDITION", "PILOT_RUNS"):
            await ops.ConcludePilot(early)
    # Half-way whoever has said nothing is asked; at the end its owner.
    live.process.time.stop_at(at(20, month=1))
    await live.settle()
    asked = [one.content for one in await live.told(approvals.TaskRequested) if one.content.subject_id == pilot.id]
    assert {one.ownership.owner_id for one in asked} == {*EAST[2:], "rep1"}
    live.process.time.stop_at(at(4, month=2))
    await live.settle()
    [over] = [
        one.content for one in await live.told(approvals.TaskRequested) if one.content.warning == "funnel.pilot_over"
    ]
    assert over.ownership.owner_id == "ops"

    for one in await live.told(approvals.TaskRequested):
        protovalidate.validate(one)

    seen = await rep.GetPilot(get)
    stage, visits = seen.results
    assert (stage.name, stage.after.value, stage.after.sample_size) == (NEED, 0.2, 30)
    assert stage.change.value == pytest.approx(0.2 / (36 / 42) - 1)
    assert stage.change.verdict == experiments_pb2.ESTIMATE_VERDICT_LOWER
    # 6 of 7 before in the east, four of five in the north; a fifth after in the east, four of five in the north.
    assert seen.net_effects[0].value == pytest.approx(0.2 - 6 / 7)
    assert (seen.net_effects[0].verdict, seen.net_effects[0].sample_size) == (
        experiments_pb2.ESTIMATE_VERDICT_LOWER,
        12,
    )
    assert seen.net_effects[0].method == "difference_in_differences, welch_t"
    assert visits.change.verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    assert seen.net_effects[1].verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    with refused("PERMISSION_DENIED"):
        await client(company, "n0", "rep").GetPilot(get)

    end = pb.ConcludePilotRequest(
        request_id=rid(), pilot_id=pilot.id, etag="x", decision=pb.PILOT_DECISION_SPREAD, conclusion="推广到全国"
    )
    with refused("ABORTED", "ETAG_MISMATCH"):
        await ops.ConcludePilot(end)
    end.etag = seen.etag
    done = await ops.ConcludePilot(end)
    assert (done.state, done.decision) == (pb.PILOT_STATE_CONCLUDED, pb.PILOT_DECISION_SPREAD)
    assert list(done.results) == list(seen.results)
    assert over.cause_key in {one.cause_key for one in await live.told(approvals.TaskWithdrawn)}
    end.request_id, feedback.request_id = rid(), rid()
    with refused("FAILED_PRECONDITION", "PILOT_CONCLUDED"):
        await ops.ConcludePilot(end)
    with refused("FAILED_PRECONDITION", "PILOT_CONCLUDED"):
        await rep.RecordPilotFeedback(feedback)
    # What is learned later changes nothing of what was decided on.
    await _stays(company, EAST, date(2026, 1, 13), overdue=5)
    assert list((await ops.GetPilot(get)).results) == list(done.results)
    alone = await ops.CreatePilot(wanted(start_date=day(2026, 2, 5), bottleneck_keys=[NEED]))
    none = await ops.GetPilot(pb.GetPilotRequest(pilot_id=alone.id))
    assert none.net_effects[0].verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    listed = await rep.ListPilots(pb.ListPilotsRequest())
    assert [one.id for one in listed.pilots] == [alone.id, pilot.id]
    only = await ops.ListPilots(pb.ListPilotsRequest(state=pb.PILOT_STATE_CONCLUDED, unit_id="co"))
    assert [one.id for one in only.pilots] == [pilot.id]
    assert not (await client(company, "n0", "rep").ListPilots(pb.ListPilotsRequest())).pilots
    with refused("NOT_FOUND", "PILOT_UNKNOWN"):
        await ops.GetPilot(pb.GetPilotRequest(pilot_id=new_id()))
    early.pilot_id, early.etag, early.decision = none.id, none.etag, pb.PILOT_DECISION_DROP
    assert (await ops.ConcludePilot(early)).decision == pb.PILOT_DECISION_DROP
