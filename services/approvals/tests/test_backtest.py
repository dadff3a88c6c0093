"""What a changed policy would have done to last quarter, and which policies cannot be written at all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.approvals.v1 import policies_pb2, requests_pb2
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_chassis import client
from closedloop_devstack.testing.service import reason_of

from .conftest import ACCOUNT, Company, approval, asked, facts, quote, rid, state


def body(**changed: Any) -> Struct:
    """The default rulebook with some fields of it changed."""
    return json_format.ParseDict(ApprovalPolicyRules().model_dump(mode="json") | changed, Struct())


def policies(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """The default policies with fields changed by policy name; None leaves one out."""
    known = ApprovalPolicyRules().model_dump(mode="json")["policies"]
    return [policy | changed.get(policy["name"], {}) for policy in known if changed.get(policy["name"], {}) is not None]


async def publish(company: Company, **changed: Any) -> platform_pb2.Rulebook:
    stub = company.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations", "admin")
    now = await stub.GetRulebook(platform_pb2.GetRulebookRequest(name="approvals.policies"))
    call = platform_pb2.PublishRulebookRequest(
        request_id=rid(), name="approvals.policies", body=body(**changed), reason="季度调整", base_version=now.version
    )
    published = await stub.PublishRulebook(call)
    await company.live.process.look()
    return published


async def backtest(company: Company, person: str = "ops", **changed: Any) -> policies_pb2.BacktestPoliciesResponse:
    now: datetime = company.live.now.replace(tzinfo=None)
    call = policies_pb2.BacktestPoliciesRequest(draft=body(**changed))
    call.period.start_time.FromDatetime(now - timedelta(days=90))
    call.period.end_time.FromDatetime(now + timedelta(days=1))
    return await company.policies(person).BacktestPolicies(call)


@pytest.mark.mission("U19")
async def test_a_draft_is_tried_on_the_past(company: Company) -> None:
    """Ten quotes: five small, three medium (one rejected), two large. The draft lets the manager decide up to 30 %."""
    for number in range(5):
        await company.ask(approval(quote(subject_id=f"S-{number}"), facts(0.05)))
    medium = [await company.ask(approval(quote(subject_id=f"M-{n}"), facts(0.15))) for n in range(3)]
    await company.decide("lead", medium[0])
    await company.decide("lead", medium[1], "REJECT")
    for number in range(2):
        await company.ask(approval(quote(subject_id=f"L-{number}"), facts(0.25)))
    same = await backtest(company)
    assert (same.examined, same.changed, same.signatures_added, same.signatures_dropped) == (10, 0, 0, 0)
    load = {row.person_id: (row.signatures_before, row.signatures_after) for row in same.loads}
    assert load == {"lead": (5, 5), "director": (2, 2)}

    manager_alone = policies(
        discount={"condition": "discount_ratio > 0.10 && discount_ratio <= 0.30"},
        large_discount={"condition": "discount_ratio > 0.30"},
    )
    eased = await backtest(company, policies=manager_alone)
    assert (eased.changed, eased.signatures_added, eased.signatures_dropped) == (2, 0, 2)
    assert {row.person_id: row.signatures_after for row in eased.loads} == {"lead": 5, "director": 0}
    assert [(d.was, d.would_be) for d in eased.differences] == [
        ("manager: lead; director: director", "manager: lead")
    ] * 2
    assert eased.differences[0].rule.rule == "policies.discount"

    free = policies(small_discount={"condition": "discount_ratio <= 0.20"}, discount=None)
    loose = await backtest(company, policies=free)
    assert (loose.changed, loose.signatures_dropped, loose.rejected_then_cleared) == (3, 3, 1)
    assert loose.differences[0].would_be == "cleared at once"

    none = await backtest(company, policies=policies(small_discount=None, discount=None))
    assert (none.changed, none.approved_then_blocked) == (8, 6)
    assert {d.would_be for d in none.differences} == {"refused: NO_POLICY_APPLIES"}
    curious = policies(small_discount={"condition": "margin_ratio > 0.2"})
    assert {d.would_be for d in (await backtest(company, policies=curious)).differences} == {
        "refused: FACTS_INCOMPLETE"
    }


@pytest.mark.mission("U19", "S64")
async def test_the_past_is_judged_by_the_policies_of_its_time_with_what_counted_together(company: Company) -> None:
    for number in range(3):
        await company.ask(approval(quote(subject_id=f"Q-{number}"), facts(0.05, 400_000, account_id=ACCOUNT)))
        await company.live.advance(minutes=1)
    await publish(company, policies=policies(discount={"steps": [{"name": "cfo", "signers": ["person:cfo"]}]}))
    await company.live.advance(minutes=1)
    another = facts(0.15, account_id=ACCOUNT[:-1] + "2")
    held = await company.ask(approval(quote(subject_id="Q-9"), another))
    assert asked(held) == ["cfo"]
    unchanged = await backtest(
        company, policies=policies(discount={"steps": [{"name": "cfo", "signers": ["person:cfo"]}]})
    )
    assert (unchanged.examined, unchanged.changed) == (4, 0), "the third of a split project is still countersigned"
    before = await backtest(company)
    assert [(d.request_id, d.was, d.would_be) for d in before.differences] == [(held.id, "cfo: cfo", "manager: lead")]
    alone = {"condition": "major_project", "accumulation_days": 0}
    unsplit = await backtest(company, policies=policies(major_project=alone))
    assert unsplit.changed == 2, "without the window the split project needs nobody; and the discount is the manager's"


@pytest.mark.mission("S63", "S66")
async def test_a_policy_changed_while_a_matter_is_open_holds_for_what_is_told_later(company: Company) -> None:
    held = await company.ask(approval(told=facts(0.15)))
    other = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15)))
    await publish(company, policies=policies(discount={"steps": [{"name": "cfo", "signers": ["person:cfo"]}]}))
    await company.live.advance(minutes=1)
    assert (asked(await company.read(held.id)), held.rules[0].version) == (["lead"], 0), (
        "as it was asked, so it is signed"
    )
    assert state(await company.decide("lead", held)) == "approved"
    newer = await company.ask(approval(quote(2, subject_id="Q-2"), facts(0.15)))
    assert (newer.id, asked(newer), newer.rules[0].version) == (other.id, ["cfo"], 1)
    await publish(company, policies=policies(discount=None))
    await company.live.advance(minutes=1)
    gone = await company.ask(approval(quote(3, subject_id="Q-2"), facts(0.15)))
    assert (gone.id, state(gone), gone.subject.version) == (other.id, "withdrawn", 2), "no policy lets it proceed"
    assert await company.breaks(held.id, other.id) == []


@pytest.mark.mission("S63", "S64")
async def test_a_policy_that_could_not_work_is_not_written(company: Company) -> None:
    step = {"name": "s", "signers": ["manager_of_owner"]}
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("policies.1.steps.0.signers", policies(discount={"steps": [{"name": "s", "signers": ["role:astronaut"]}]})),
        ("policies.1.steps.0.signers", policies(discount={"steps": [{"name": "s", "signers": ["person:nobody"]}]})),
        ("policies.1.steps.0.signers", policies(discount={"steps": [{"name": "s", "signers": ["emperor_of_owner"]}]})),
        (
            "policies.1",
            policies(discount={"steps": [step, {"name": "t", "signers": ["person:cfo"]}, step | {"name": "u"}]}),
        ),
        ("policies.1.steps.0", policies(discount={"steps": [{**step, "signers": ["role:legal"] * 2, "mode": "all"}]})),
        ("policies.1.condition", policies(discount={"condition": "discount_ratio >"})),
        ("policies.1", policies(discount={"on_overdue": "approve"})),
        ("policies.4.accumulation_days", policies(major_project={"accumulation_days": 0})),
    ]
    for place, draft in wrong:
        for act, reason, root in ((publish, "RULEBOOK_INVALID", "body"), (backtest, "POLICY_INVALID", "draft")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await act(company, policies=draft)
            assert reason_of(refused.value) == reason
            assert list(client.violations(refused.value)) == [f"{root}.{place}"]
    with company.live.refused("INVALID_ARGUMENT", "POLICY_INVALID"):
        await backtest(company, base_currency="USD")
    with company.live.refused("PERMISSION_DENIED"):
        await backtest(company, "rep")
    with company.live.refused("INVALID_ARGUMENT", "PERIOD_INVALID"):
        await company.policies("ops").BacktestPolicies(policies_pb2.BacktestPoliciesRequest(draft=body(), period={}))
    # Somebody else may stand in for an empty role, when the policy says who.
    both = policies(discount={"steps": [{"name": "s", "signers": ["role:astronaut|role:finance"]}]})
    assert (await publish(company, policies=both)).version == 1


@pytest.mark.mission("S65")
async def test_silence_approves_only_where_a_policy_says_so_in_words(company: Company) -> None:
    words = "一个工作日内无答复视为同意"
    silent = {"on_overdue": "approve", "silence": words, "decision": {"hours": 8, "calendar": "business"}}
    await publish(company, policies=policies(discount=silent, large_discount=silent, contract=silent))
    await company.live.advance(minutes=1)
    held = await company.ask(approval(told=facts(0.25)))
    await company.live.advance(days=1)
    held = await company.read(held.id)
    assert (state(held), asked(held), held.escalation_level) == ("pending", ["director"], 0), (
        "each step has its own time"
    )
    await company.live.advance(days=1)
    held = await company.read(held.id)
    assert (state(held), held.decided_by) == ("approved", "clock:approvals.decision")
    trail = await company.requests("ops").ListTrail(requests_pb2.ListTrailRequest(id=held.id))
    said = [
        (list(e.person_ids), e.comment)
        for e in trail.entries
        if e.action == requests_pb2.TRAIL_ACTION_DECIDED_BY_SILENCE
    ]
    assert said == [(["lead"], words), (["director"], words)]
    assert await company.breaks(held.id) == []
    # A second policy that does not say so is asked as well: then nothing is approved by silence.
    major = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15, 2_000_000)))
    await company.live.advance(days=4)
    major = await company.read(major.id)
    assert (state(major), asked(major)[0]) == ("pending", "lead")
    assert major.escalation_level > 0
    listed = await company.policies("rep").ListPolicies(policies_pb2.ListPoliciesRequest(kind="contract"))
    assert words in listed.policies[0].explanation
    assert listed.policies[0].steps[0].overdue_action == policies_pb2.OVERDUE_ACTION_APPROVE
