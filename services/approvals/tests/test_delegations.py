"""Dated standing-in: X for Y, while it lasts, up to an amount, one step deep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import delegations_pb2 as pb
from closedloop.approvals.v1 import requests_pb2, tasks_pb2
from closedloop.integrations.v1.events_pb2 import DeliveryRequested
from closedloop.targets.v1.events_pb2 import PersonChanged
from closedloop_approvals.delegations import rules
from closedloop_approvals.delegations.rules import Standing
from closedloop_approvals.standing_in import StandIn
from closedloop_chassis import errors

from .conftest import ACCOUNT, Company, approval, asked, cny, facts, looks_on, quote, rid, state
from .test_backtest import policies, publish

NOW = datetime(2026, 1, 5, tzinfo=UTC)


async def delegate(
    company: Company, who: str, to: str, start: float = 0, end: float = 24, **more: Any
) -> pb.Delegation:
    now = company.live.now
    period = {"start_time": now + timedelta(hours=start), "end_time": now + timedelta(hours=end)}
    call = pb.CreateDelegationRequest(request_id=rid(), delegate_id=to, period=period, reason="休假", **more)
    return await company.delegations(who).CreateDelegation(call)


@pytest.mark.mission("U9")
async def test_x_signs_for_y_while_it_lasts(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    made = await delegate(company, "lead", "cfo", end=2)
    assert made.state == pb.DELEGATION_STATE_IN_FORCE
    held = await company.decide("cfo", held, comment="代签")
    assert (state(held), held.decided_by) == ("approved", "cfo")
    [signer] = held.steps[0].signers
    assert (signer.person_id, signer.signed_by) == ("lead", "cfo")
    assert (await company.trail(held))[-1] == "approved:cfo for lead"
    other = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15)))
    told = [d.content.recipient.person_id for d in await company.live.told(DeliveryRequested)]
    assert told == ["lead", "lead", "cfo"], "who stands in is told as well"
    await company.live.advance(hours=3)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.decide("cfo", other)
    assert state(await company.decide("lead", other)) == "approved"


@pytest.mark.mission("U9")
async def test_the_delegator_keeps_his_right_and_parties_gain_none(company: Company) -> None:
    await delegate(company, "lead", "rep")
    held = await company.ask(approval(told=facts(0.15)))
    with company.live.refused("PERMISSION_DENIED", "OWN_REQUEST"):
        await company.decide("rep", held)
    assert state(await company.decide("lead", held)) == "approved"


async def test_what_is_delegated_goes_no_further(company: Company) -> None:
    await delegate(company, "lead", "peer")
    await delegate(company, "peer", "cfo")
    held = await company.ask(approval(told=facts(0.15)))
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.decide("cfo", held)
    assert state(await company.decide("peer", held)) == "approved"


@pytest.mark.mission("U9", "U10")
async def test_who_stands_in_signs_and_gives_nothing_on(company: Company) -> None:
    """Handing over what was delegated would make a delegate of a delegate, for good."""
    held = await company.ask(approval(told=facts(0.15)))
    await delegate(company, "lead", "peer", end=48)
    call = requests_pb2.HandOverRequest(
        request_id=rid(), id=held.id, etag=held.etag, to_person_id="north_rep", reason="我也不在"
    )
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.requests("peer").HandOver(call)
    await company.live.advance(hours=5)
    reminded = [d.content.recipient.person_id for d in await company.live.told(DeliveryRequested)]
    assert reminded == ["lead", "lead", "peer"], "half time is told to both"
    held = await company.read(held.id)
    row = requests_pb2.DecideRow(id=held.id, etag=held.etag, verdict=requests_pb2.VERDICT_APPROVE)
    await company.requests("peer").BulkDecide(requests_pb2.BulkDecideRequest(request_id=rid(), rows=[row]))
    assert state(await company.read(held.id)) == "approved"
    assert {"actor_id": "peer", "on_behalf_of": "lead"} in await company.live.db.all(
        "SELECT actor_id, on_behalf_of FROM audit_entry WHERE action = 'approve'"
    )


@pytest.mark.mission("U9", "S65")
async def test_what_escalates_to_the_absent_is_told_to_who_stands_in(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    await delegate(company, "director", "cfo", end=48)
    await company.live.advance(hours=10)
    told = [d.content for d in await company.live.told(DeliveryRequested)]
    escalated = [c.recipient.person_id for c in told if c.template.template == "approval_escalated"]
    assert escalated == ["director", "cfo"]
    done = await company.decide("cfo", await company.read(held.id))
    assert (state(done), (await company.trail(done))[-1]) == ("approved", "approved:cfo for director")


@pytest.mark.mission("U9", "S64")
async def test_whose_own_turn_is_still_to_come_does_not_sign_for_the_one_before(company: Company) -> None:
    """One after the other means one and another, also when the second stands in for the first."""
    both = [{"name": "s", "mode": "sequence", "signers": ["person:lead", "person:director"]}]
    await publish(company, policies=policies(discount={"steps": both}))
    await company.live.advance(minutes=1)
    await delegate(company, "lead", "director")
    held = await company.ask(approval(told=facts(0.15)))
    assert asked(held) == ["lead"]
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.decide("director", held)
    held = await company.decide("lead", held)
    assert state(await company.decide("director", held)) == "approved"


@pytest.mark.mission("U9", "S63")
async def test_two_tiers_are_two_people(company: Company) -> None:
    """Who signed for the manager does not sign for the director too: neither standing in for him nor in his seat."""
    await delegate(company, "director", "lead", end=48)
    held = await company.decide("lead", await company.ask())
    assert asked(held) == ["director"]
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.decide("lead", held)
    for person, giver in (("ops", "director"), ("director", "")):
        call = requests_pb2.HandOverRequest(
            request_id=rid(), id=held.id, etag=held.etag, from_person_id=giver, to_person_id="lead", reason="出差"
        )
        with company.live.refused("ALREADY_EXISTS", "ALREADY_A_SIGNER"):
            await company.requests(person).HandOver(call)
    assert state(await company.decide("director", held)) == "approved"
    signed = [line for line in await company.trail(held) if line.startswith("approved")]
    assert signed == ["approved:lead", "approved:director"]


@pytest.mark.mission("U9")
async def test_a_stand_in_who_left_stands_in_for_nobody(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    await delegate(company, "lead", "peer")
    gone = PersonChanged(person_id="peer", unit_id="team1", name="peer", active=False, version=10**6)
    gone.roles.append(1)
    await company.live.hear(gone, "peer", source="targets")
    row = requests_pb2.DecideRow(id=held.id, etag=held.etag, verdict=requests_pb2.VERDICT_APPROVE)
    stub = company.requests("peer", "rep")
    task = await company.raise_task("ops", assignee_id="lead")
    done = tasks_pb2.CompleteTaskRequest(request_id=rid(), id=task.id, etag=task.etag)
    with company.live.refused("PERMISSION_DENIED", "NOT_THE_ASSIGNEE"):
        await company.tasks("peer", "rep").CompleteTask(done)
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.decide("peer", held)
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await stub.BulkDecide(requests_pb2.BulkDecideRequest(request_id=rid(), rows=[row]))
    add = requests_pb2.AddSignerRequest(
        request_id=rid(), id=held.id, etag=held.etag, person_id="cfo", placement=1, reason="?"
    )
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await stub.AddSigner(add)
    assert state(await company.read(held.id)) == "pending"


async def test_kinds_and_amounts_bound_it(company: Company) -> None:
    await delegate(company, "lead", "cfo", request_kinds=["quote"], amount_limit=cny(50_000))
    small = await company.ask(approval(quote(subject_id="S"), facts(0.15, 50_000)))
    large = await company.ask(approval(quote(subject_id="L"), facts(0.15, 50_000.01)))
    contract = await company.ask(approval(quote(subject_id="C", kind="contract"), facts(0.15, 1)))
    for held in (large, contract):
        with company.live.refused("PERMISSION_DENIED"):
            await company.decide("cfo", held)
    assert state(await company.decide("cfo", small)) == "approved"


async def test_for_whom_one_signs_is_said_where_it_could_be_both(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.25)))
    await company.live.advance(hours=9, minutes=1)
    await delegate(company, "lead", "director")
    held = await company.read(held.id)
    held = await company.decide("director", held, on_behalf_of="lead")
    assert "approved:director for lead" in await company.trail(held)
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await company.decide("director", held, on_behalf_of="cfo")


async def test_refusals(company: Company) -> None:
    await looks_on(company, "auditor")
    first = await delegate(company, "lead", "peer", 0, 24, request_kinds=["quote"])
    for person, to, code, reason, more in (
        ("lead", "lead", "INVALID_ARGUMENT", "DELEGATION_TO_SELF", {}),
        ("lead", "nobody", "INVALID_ARGUMENT", "DELEGATE_NOT_FOUND", {}),
        ("lead", "auditor", "INVALID_ARGUMENT", "DELEGATE_ONLY_LOOKS_ON", {}),
        ("lead", "cfo", "FAILED_PRECONDITION", "DELEGATION_OVERLAPS", {}),
        ("lead", "cfo", "FAILED_PRECONDITION", "DELEGATION_OVERLAPS", {"request_kinds": ["quote", "contract"]}),
        ("peer", "lead", "FAILED_PRECONDITION", "DELEGATION_CYCLE", {}),
        ("lead", "cfo", "INVALID_ARGUMENT", "PERIOD_INVALID", {"start": 30, "end": 29}),
        ("lead", "cfo", "INVALID_ARGUMENT", "PERIOD_INVALID", {"start": -9, "end": -1}),
        ("peer", "cfo", "PERMISSION_DENIED", "OUT_OF_SCOPE", {"delegator_id": "lead"}),
        ("lead", "cfo", "PERMISSION_DENIED", "OUT_OF_SCOPE", {"delegator_id": "north_rep"}),
        ("ops", "cfo", "INVALID_ARGUMENT", "DELEGATOR_NOT_FOUND", {"delegator_id": "nobody"}),
        ("ops", "ops", "PERMISSION_DENIED", "OUT_OF_SCOPE", {"delegator_id": "boss"}),
    ):
        with company.live.refused(code, reason):
            await delegate(company, person, to, **more)
    await delegate(company, "lead", "cfo", 0, 24, request_kinds=["contract"])
    await delegate(company, "lead", "cfo", 24, 48)
    await delegate(company, "lead", "peer", delegator_id="rep")
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.delegations("north_rep").GetDelegation(pb.GetDelegationRequest(id=first.id))
    assert await company.delegations("peer").GetDelegation(pb.GetDelegationRequest(id=first.id)) == first
    with company.live.refused("NOT_FOUND", "DELEGATION_UNKNOWN"):
        await company.delegations("peer").GetDelegation(pb.GetDelegationRequest(id=ACCOUNT))


async def test_ended_early_the_work_goes_back(company: Company) -> None:
    made = await delegate(company, "lead", "cfo", 0, 48)
    planned = await delegate(company, "lead", "cfo", 72, 96)
    assert planned.state == pb.DELEGATION_STATE_PLANNED
    held = await company.ask(approval(told=facts(0.15)))

    def end(delegation: pb.Delegation, **more: Any) -> pb.EndDelegationRequest:
        return pb.EndDelegationRequest(request_id=rid(), id=delegation.id, etag=delegation.etag, **more)

    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.delegations("cfo").EndDelegation(end(made))
    with company.live.refused("INVALID_ARGUMENT", "PERIOD_INVALID"):
        await company.delegations("lead").EndDelegation(end(made, end_time=company.live.now + timedelta(days=9)))
    ended = await company.delegations("lead").EndDelegation(end(made))
    assert ended.state == pb.DELEGATION_STATE_ENDED
    with company.live.refused("FAILED_PRECONDITION", "DELEGATION_ENDED"):
        await company.delegations("lead").EndDelegation(end(ended))
    with company.live.refused("PERMISSION_DENIED"):
        await company.decide("cfo", held)
    assert (await company.delegations("lead").EndDelegation(end(planned))).state == pb.DELEGATION_STATE_ENDED

    async def listed(person: str, **filters: Any) -> list[str]:
        answer = await company.delegations(person).ListDelegations(pb.ListDelegationsRequest(**filters))
        return [delegation.id for delegation in answer.delegations]

    assert await listed("lead") == await listed("cfo") == [planned.id, made.id]
    assert await listed("lead", states=[pb.DELEGATION_STATE_IN_FORCE]) == []
    assert await listed("director", person_id="lead") == [planned.id, made.id]
    with company.live.refused("PERMISSION_DENIED"):
        await listed("peer", person_id="lead")


async def test_a_delegate_may_read_what_waits_for_him(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    read = requests_pb2.GetRequestRequest(id=held.id)
    with company.live.refused("PERMISSION_DENIED"):
        await company.requests("north_rep").GetRequest(read)
    await delegate(company, "lead", "north_rep")
    assert (await company.requests("north_rep").GetRequest(read)).id == held.id


@pytest.mark.parametrize(
    ("kinds", "limit", "kind", "amount", "covered"),
    [
        ((), None, "quote", 10**12, True),
        (("quote",), None, "quote", 1, True),
        (("contract",), None, "quote", 1, False),
        ((), 100, "quote", 100, True),
        ((), 100, "quote", 101, False),
        ((), 100, "quote", None, True),
    ],
)
def test_what_a_delegation_covers(
    kinds: tuple[str, ...], limit: int | None, kind: str, amount: int | None, covered: bool
) -> None:
    assert StandIn("a", "b", kinds, (), limit, "CNY").covers_request(kind, amount, "CNY") is covered
    if limit and amount:
        assert not StandIn("a", "b", kinds, (), limit, "CNY").covers_request(kind, 1, "USD")


def test_side_by_side() -> None:
    def standing(kinds: tuple[str, ...] = (), tasks: tuple[str, ...] = (), start: int = 0) -> Standing:
        return Standing("x", "a", "b", NOW + timedelta(hours=start), NOW + timedelta(hours=start + 1), kinds, tasks)

    rules.check(standing(("quote",)), [standing((), ("quote",)), standing(start=1), standing(("contract",))], NOW)
    with pytest.raises(errors.FailedPrecondition):
        rules.check(standing(("quote",)), [standing()], NOW)
