"""The circuit breaker: opens and closes by rule, by hand with a reason; customers hears of it (S55)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import breakers_pb2 as pb
from closedloop.funnel.v1 import breakers_pb2_grpc as rpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_funnel.breakers.rules import BreakerRules, closes, opens

from .conftest import ACME, Company, cny, remember, rid
from .raw_history import moment
from .test_performance import visit

MONDAY = date(2026, 1, 5)
NOW = moment(MONDAY, 9)


@pytest.mark.mission("S55")
@pytest.mark.parametrize(
    ("visits", "opportunities", "expected"),
    [(51, 2, True), (50, 0, False), (51, 3, False), (500, 0, True), (0, 0, False)],
)
def test_more_than_fifty_visits_and_fewer_than_three_opportunities(
    visits: int, opportunities: int, expected: bool
) -> None:
    assert opens(BreakerRules(), visits, opportunities) is expected


def test_it_closes_by_opportunities_or_by_time() -> None:
    rules, later = BreakerRules(), NOW + timedelta(days=14)
    assert closes(rules, 2, later, NOW) == ""
    assert "3 valid" in closes(rules, 3, later, NOW)
    assert "longest" in closes(rules, 0, later, later)


def client(company: Company, person: str = "m1", role: str = "manager") -> rpc.BreakerServiceStub:
    return company.live.stub(rpc.BreakerServiceStub, person, role)


@pytest.mark.mission("S55", "S102")
async def test_leads_stop_by_rule_and_flow_again_by_rule_or_by_hand(company: Company) -> None:
    live, refused = company.live, company.live.refused
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    busy = [visit(owner, MONDAY, number, done=True) for owner in ("rep1", "rep2") for number in range(51)]
    # One of them was found false, and does not count; fifty are not too many.
    busy[-1]["authenticity"] = "confirmed_false"
    await remember(company, "activity", busy)
    await company.open(account_id=ACME)
    await company.open(account_id=ACME)
    # Without an account it is not valid.
    await company.open()
    await live.move_to(moment(MONDAY, 23))
    [stopped] = await live.told(events.LeadFeedSuspended)
    assert (stopped.person_id, stopped.version, stopped.rule.rulebook) == ("rep1", 1, "funnel.breakers")
    assert "51 visits" in stopped.rule.explanation
    [training] = [t.content for t in await live.told(approvals.TaskRequested) if t.content.warning == "funnel.breaker"]
    assert (training.assignee_role, training.ownership.owner_id) == ("owner", "rep1")
    assert "高效拜访训练包" in training.title

    seen = await client(company, "rep1", "rep").GetBreaker(pb.GetBreakerRequest())
    assert (seen.state, seen.visit_count, seen.opportunity_count) == (pb.BREAKER_STATE_OPEN, 51, 2)
    assert list(seen.remaining_conditions) == ["3 more valid new opportunities"]
    calm = await client(company, "m2", "manager").GetBreaker(pb.GetBreakerRequest(person_id="rep2"))
    assert (calm.state, calm.visit_count, len(calm.history)) == (pb.BREAKER_STATE_CLOSED, 50, 0)
    await live.advance(days=1)
    assert len(await live.told(events.LeadFeedSuspended)) == 1, "open is open"
    for _ in range(3):
        await company.open(account_id=ACME, amount=cny(10))
    await live.advance(days=1)
    [flows] = await live.told(events.LeadFeedResumed)
    assert (flows.person_id, flows.version) == ("rep1", 2)
    assert "funnel.breaker:rep1" in {one.cause_key for one in await live.told(approvals.TaskWithdrawn)}
    seen = await client(company).GetBreaker(pb.GetBreakerRequest(person_id="rep1"))
    assert [one.state for one in seen.history] == [pb.BREAKER_STATE_CLOSED, pb.BREAKER_STATE_OPEN]

    # The week after, rep2: opened again, and closed by a leader who says why.
    await live.move_to(moment(date(2026, 1, 12), 9))
    await remember(company, "activity", [visit("rep2", date(2026, 1, 12), number, done=True) for number in range(60)])
    await live.move_to(moment(date(2026, 1, 12), 23))
    listed = await client(company, "boss", "executive").ListBreakers(pb.ListBreakersRequest(page_size=1))
    assert [(one.person_id, one.state) for one in listed.breakers] == [("rep2", pb.BREAKER_STATE_OPEN)]
    rest = await client(company, "boss", "executive").ListBreakers(
        pb.ListBreakersRequest(page_token=listed.next_page_token)
    )
    assert [(one.person_id, one.state) for one in rest.breakers] == [("rep1", pb.BREAKER_STATE_CLOSED)]
    ask = pb.CloseBreakerRequest(request_id=rid(), person_id="rep2", etag="nonsense", reason="展会周")
    with refused("PERMISSION_DENIED"):
        await client(company, "m1").CloseBreaker(ask)
    with refused("ABORTED", "ETAG_MISMATCH"):
        await client(company, "m2").CloseBreaker(ask)
    ask.etag = listed.breakers[0].etag
    closed = await client(company, "m2").CloseBreaker(ask)
    assert (closed.state, closed.closed_by, closed.close_reason) == (pb.BREAKER_STATE_CLOSED, "m2", "展会周")
    ask.request_id = rid()
    with refused("FAILED_PRECONDITION", "BREAKER_CLOSED"):
        await client(company, "m2").CloseBreaker(ask)
    await live.advance(days=1)
    assert len(await live.told(events.LeadFeedSuspended)) == 2, "closed for this week"
    with refused("NOT_FOUND", "PERSON_UNKNOWN"):
        await client(company, "ops", "operations").GetBreaker(pb.GetBreakerRequest(person_id="nobody"))
