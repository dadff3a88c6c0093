"""Actions that carry targets: bound, done, proven, and what they moved."""

from __future__ import annotations

import random
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import actions_pb2 as pb
from closedloop.targets.v1 import actions_pb2_grpc, alarms_pb2, cascade_pb2, plans_pb2
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_targets.actions import rules
from closedloop_targets.actions.rules import ActionKind, ActionRules

from .staff import bring_in, request_id
from .test_actuals import fact, import_facts
from .test_alarms import listed as alarms_of
from .test_boards import in_force
from .test_cascade import split
from .test_plans import new_plan, plans, publish, set_, target

SHANGHAI = ZoneInfo("Asia/Shanghai")
USUAL = ["competitor_comparison", "custom_demo", "needs_diagnosis"]
LEADERS = {"boss", "m-east", "m-north", "l-east-1", "l-east-2", "l-north-1"}
OF_LEADERS = ["coaching", "joint_visit", "pipeline_review"]


def actions(live: Live, person: str = "ops", *roles: str) -> actions_pb2_grpc.ActionServiceStub:
    return live.stub(actions_pb2_grpc.ActionServiceStub, person, *(roles or ("operations",)))


async def bind(live: Live, target_id: str, *kinds: str, quantity: int = 1, **more: Any) -> Any:
    who = more.pop("who", ("ops", "operations"))
    inputs = [pb.BindingInput(kind=kind, quantity=quantity, **more.pop(kind, {})) for kind in kinds]
    request = pb.BindActionsRequest(request_id=request_id(), target_id=target_id, bindings=inputs, **more)
    return await actions(live, *who).BindActions(request)


async def bindings(live: Live, **more: Any) -> list[pb.ActionBinding]:
    return list((await actions(live).ListBindings(pb.ListBindingsRequest(**{"page_size": 1000, **more}))).bindings)


async def key_actions(live: Live, who: tuple[str, ...] = ("ops", "operations"), **more: Any) -> list[pb.KeyAction]:
    request = pb.ListKeyActionsRequest(**{"period": "2026-Q1", "page_size": 1000, **more})
    return list((await actions(live, *who).ListKeyActions(request)).actions)


def activity(number: str, *keys: str, person: str = "rep1", day: date = date(2026, 2, 12), **more: Any) -> Any:
    return funnel.ActivityLogged(
        activity_id=number,
        ownership=Ownership(owner_id=person, unit_id="east-1"),
        start_time=protos.timestamp(datetime(day.year, day.month, day.day, 10, tzinfo=SHANGHAI)),
        verified_action_unit_keys=keys,
        **{"effective": True, **more},
    )


def states(found: list[pb.KeyAction]) -> dict[str, str]:
    return {one.kind: pb.KeyActionState.Name(one.state).removeprefix("KEY_ACTION_STATE_").lower() for one in found}


@pytest.mark.mission("S15")
async def test_three_verifiable_actions_carry_every_target_before_it_is_published(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(400_000, unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    mine = await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1, person_id="rep1"))
    [of_rep1] = mine.targets
    made = await bind(company, of_rep1.id, "key_visit", "proposal", quantity=4)
    assert [(one.kind, one.quantity, one.result_metric) for one in made.bindings] == [
        ("key_visit", 4, "new_opportunities"),
        ("proposal", 4, "won_value"),
    ]
    with company.refused("FAILED_PRECONDITION", "TOO_FEW_ACTIONS"):
        await publish(company, plan)
    await bind(company, of_rep1.id, "custom_demo")
    await publish(company, plan)
    # Whom nobody bound anything to has the rulebook's usual three.
    found = await bindings(company)
    by_owner: dict[str, list[str]] = {}
    for one in found:
        by_owner.setdefault(one.ownership.owner_id, []).append(one.kind)
    assert {name: sorted(kinds) for name, kinds in by_owner.items()} == {
        "rep1": ["custom_demo", "key_visit", "proposal"], "rep2": USUAL, "rep3": USUAL, "rep4": USUAL,
        # Whoever leads carries a target by leading.
        **dict.fromkeys(LEADERS, OF_LEADERS),
    }  # fmt: skip
    days = [one.date for one in await key_actions(company, person_id="rep1", kind="key_visit")]
    assert len(days) == 4
    assert len({(day.month, day.day) for day in days}) == 4
    demo = next(one for one in found if one.ownership.owner_id == "rep1" and one.kind == "custom_demo")
    with company.refused("FAILED_PRECONDITION", "TOO_FEW_ACTIONS"):
        await actions(company).EndBinding(
            pb.EndBindingRequest(request_id=request_id(), binding_id=demo.id, etag=demo.etag, reason="no demo")
        )
    await bind(company, demo.target_id, "coaching", quantity=2)
    ended = await actions(company).EndBinding(
        pb.EndBindingRequest(request_id=request_id(), binding_id=demo.id, etag=demo.etag, reason="no demo")
    )
    assert (ended.planned_count, ended.end_date.day) == (0, 4)
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_ACTION_KIND"):
        await bind(company, demo.target_id, "golf")
    with company.refused("NOT_FOUND", "TARGET_NOT_FOUND"):
        await bind(company, "00000000-0000-7000-8000-000000000000", "coaching")
    with company.refused("FAILED_PRECONDITION", "PERIOD_OUTSIDE_TARGET"):
        await bind(company, demo.target_id, "coaching", coaching={"end_date": protos.date_proto(date(2026, 5, 1))})
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await bind(company, demo.target_id, "coaching", who=("m-north", "manager"))


