"""A request from submission to its one decision, through the public contract."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc.aio
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import events_pb2, policies_pb2, requests_pb2
from closedloop.common.v1.common_pb2 import Evidence
from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop.integrations.v1.events_pb2 import DeliveryRequested
from closedloop.targets.v1.events_pb2 import ExchangeRateChanged, PersonChanged
from closedloop.targets.v1.rates_pb2 import RATE_KIND_SPOT, ExchangeRate

from .conftest import ACCOUNT, Company, approval, asked, digest, facts, looks_on, quote, rid, state
from .test_overtaken import too_late, until_waiting

# A second record of the same customer, it turns out.
OTHER = ACCOUNT[:-1] + "9"


async def notices(company: Company, template: str) -> list[str]:
    told = [d.content for d in await company.live.told(DeliveryRequested) if d.content.template.template == template]
    return [content.recipient.person_id for content in told]


@pytest.mark.mission("S63")
async def test_a_small_discount_is_cleared_at_once_and_the_rule_is_named(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.08)))
    assert (state(held), held.steps) == ("approved", [])
    [told] = await company.live.told(events_pb2.RequestDecided)
    assert told.not_required
    assert told.rules[0].rule == "policies.small_discount"
    assert "discount_ratio 0.08" in told.rules[0].explanation
    assert told.subject.digest == quote().digest
    assert not await company.live.told(events_pb2.RequestOpened)


@pytest.mark.mission("S63")
async def test_a_large_discount_needs_the_manager_then_the_director(company: Company) -> None:
    held = await company.ask()
    assert asked(held) == ["lead"]
    assert [rule.rule for rule in held.rules] == ["policies.large_discount"]
    [opened] = await company.live.told(events_pb2.RequestOpened)
    assert (opened.signer_ids, opened.due_time, opened.subject) == (["lead"], held.due_time, quote())
    held = await company.decide("lead", held)
    assert (asked(held), list(held.active_steps)) == (["director"], [2])
    held = await company.decide("director", held, conditions="预付30%", comment="同意")
    assert (state(held), held.decided_by, held.decided_step, held.conditions) == ("approved", "director", 2, "预付30%")
    [told] = await company.live.told(events_pb2.RequestDecided)
    assert told.state == requests_pb2.REQUEST_STATE_APPROVED
    assert (told.decided_by, told.comment, told.conditions) == ("director", "同意", "预付30%")
    assert told.trail_hash == held.trail_hash
    assert told.facts == facts()
    assert await company.trail(held) == [
        "opened:funnel for rep",
        "asked:approvals>lead",
        "approved:lead",
        "asked:approvals>director",
        "approved:director",
    ]
    assert await notices(company, "approval_waiting") == ["lead", "director"]
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S64")
async def test_a_major_project_is_countersigned_by_finance_and_legal(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15, 1_000_000)))
    held = await company.decide("lead", held)
    assert sorted(asked(held)) == ["fin1", "fin2", "law"]
    held = await company.decide("fin2", held)
    assert asked(held) == ["law"], "one of finance is enough, legal is still missing"
    assert state(await company.decide("law", held)) == "approved"


@pytest.mark.mission("S64")
async def test_splitting_a_project_gains_nothing(company: Company) -> None:
    first = await company.ask(approval(quote(subject_id="Q-1"), facts(0.05, 600_000, account_id=ACCOUNT)))
    assert state(first) == "approved"
    second = await company.ask(approval(quote(subject_id="Q-2"), facts(0.05, 400_000, account_id=ACCOUNT)))
    assert sorted(asked(second)) == ["fin1", "fin2", "law"]
    assert list(second.accumulated_request_ids) == [first.id]
    await company.live.advance(days=8)
    third = await company.ask(approval(quote(subject_id="Q-3"), facts(0.05, 400_000, account_id=ACCOUNT)))
    assert state(third) == "approved", "the window is over"


@pytest.mark.mission("S64")
async def test_nor_does_splitting_it_at_one_instant_or_letting_a_part_grow(company: Company) -> None:
    """Two halves told at once see each other; a part that was small counts by when it grew, not by when it was opened."""
    for number in range(9):
        # Everybody may read and nobody write: the narrowest passage there is.
        before = company.live.process.database.transaction()
        before.do("LOCK TABLE approval_request IN SHARE MODE")
        await before.one("SELECT 1 AS one")
        told = facts(0.05, 600_000, account_id=ACCOUNT[:-2] + f"a{number}")
        halves = [
            requests_pb2.OpenRequestRequest(
                request_id=rid(), subject=quote(subject_id=f"{half}-{number}", origin="manual"), facts=told, reason="?"
            )
            for half in ("first", "second")
        ]
        both = [asyncio.ensure_future(company.requests("rep").OpenRequest(half)) for half in halves]
        await until_waiting(company.live, 2)
        await before.rollback()
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        if not too_late(outcomes):
            break
    assert sorted(map(state, outcomes)) == ["approved", "pending"]
    other = ACCOUNT[:-1] + "2"
    small = await company.ask(approval(quote(subject_id="Q-3"), facts(0.15, 1_000, account_id=other)))
    await company.live.advance(days=10)
    grown = await company.ask(approval(quote(2, subject_id="Q-3"), facts(0.15, 600_000, account_id=other)))
    assert (grown.id, state(grown)) == (small.id, "pending")
    rest = await company.ask(approval(quote(subject_id="Q-4"), facts(0.05, 400_000, account_id=other)))
    assert (sorted(asked(rest)), list(rest.accumulated_request_ids)) == (["fin1", "fin2", "law"], [small.id])


@pytest.mark.mission("S64")
async def test_nor_does_leaving_the_customer_open_or_giving_it_two_names(company: Company) -> None:
    """Two halves without a customer, one half with and one without, and a customer kept twice until the records merged."""
    first = await company.ask(approval(quote(subject_id="Q-1"), facts(0.05, 600_000)))
    second = await company.ask(approval(quote(subject_id="Q-2"), facts(0.05, 600_000)))
    assert (state(first), sorted(asked(second))) == ("approved", ["fin1", "fin2", "law"])
    assert list(second.accumulated_request_ids) == [first.id]
    named = await company.ask(approval(quote(subject_id="Q-3"), facts(0.05, 600_000, account_id=ACCOUNT)))
    assert state(named) == "pending", "they may have been for this one"
    others = await company.ask(approval(quote(subject_id="Q-4"), facts(0.05, 600_000, owner="peer", account_id=OTHER)))
    assert (state(others), list(others.accumulated_request_ids)) == ("approved", []), "those of one owner only"
    await company.live.advance(days=8)

    # OTHER became part of a third record, and that one of ACCOUNT.
    third = ACCOUNT[:-1] + "8"
    parts = [("Q-5", OTHER), ("Q-6", third)]
    for subject_id, account_id in parts:
        one = await company.ask(approval(quote(subject_id=subject_id), facts(0.05, 400_000, account_id=account_id)))
        assert state(one) == "approved"
    for account_id, into in ((OTHER, third), (third, ACCOUNT)):
        told = AccountChanged(account_id=account_id, name="阿克姆", merged_into_id=into, version=2)
        await company.live.hear(told, account_id, source="customers")
    for subject_id, account_id in (("Q-7", ACCOUNT), ("Q-8", OTHER)):
        whole = await company.ask(approval(quote(subject_id=subject_id), facts(0.05, 400_000, account_id=account_id)))
        assert sorted(asked(whole)) == ["fin1", "fin2", "law"]
    apart = AccountChanged(account_id=third, name="阿克姆", version=3)
    await company.live.hear(apart, third, source="customers")
    again = await company.ask(approval(quote(subject_id="Q-9"), facts(0.05, 100_000, account_id=ACCOUNT)))
    assert state(again) == "approved", "apart again, this one comes to half a million"


@pytest.mark.mission("U16")
async def test_amounts_are_compared_in_the_policies_currency(company: Company) -> None:
    dollars = facts(0.05)
    dollars.amount.CopyFrom(Money(currency_code="USD", units=150_000))
    call = requests_pb2.OpenRequestRequest(
        request_id=rid(), subject=quote(origin="manual"), facts=dollars, reason="出口"
    )
    with company.live.refused("FAILED_PRECONDITION", "RATE_UNKNOWN"):
        await company.requests("rep").OpenRequest(call)
    rate = ExchangeRate(base_currency="USD", quote_currency="CNY", kind=RATE_KIND_SPOT, rate={"value": "7.1"})
    rate.start_date.CopyFrom(Date(year=2026, month=1, day=1))
    await company.live.hear(ExchangeRateChanged(rates=[rate]), "USD/CNY:spot", source="targets")
    call.request_id = rid()
    held = await company.requests("rep").OpenRequest(call)
    assert sorted(asked(held)) == ["fin1", "fin2", "law"], "1,065,000 CNY"


async def test_what_cannot_be_put_on_its_way_goes_back_with_the_reason(company: Company) -> None:
    held = await company.ask()
    dollars = facts(0.05)
    dollars.amount.CopyFrom(Money(currency_code="USD", units=150_000))
    await company.live.hear(approval(quote(version=2), told=dollars), "quote:Q-1", source="funnel")
    [back] = await company.live.told(events_pb2.RequestReturned)
    assert (back.subject.version, back.submitter_id, back.request_id) == (2, "rep", "")
    assert "no exchange rate from USD to CNY" in back.comment
    assert state(await company.read(held.id)) == "withdrawn", "nobody signs what was overtaken"
    assert not await company.live.db.all("SELECT FROM inbox WHERE state <> 1")


async def test_nobody_decides_what_they_submitted_opened_or_own(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15), submitter="lead"))
    assert asked(held) == ["director"], "the manager submitted it, so the next of the line signs"
    assert "instead of lead" in held.steps[0].signers[0].reason
    for party in ("lead", "rep"):
        with company.live.refused("PERMISSION_DENIED", "OWN_REQUEST"):
            await company.decide(party, held)


async def test_only_who_is_asked_decides_and_only_now(company: Company) -> None:
    held = await company.ask()
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.decide("north_director", held)
    # Rank gives no right: the director may read it, and the boss too.
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.decide("boss", held)
    with company.live.refused("FAILED_PRECONDITION", "STEP_NOT_ACTIVE"):
        await company.decide("director", held)
    with company.live.refused("INVALID_ARGUMENT", "COMMENT_REQUIRED"):
        await company.decide("lead", held, "REJECT", comment=" ")
    with company.live.refused("INVALID_ARGUMENT", "CONDITIONS_WITHOUT_APPROVAL"):
        await company.decide("lead", held, "REJECT", conditions="预付")
    with company.live.refused("INVALID_ARGUMENT", "RETURN_TARGET_INVALID"):
        await company.decide("lead", held, "RETURN", return_to_step=1)
    with company.live.refused("ABORTED"):
        await company.decide("lead", held, etag='"77"')
    done = await company.decide("lead", held, "REJECT")
    assert (state(done), done.decided_by) == ("rejected", "lead")
    with company.live.refused("FAILED_PRECONDITION", "ALREADY_DECIDED"):
        await company.decide("lead", done)
    with company.live.refused("NOT_FOUND", "REQUEST_UNKNOWN"):
        await company.read(ACCOUNT)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.requests("north_rep").GetRequest(requests_pb2.GetRequestRequest(id=held.id))
    for name, request in (
        ("ListTrail", requests_pb2.ListTrailRequest(id=held.id)),
        ("Comment", requests_pb2.CommentRequest(request_id=rid(), id=held.id, text="?")),
        ("Recall", requests_pb2.RecallRequest(request_id=rid(), id=held.id, etag="x", reason="?")),
    ):
        with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
            await getattr(company.requests("north_rep"), name)(request)


async def test_two_at_once_one_of_them_decides(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.05, 2_000_000)))
    outcomes = await asyncio.gather(
        *(company.decide(person, held) for person in ("fin1", "fin2")), return_exceptions=True
    )
    refused = [o.code().name for o in outcomes if isinstance(o, grpc.aio.AioRpcError)]
    assert refused in (["ABORTED"], ["FAILED_PRECONDITION"])
    held = await company.read(held.id)
    assert asked(held) == ["law"]
    assert len([line for line in await company.trail(held) if line.startswith("approved")]) == 1
    assert await company.breaks(held.id) == []


async def test_a_comment_on_a_closed_request_tells_its_end_once(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    recall = requests_pb2.RecallRequest(request_id=rid(), id=held.id, etag=held.etag, reason="撤回")
    await company.requests("rep").Recall(recall)
    await company.requests("lead").Comment(requests_pb2.CommentRequest(request_id=rid(), id=held.id, text="好的"))
    assert len(await company.live.told(events_pb2.RequestRecalled)) == 1
    assert not await company.live.told(events_pb2.RequestDecided)


async def test_the_same_decision_sent_twice_acts_once(company: Company) -> None:
    held = await company.ask()
    call = requests_pb2.DecideRequest(
        request_id=rid(), id=held.id, etag=held.etag, verdict=requests_pb2.VERDICT_APPROVE
    )
    stub = company.requests("lead")
    assert await stub.Decide(call) == await stub.Decide(call)
    assert (await company.trail(held)).count("approved:lead") == 1


@pytest.mark.mission("S65")
async def test_silence_escalates_up_the_line_and_never_approves(company: Company) -> None:
    held = await company.ask()
    assert held.due_time.ToDatetime() - held.open_time.ToDatetime() == timedelta(hours=9), "8 working hours and lunch"
    await company.live.advance(hours=5)
    assert await notices(company, "approval_waiting") == ["lead", "lead"], "asked, and reminded at half time"
    await company.live.advance(hours=4)
    held = await company.read(held.id)
    assert (asked(held), held.escalation_level, state(held)) == (["lead", "director"], 1, "pending")
    assert await notices(company, "approval_escalated") == ["director"]
    assert held.due_time.ToDatetime() - held.open_time.ToDatetime() == timedelta(days=1, hours=9)
    await company.live.advance(days=1)
    held = await company.read(held.id)
    assert (asked(held), held.escalation_level) == (["lead", "director", "boss"], 2)
    await company.live.advance(days=1)
    held = await company.read(held.id)
    assert (asked(held), held.escalation_level) == (["lead", "director", "boss"], 3), "nobody stands above the boss"
    # Whoever of the line answers first has given this signature; the director then signs on his own step.
    held = await company.decide("director", held)
    assert asked(held) == ["director"]
    assert {s.person_id: s.state for s in held.steps[0].signers}["lead"] == requests_pb2.SIGNER_STATE_NOT_NEEDED
    held = await company.decide("director", held)
    assert state(held) == "approved"
    [told] = await company.live.told(events_pb2.RequestDecided)
    assert told.escalation_level == 3
    assert told.elapsed.ToTimedelta() == timedelta(hours=24), "three working days of eight hours"
    assert "escalated:clock:approvals.decision>director" in await company.trail(held)
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S65")
async def test_decided_in_time_the_clock_is_met(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    await company.live.advance(hours=2)
    await company.decide("lead", held)
    [clock] = await company.live.db.all("SELECT state, level FROM clock WHERE kind = 'approvals.decision'")
    assert clock == {"state": "met", "level": 0}
    await company.live.advance(days=3)
    assert not await notices(company, "approval_escalated")


@pytest.mark.mission("U10", "U8")
async def test_returned_to_the_submitter_the_clock_stands_still(company: Company) -> None:
    held = await company.ask()
    await company.live.advance(hours=2)
    held = await company.decide("lead", held, "RETURN", comment="付款条件?")
    assert (state(held), asked(held), held.HasField("due_time")) == ("returned", [], False)
    [told] = await company.live.told(events_pb2.RequestReturned)
    assert (told.returned_by, told.comment, told.submitter_id) == ("lead", "付款条件?", "rep")
    with company.live.refused("FAILED_PRECONDITION", "STEP_NOT_ACTIVE"):
        await company.decide("lead", held)
    await company.live.advance(days=5)
    # The funnel tells the mended quote.
    held = await company.ask(approval(quote(2)))
    assert (state(held), asked(held), held.subject.version) == ("pending", ["lead"], 2)
    opened = company.live.now
    left = held.due_time.ToDatetime(tzinfo=opened.tzinfo) - opened
    assert left == timedelta(days=2, hours=5), "the 6 working hours that were left end on Monday at 16:00"
    held = await company.decide("lead", held)
    held = await company.decide("director", held)
    assert state(held) == "approved"
    assert held.elapsed.ToTimedelta() == timedelta(hours=2)


@pytest.mark.mission("U10")
async def test_returned_to_an_earlier_step_and_straight_back(company: Company) -> None:
    told = facts(0.25, 2_000_000)
    held = await company.ask(approval(told=told))
    for person in ("lead", "director"):
        held = await company.decide(person, held)
    held = await company.decide("law", held, "RETURN", return_to_step=1, come_back_here=True)
    assert (state(held), asked(held)) == ("pending", ["lead"])
    held = await company.decide("lead", held)
    assert sorted(asked(held)) == ["fin1", "fin2", "law"], "the director is not asked again"
    held = await company.decide("law", held, "RETURN", return_to_step=1)
    held = await company.decide("lead", held)
    assert asked(held) == ["director"], "without come_back_here the steps between run again"
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S66", "U10")
async def test_a_signature_holds_for_the_figures_it_was_given_on(company: Company) -> None:
    """Sent back with "come straight back here" and mended: one word may change, the discount may not."""
    held = await company.decide("lead", await company.ask())
    held = await company.decide("director", held, "RETURN", come_back_here=True)
    held = await company.ask(approval(quote(2)))
    assert asked(held) == ["director"], "the same figures in other words"
    held = await company.decide("director", held, "RETURN", come_back_here=True)
    held = await company.ask(approval(quote(3), facts(0.9)))
    assert asked(held) == ["lead"], "nobody signed for nine tenths off"
    assert await company.breaks(held.id) == []


@pytest.mark.mission("U10")
async def test_recall_takes_it_back_and_only_by_its_submitter(company: Company) -> None:
    held = await company.ask()
    recall = requests_pb2.RecallRequest(request_id=rid(), id=held.id, etag=held.etag, reason="客户改主意")
    with company.live.refused("PERMISSION_DENIED", "NOT_THE_SUBMITTER"):
        await company.requests("lead").Recall(recall)
    recall.request_id = rid()
    gone = await company.requests("rep").Recall(recall)
    assert (state(gone), asked(gone)) == ("recalled", [])
    [told] = await company.live.told(events_pb2.RequestRecalled)
    assert (told.reason, told.subject.version) == ("客户改主意", 1)
    recall.request_id = rid()
    with company.live.refused("FAILED_PRECONDITION", "ALREADY_DECIDED"):
        await company.requests("rep").Recall(recall)
    again = await company.ask()
    assert again.id != held.id, "the same version may be asked again after a recall"
    await company.live.advance(days=1, hours=1)
    assert (await company.read(held.id)).escalation_level == 0


@pytest.mark.mission("U10")
async def test_a_signer_is_added_before_beside_and_after(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))

    async def add(person: str, whom: str, placement: str, held: requests_pb2.Request) -> requests_pb2.Request:
        value = requests_pb2.SignerPlacement.Value(f"SIGNER_PLACEMENT_{placement}")
        return await company.requests(person).AddSigner(
            requests_pb2.AddSignerRequest(
                request_id=rid(), id=held.id, etag=held.etag, person_id=whom, placement=value, reason="请把关"
            )
        )

    with company.live.refused("INVALID_ARGUMENT", "SIGNER_IS_SUBMITTER"):
        await add("lead", "rep", "BEFORE", held)
    with company.live.refused("INVALID_ARGUMENT", "SIGNER_NOT_FOUND"):
        await add("lead", "nobody", "BEFORE", held)
    await looks_on(company, "auditor")
    with company.live.refused("INVALID_ARGUMENT", "SIGNER_ONLY_LOOKS_ON"):
        await add("lead", "auditor", "BEFORE", held)
    with company.live.refused("PERMISSION_DENIED"):
        await add("director", "cfo", "BEFORE", held)
    held = await add("lead", "fin1", "BEFORE", held)
    assert asked(held) == ["fin1"]
    with company.live.refused("ALREADY_EXISTS", "ALREADY_A_SIGNER"):
        await add("fin1", "lead", "BESIDE", held)
    held = await company.decide("fin1", held)
    assert asked(held) == ["lead"]
    held = await add("lead", "law", "BESIDE", held)
    held = await add("lead", "cfo", "AFTER", held)
    assert sorted(asked(held)) == ["law", "lead"]
    held = await company.decide("lead", held)
    assert sorted(asked(held)) == ["cfo", "law"]
    held = await company.decide("law", held)
    held = await company.decide("cfo", held)
    assert state(held) == "approved"
    assert [line for line in await company.trail(held) if line.startswith("signer")] == [
        "signer_added:lead>fin1",
        "signer_added:lead>law",
        "signer_added:lead>cfo",
    ]


@pytest.mark.mission("U10")
async def test_a_signature_is_handed_over_by_its_holder_or_those_above(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))

    async def give(person: str, to: str, held: requests_pb2.Request, giver: str = "") -> requests_pb2.Request:
        call = requests_pb2.HandOverRequest(
            request_id=rid(), id=held.id, etag=held.etag, from_person_id=giver, to_person_id=to, reason="休假"
        )
        return await company.requests(person).HandOver(call)

    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await give("north_director", "cfo", held, "lead")
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await give("peer", "peer", held, "lead")
    with company.live.refused("INVALID_ARGUMENT", "SIGNER_IS_SUBMITTER"):
        await give("lead", "rep", held)
    await looks_on(company, "auditor")
    with company.live.refused("INVALID_ARGUMENT", "SIGNER_ONLY_LOOKS_ON"):
        await give("lead", "auditor", held)
    with company.live.refused("PERMISSION_DENIED", "NOT_A_SIGNER"):
        await give("ops", "ops", held, "lead")
    held = await give("lead", "cfo", held)
    assert asked(held) == ["cfo"]
    with company.live.refused("FAILED_PRECONDITION", "STEP_NOT_ACTIVE"):
        await company.decide("lead", held)
    held = await give("boss", "director", held, "cfo")
    assert asked(held) == ["director"]
    assert state(await company.decide("director", held)) == "approved"


async def test_a_signer_who_leaves_is_replaced_by_the_next_of_the_line(company: Company) -> None:
    held = await company.ask()
    gone = PersonChanged(person_id="lead", unit_id="team1", name="王队长", active=False, version=10**6)
    await company.live.hear(gone, "lead", source="targets")
    held = await company.read(held.id)
    assert asked(held) == ["director"]
    assert "rerouted:approvals>director" in await company.trail(held)


@pytest.mark.mission("S66")
async def test_clearance_holds_for_one_version_and_its_very_content(company: Company) -> None:
    async def clearance(version: int = 1, content: str = "", person: str = "ops", subject: str = "Q-1") -> str:
        call = requests_pb2.CheckClearanceRequest(
            origin="funnel", kind="quote", subject_id=subject, version=version, digest=digest(content or f"v{version}")
        )
        answer = await company.requests(person).CheckClearance(call)
        assert answer.cleared == (answer.reason in ("CLEARED", "NOT_REQUIRED"))
        return str(answer.reason)

    assert await clearance() == "NEVER_ASKED"
    held = await company.ask(approval(told=facts(0.15)))
    assert await clearance() == "PENDING"
    with company.live.refused("PERMISSION_DENIED"):
        await clearance(person="north_rep")
    held = await company.decide("lead", held)
    assert await clearance() == "CLEARED"
    assert await clearance(content="a better price") == "DIGEST_DIFFERS"
    assert await clearance(2) == "VERSION_DIFFERS"
    withdrawn = events_pb2.ApprovalWithdrawn(
        origin="funnel", kind="quote", subject_id="Q-1", version=1, reason="商机丢失", actor_id="rep"
    )
    await company.live.hear(withdrawn, "quote:Q-1", source="funnel")
    assert await clearance() == "WITHDRAWN", "an approval already given no longer clears"
    await company.ask(approval(quote(subject_id="Q-2"), facts(0.01)))
    assert await clearance(subject="Q-2") == "NOT_REQUIRED"
    rejected = await company.ask(approval(quote(subject_id="Q-3"), facts(0.15)))
    await company.decide("lead", rejected, "REJECT")
    assert await clearance(subject="Q-3") == "REJECTED"


async def test_a_later_version_restarts_the_route_and_an_event_counts_once(company: Company) -> None:
    held = await company.decide("lead", await company.ask())
    same = await company.ask()
    assert (same.id, same.etag) == (held.id, held.etag), "told again, nothing changes"
    newer = await company.ask(approval(quote(2), facts(0.3)))
    assert (newer.id, asked(newer), newer.subject.version) == (held.id, ["lead"], 2), "new content, no signature holds"
    older = await company.ask()
    assert older.subject.version == 2
    cleared = await company.ask(approval(quote(3), facts(0.05)))
    assert state(cleared) == "approved"
    assert await company.breaks(held.id) == []
    decided = await company.live.told(events_pb2.RequestDecided)
    assert [(d.subject.version, d.not_required) for d in decided] == [(3, True)]


@pytest.mark.mission("S67")
async def test_no_side_door_for_a_service_s_matter(company: Company) -> None:
    call = requests_pb2.OpenRequestRequest(request_id=rid(), subject=quote(), facts=facts(0.01), reason="自己来")
    with company.live.refused("PERMISSION_DENIED", "ORIGIN_RESERVED"):
        await company.requests("rep").OpenRequest(call)
    held = await company.decide("lead", await company.ask(), "RETURN")
    mended = requests_pb2.ResubmitRequest(
        request_id=rid(), id=held.id, etag=held.etag, subject=quote(2), facts=facts(0.01)
    )
    with company.live.refused("PERMISSION_DENIED", "ORIGIN_RESERVED"):
        await company.requests("rep").Resubmit(mended)
    with pytest.raises(AssertionError, match="targets asks for a matter of funnel"):
        await company.live.hear(approval(quote(subject_id="Q-9")), "x", source="targets")


@pytest.mark.mission("S67")
async def test_a_person_opens_resubmits_and_is_named_as_the_source(company: Company) -> None:
    subject = quote(origin="manual", kind="discount", subject_id="D-1")
    call = requests_pb2.OpenRequestRequest(
        request_id=rid(),
        subject=subject,
        facts=facts(0.15),
        reason="老客户",
        attachments=[
            {"name": "报价单.pdf", "media_type": "application/pdf", "uri": "s3://q/1", "digest": digest("pdf")}
        ],
        evidence=[Evidence(name="margin", value=0.31, unit="%")],
    )
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.requests("north_rep").OpenRequest(call)
    held = await company.requests("rep").OpenRequest(call)
    assert held.provenance.brought_by == "rep"
    assert held.attachments == call.attachments
    repeated = requests_pb2.OpenRequestRequest()
    repeated.CopyFrom(call)
    repeated.request_id = rid()
    assert (await company.requests("rep").OpenRequest(repeated)).id == held.id
    for changed in (quote(2, origin="manual", kind="discount", subject_id="D-1"), subject):
        repeated.subject.CopyFrom(changed)
        repeated.subject.digest = digest("something else")
        repeated.request_id = rid()
        with company.live.refused("ALREADY_EXISTS", "ALREADY_OPEN"):
            await company.requests("rep").OpenRequest(repeated)
    mended = requests_pb2.ResubmitRequest(
        request_id=rid(), id=held.id, etag=held.etag, subject=subject, facts=facts(0.12)
    )
    with company.live.refused("FAILED_PRECONDITION", "NOT_RETURNED"):
        await company.requests("rep").Resubmit(mended)
    held = await company.decide("lead", held, "RETURN")
    mended.etag, mended.request_id = held.etag, rid()
    with company.live.refused("PERMISSION_DENIED", "NOT_THE_SUBMITTER"):
        await company.requests("lead").Resubmit(mended)
    mended.subject.id, mended.request_id = "D-2", rid()
    with company.live.refused("INVALID_ARGUMENT", "SUBJECT_DIFFERS"):
        await company.requests("rep").Resubmit(mended)
    mended.subject.CopyFrom(quote(2, origin="manual", kind="discount", subject_id="D-1"))
    mended.request_id = rid()
    held = await company.requests("rep").Resubmit(mended)
    assert (state(held), asked(held), held.facts.discount_ratio) == ("pending", ["lead"], 0.12)
    assert "resubmitted:rep" in " ".join(await company.trail(held))


async def test_facts_that_do_not_suffice_and_kinds_without_policy(company: Company) -> None:
    for kind, told, code, reason in (
        ("quote", facts(None), "INVALID_ARGUMENT", "FACTS_INCOMPLETE"),
        ("holiday", facts(), "FAILED_PRECONDITION", "NO_POLICY_APPLIES"),
        ("quote", facts(0.15, owner="boss"), "PERMISSION_DENIED", "OUT_OF_SCOPE"),
    ):
        call = requests_pb2.OpenRequestRequest(
            request_id=rid(), subject=quote(origin="manual", kind=kind), facts=told, reason="?"
        )
        with company.live.refused(code, reason):
            await company.requests("rep").OpenRequest(call)


async def test_the_plan_exception_goes_to_the_parent_unit_s_manager(company: Company) -> None:
    told = policies_pb2.Facts(ownership={"owner_id": "lead", "unit_id": "team1"})
    subject = quote(origin="targets", kind="plan_exception", subject_id="P-1")
    await company.live.hear(approval(subject, told, submitter="lead"), "P-1", source="targets")
    assert asked(await company.of_subject("P-1")) == ["director"]


async def test_a_comment_names_people_who_then_may_read(company: Company) -> None:
    held = await company.ask()
    read = requests_pb2.GetRequestRequest(id=held.id)
    with company.live.refused("PERMISSION_DENIED"):
        await company.requests("north_rep").GetRequest(read)
    entry = await company.requests("lead").Comment(
        requests_pb2.CommentRequest(
            request_id=rid(),
            id=held.id,
            text="请北区看看同类价格",
            mentioned_ids=["north_rep"],
            evidence=[Evidence(name="n", value=1)],
        )
    )
    assert (entry.action, entry.sequence, entry.evidence[0].value) == (requests_pb2.TRAIL_ACTION_COMMENTED, 3, 1)
    found = await company.requests("north_rep").GetRequest(read)
    assert found.trail_hash == entry.hash
    [told] = [d.content for d in await company.live.told(DeliveryRequested) if d.content.HasField("written")]
    assert (told.recipient.person_id, told.written.text, told.sender_id) == ("north_rep", "请北区看看同类价格", "lead")


async def test_lists_show_what_the_caller_may_see_and_page(company: Company) -> None:
    for number in range(5):
        await company.ask(approval(quote(subject_id=f"Q-{number}"), facts(0.15)))
        await company.live.advance(minutes=1)

    async def seen(person: str, **filters: object) -> list[str]:
        ids, token = [], ""
        while True:
            call = requests_pb2.ListRequestsRequest(page_size=2, page_token=token, **filters)
            answer = await company.requests(person).ListRequests(call)
            ids += [held.subject.id for held in answer.requests]
            token = answer.next_page_token
            if not token:
                return ids

    everything = ["Q-4", "Q-3", "Q-2", "Q-1", "Q-0"]
    assert await seen("rep") == await seen("director") == await seen("ops") == everything
    assert await seen("lead", signer_id="lead", states=[requests_pb2.REQUEST_STATE_PENDING]) == everything
    assert await seen("north_rep") == await seen("north_director") == []
    assert await seen("ops", policy="discount", unit_id="east", include_subtree=True) == everything
    assert (
        await seen("ops", unit_id="east")
        == await seen("ops", policy="contract")
        == await seen("ops", overdue=True)
        == []
    )
    assert await seen("ops", subject_id="Q-2", kind="quote", origin="funnel", query="mes") == ["Q-2"]
    await company.live.advance(days=1)
    assert await seen("ops", overdue=True) == everything


async def test_many_are_decided_at_once_each_for_itself(company: Company) -> None:
    held = [await company.ask(approval(quote(subject_id=f"Q-{n}"), facts(0.15))) for n in range(4)]
    verdict = requests_pb2.VERDICT_APPROVE
    rows = [requests_pb2.DecideRow(id=h.id, etag=h.etag, verdict=verdict) for h in held]
    rows[1].etag = '"9"'
    rows[2].verdict = requests_pb2.VERDICT_RETURN
    rows += [rows[0], requests_pb2.DecideRow(id="no uuid", etag="x", verdict=verdict)]
    call = requests_pb2.BulkDecideRequest(request_id=rid(), rows=rows, validate_only=True)
    rehearsed = await company.requests("lead").BulkDecide(call)
    assert (await company.read(held[0].id)).etag == held[0].etag
    call.validate_only = False
    summary = await company.requests("lead").BulkDecide(call)
    assert summary == rehearsed
    assert (summary.read, summary.updated, summary.rejected) == (6, 2, 4)
    assert [(e.row, e.reason) for e in summary.errors] == [
        (1, "ETAG_MISMATCH"),
        (2, "ROW_INVALID"),
        (4, "ROW_REPEATED"),
        (5, "ROW_INVALID"),
    ]
    assert [state(await company.read(h.id)) for h in held] == ["approved", "pending", "pending", "approved"]
    assert await company.breaks(*(h.id for h in held)) == []