@pytest.mark.mission("S2", "S15", "S17")
async def test_activities_prove_actions_once_each_and_false_ones_prove_nothing(company: Live) -> None:
    await in_force(company)
    await company.move_to(datetime(2026, 2, 12, 18, tzinfo=SHANGHAI))
    told = activity("a1", "needs_diagnosis", "custom_demo")
    await company.hear(told, "a1", source="funnel")
    await company.hear(told, "a1", source="funnel")
    assert states(await key_actions(company, person_id="rep1")) == {
        "needs_diagnosis": "verified", "custom_demo": "verified", "competitor_comparison": "planned",
    }  # fmt: skip
    [done] = [one for one in await key_actions(company, person_id="rep1") if one.kind == "custom_demo"]
    assert (done.verified_by, done.evidence.reference) == ("reactor", "a1")
    [counted] = [one for one in await bindings(company, person_id="rep1") if one.kind == "custom_demo"]
    assert (counted.planned_count, counted.done_count, counted.verified_count) == (1, 1, 1)
    await company.hear(activity("a1", effective=False, version=2), "a1", source="funnel")
    assert states(await key_actions(company, person_id="rep1"))["custom_demo"] == "planned"
    assert set(states(await key_actions(company, person_id="rep2")).values()) == {"planned"}
    # Days pass: what nobody did is missed, and who falls behind is warned.
    await company.move_to(datetime(2026, 2, 20, 9, tzinfo=SHANGHAI))
    assert set(states(await key_actions(company)).values()) == {"missed"}
    behind = [one for one in await alarms_of(company) if one.kind == alarms_pb2.ALARM_KIND_ACTIONS_BEHIND]
    # Leaders, too: nobody coached.
    assert {one.holder.person_id for one in behind} == {f"rep{at}" for at in (1, 2, 3, 4)} | LEADERS
    assert "0 of 3 actions" in behind[0].message


@pytest.mark.mission("S15")
async def test_evidence_is_claimed_and_a_leader_confirms_it(company: Live) -> None:
    await in_force(company)
    # Who stands at the top acts, too, and is believed by somebody else.
    [coached] = [one for one in await key_actions(company, person_id="boss") if one.kind == "coaching"]
    request = pb.CompleteKeyActionRequest(request_id=request_id(), key_action_id=coached.id, etag=coached.etag)
    request.evidence.kind, request.evidence.reference = "note", "with m-east on the delta accounts"
    claimed = await actions(company, "boss", "executive").CompleteKeyAction(request)
    judged = await actions(company).VerifyKeyAction(
        pb.VerifyKeyActionRequest(request_id=request_id(), key_action_id=coached.id, etag=claimed.etag, accepted=True)
    )
    assert judged.state == pb.KEY_ACTION_STATE_VERIFIED
    [demo] = [one for one in await key_actions(company, person_id="rep1") if one.kind == "custom_demo"]
    [other] = [one for one in await key_actions(company, person_id="rep2") if one.kind == "custom_demo"]
    evidence = pb.ActionEvidence(kind="document", reference="https://dms/4711")

    async def complete(action: pb.KeyAction, who: str, given: pb.ActionEvidence = evidence) -> pb.KeyAction:
        request = pb.CompleteKeyActionRequest(
            request_id=request_id(), key_action_id=action.id, etag=action.etag, evidence=given
        )
        return await actions(company, who, "rep").CompleteKeyAction(request)

    async def verify(action: pb.KeyAction, who: str, accepted: bool, comment: str = "") -> pb.KeyAction:
        request = pb.VerifyKeyActionRequest(
            request_id=request_id(), key_action_id=action.id, etag=action.etag, accepted=accepted, comment=comment
        )
        return await actions(company, who, "manager").VerifyKeyAction(request)

    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await complete(demo, "rep2")
    with company.refused("INVALID_ARGUMENT", "EVIDENCE_MISSING"):
        await complete(demo, "rep1", pb.ActionEvidence(kind="document", reference=" "))
    with company.refused("FAILED_PRECONDITION", "NOT_CLAIMED"):
        await verify(demo, "l-east-1", True)
    claimed = await complete(demo, "rep1")
    assert claimed.state == pb.KEY_ACTION_STATE_CLAIMED
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await complete(demo, "rep1")
    with company.refused("FAILED_PRECONDITION", "ALREADY_DONE"):
        await complete(claimed, "rep1")
    with company.refused("ALREADY_EXISTS", "EVIDENCE_USED"):
        await complete(other, "rep2")
    with company.refused("INVALID_ARGUMENT", "COMMENT_MISSING"):
        await verify(claimed, "l-east-1", False)
    rejected = await verify(claimed, "l-east-1", False, "the customer was not there")
    assert rejected.state == pb.KEY_ACTION_STATE_REJECTED
    again = await complete(rejected, "rep1")
    done = await verify(again, "l-east-1", True)
    assert (done.state, done.verified_by) == (pb.KEY_ACTION_STATE_VERIFIED, "l-east-1")
    own = await key_actions(company, ("rep1", "rep"))
    assert {one.ownership.owner_id for one in own} == {"rep1"}


@pytest.mark.mission("S5", "S15", "U5")
async def test_what_was_done_counts_in_the_next_version_and_comes_back_with_a_recall(company: Live) -> None:
    plan = await in_force(company)
    await company.move_to(datetime(2026, 2, 12, 18, tzinfo=SHANGHAI))
    await company.hear(activity("a1", "needs_diagnosis"), "a1", source="funnel")
    stub = plans(company)
    await stub.CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason="market fell"
        )
    )
    await publish(company, plan, 2)
    [done] = [one for one in await bindings(company, person_id="rep1") if one.kind == "needs_diagnosis"]
    assert (done.verified_count, done.planned_count) == (1, 1)
    assert len([one for one in await key_actions(company) if one.state != pb.KEY_ACTION_STATE_CANCELLED]) == 30
    held = await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=2))
    await stub.RecallPlanVersion(
        plans_pb2.RecallPlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, version=2, etag=held.etag, reason="too early"
        )
    )
    [back] = [one for one in await bindings(company, person_id="rep1") if one.kind == "needs_diagnosis"]
    assert back.id != done.id
    assert (back.verified_count, back.planned_count) == (1, 1)


@pytest.mark.mission("S15")
async def test_the_map_shows_lift_with_its_sample_and_refuses_to_claim_on_too_few(live: Live) -> None:
    reps = [f"r{number:02}" for number in range(30)]
    units = [("co", "", "company", "Company", "boss"), ("t", "co", "team", "Team", "boss")]
    people = [("boss", "co", "Boss", ["executive"]), *((rep, "t", rep, ["rep"]) for rep in reps)]
    await bring_in(live, units, people)
    await in_force(live, 3_000_000)
    await live.move_to(datetime(2026, 2, 12, 18, tzinfo=SHANGHAI))
    # Half of them gave a custom demo and reached about 90 %, the others about 60 %; two compared competitors.
    for number, rep in enumerate(reps):
        keys = (["custom_demo"] if number % 2 else []) + (["competitor_comparison"] if number < 2 else [])
        if keys:
            await live.hear(activity(f"a{rep}", *keys, person=rep), rep, source="funnel")
    rows = [fact(rep, (90_000 if number % 2 else 60_000) + 100 * number, rep) for number, rep in enumerate(reps)]
    await import_facts(live, *rows)
    found = await actions(live, "boss", "executive").GetActionResultMap(pb.GetActionResultMapRequest(period="2026-Q1"))
    by_kind = {one.action_kind: one for one in found.effects}
    demo, comparison = by_kind["custom_demo"], by_kind["competitor_comparison"]
    assert (demo.with_count, demo.without_count, demo.result_metric) == (15, 15, "won_value")
    assert demo.lift == pytest.approx(0.301, abs=0.001)
    assert 0 < demo.lower < demo.lift < demo.upper
    assert demo.execution_ratio == 0.5
    assert "higher where it was done" in demo.verdict
    assert (comparison.with_count, comparison.HasField("lift")) == (2, False)
    assert comparison.verdict.startswith("cannot say: 2 targets with and 28 without")


@pytest.mark.mission("S15")
@pytest.mark.parametrize(
    ("done", "not_done", "verdict"),
    [
        ([1.0, 0.9] * 5, [0.5, 0.6] * 5, "completion is 40.0% higher"),
        ([0.5, 0.6] * 5, [1.0, 0.9] * 5, "completion is 40.0% lower"),
        ([0.5, 0.9] * 5, [0.6, 0.8] * 5, "no difference that can be told from chance"),
        ([1.0] * 9, [0.1] * 50, "cannot say: 9 targets with and 50 without, 10 of each are needed"),
        ([1.0] * 20, [0.1] * 20, "cannot say: neither the 20 targets with nor the 20 without differ"),
        ([], [], "cannot say"),
    ],
)
def test_claims(done: list[float], not_done: list[float], verdict: str) -> None:
    assert rules.effect(done, not_done, 10, 0.95).verdict.startswith(verdict)


@pytest.mark.mission("S15")
def test_the_interval_of_a_claim_holds_the_truth_as_often_as_it_says() -> None:
    """Small groups of unequal spread: of 1,000 draws 95 % hold the true lift, not the 92 % of a normal quantile."""
    draws = random.Random(15)
    held = 0
    for _ in range(1000):
        found = rules.effect(
            [draws.gauss(0.9, 0.3) for _ in range(8)], [draws.gauss(0.8, 0.1) for _ in range(5)], 5, 0.95
        )
        assert found.lower is not None
        assert found.upper is not None
        held += found.lower <= 0.1 <= found.upper
    assert 935 <= held <= 965


def test_a_catalogue_that_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="fewer than a target must have"):
        ActionRules(usual=("needs_diagnosis",))
    with pytest.raises(ValueError, match="unknown kinds"):
        ActionRules(usual=("golf", "needs_diagnosis", "custom_demo"))
    with pytest.raises(ValueError, match="unknown kinds"):
        ActionRules(usual_of_leaders=("golf", "coaching", "joint_visit"))
    # One that a company wrote before leaders were asked for anything goes on holding.
    before = ActionRules.model_validate(
        {"kinds": [{"code": code, "name": code} for code in "abc"], "usual": list("abc")}
    )
    assert (before.least(leads=True), before.usual_for(leads=True), before.least(leads=False)) == (0, (), 3)
    with pytest.raises(ValueError, match="once"):
        ActionRules(kinds=(ActionKind(code="a", name="a"), ActionKind(code="a", name="b")), usual=())


provables = st.lists(
    st.builds(
        lambda day, kind, subject: (day, kind, subject),
        st.integers(1, 20),
        st.sampled_from(["demo", "visit"]),
        st.sampled_from(["", "acme"]),
    ),
    max_size=5,
)


@given(provables, provables, st.randoms())
def test_which_activity_proves_what_does_not_depend_on_the_order(
    wanted: list[Any], done: list[Any], chance: random.Random
) -> None:
    waiting = [
        rules.Provable(f"k{at}", "rep1", kind, date(2026, 2, day), subject)
        for at, (day, kind, subject) in enumerate(wanted)
    ]
    proofs = [
        rules.Proof(f"a{at}", "rep1", ["demo", kind], [subject], date(2026, 2, day), datetime(2026, 2, day))
        for at, (day, kind, subject) in enumerate(done)
    ]
    found = rules.matched(waiting, proofs, 7)
    assert len(
        {(activity, next(one.kind for one in waiting if one.id == id)) for id, activity in found.items()}
    ) == len(found)
    chance.shuffle(waiting)
    chance.shuffle(proofs)
    assert rules.matched(waiting, proofs, 7) == found


def test_the_nearest_day_proves_and_the_own_subject_goes_first() -> None:
    waiting = [
        rules.Provable("k1", "r", "demo", date(2026, 2, 10), ""),
        rules.Provable("k2", "r", "demo", date(2026, 2, 14), "acme"),
    ]
    at = datetime(2026, 2, 11)
    one = rules.Proof("a1", "r", ["demo"], ["acme"], date(2026, 2, 10), at)
    assert rules.matched(waiting, [one], 14) == {"k2": "a1"}
    two = rules.Proof("a2", "r", ["demo"], ["other"], date(2026, 2, 11), at)
    assert rules.matched(waiting, [one, two], 14) == {"k1": "a2", "k2": "a1"}
    assert rules.matched(waiting, [two], 0) == {}
