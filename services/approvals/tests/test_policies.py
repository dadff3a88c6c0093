"""Policies: which hold on which facts, whom they ask, and that no text can hang the service."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from closedloop.approvals.v1 import delegations_pb2, policies_pb2
from closedloop.options.v1 import options_pb2
from closedloop_approvals.policies import condition
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules, PolicyRule, StepRule
from closedloop_approvals.policies.rules import Facts, Neighbour, Plan, plan
from closedloop_approvals.signatories import ONLY_LOOK, About, find, next_above, vacant
from closedloop_chassis import contract, errors
from closedloop_chassis.calendar.business import CalendarRules, Calendars
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit
from closedloop_chassis.rulebook.rules import ClockSetting

from .conftest import ACCOUNT, FUNCTIONS, PEOPLE, UNITS, Company, approval, cny, facts, quote, rid

NOW = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
PLAIN: dict[str, object] = {"calendar": "", "time_zone": "", "currency_code": "", "territory": {}, "active": True}
REST: dict[str, object] = {"title": "", "email": "", "mobile": "", "handles": {}, "time_zone": "", "language": ""}


def person(id_: str, unit: str, roles: list[str], function: str = "", active: bool = True) -> Person:
    return Person(
        id=id_, unit_id=unit, name=id_, roles=roles, function=function, territory={}, active=active, version=1, **REST
    )


ORG = OrgSnapshot(
    [Unit(id=i, parent_id=p, kind=k, name=n, manager_id=m, version=1, **PLAIN) for i, p, k, n, m in UNITS],
    [person(i, u, r) for i, u, _, r in PEOPLE]
    + [person(i, "office", ["signatory"], f) for i, f in FUNCTIONS]
    + [person("east_fin", "team1", ["signatory"], "controlling"), person("gone", "team1", ["rep"], active=False)],
)
RULES = ApprovalPolicyRules()
CALENDARS = Calendars(CalendarRules(), ORG)


def route(rules: ApprovalPolicyRules = RULES, submitter: str = "rep", **told: object) -> Plan:
    fields = {"kind": "quote", "origin": "funnel", "owner_id": "rep", "unit_id": "team1", "discount_ratio": 0.0, **told}
    return plan(
        Facts(submitter_id=submitter, **fields), rules, ORG, [], NOW, lambda decision: CALENDARS.due(decision, NOW)
    )


def people(made: Plan) -> list[list[str]]:
    return [[p.person_id for slot in step.slots for p in slot.people] for step in made.steps]


@pytest.mark.mission("S63", "S64")
@pytest.mark.parametrize(
    ("told", "policies", "asked"),
    [
        ({"discount_ratio": 0.0}, ["small_discount"], []),
        ({"discount_ratio": 0.10}, ["small_discount"], []),
        ({"discount_ratio": 0.1001}, ["discount"], [["lead"]]),
        ({"discount_ratio": 0.20}, ["discount"], [["lead"]]),
        ({"discount_ratio": 0.2001}, ["large_discount"], [["lead"], ["director"]]),
        ({"amount": 999_999.99}, ["small_discount"], []),
        ({"amount": 1_000_000.0}, ["small_discount", "major_project"], [["fin1", "fin2", "law"]]),
        ({"major_project": True}, ["small_discount", "major_project"], [["fin1", "fin2", "law"]]),
        (
            {"discount_ratio": 0.3, "major_project": True},
            ["large_discount", "major_project"],
            [["lead"], ["director"], ["fin1", "fin2", "law"]],
        ),
        ({"kind": "contract"}, ["contract"], [["lead"]]),
        ({"kind": "plan_exception"}, ["plan_exception"], [["director"]]),
        # Nobody stands above the top of the line.
        ({"owner_id": "boss", "unit_id": "co", "discount_ratio": 0.15}, ["discount"], [["fin1", "fin2"]]),
        ({"kind": "plan_exception", "owner_id": "boss", "unit_id": "co"}, ["plan_exception"], [["fin1", "fin2"]]),
        # A manager's own deal goes up the line, and whoever stands twice in it signs once.
        ({"owner_id": "lead", "discount_ratio": 0.3}, ["large_discount"], [["director"]]),
    ],
)
def test_the_default_policies(told: dict[str, object], policies: list[str], asked: list[list[str]]) -> None:
    made = route(**({"submitter": told["owner_id"]} if "owner_id" in told else {}), **told)
    assert [reference.policy for reference in made.references] == policies
    assert people(made) == asked


@given(st.floats(0, 1), st.floats(0, 10**8), st.booleans())
def test_every_quote_is_either_cleared_or_signed_and_never_by_its_owner(
    ratio: float, amount: float, major: bool
) -> None:
    made = route(discount_ratio=ratio, amount=amount, major_project=major)
    assert bool(made.steps) == (ratio > 0.10 or amount >= 1_000_000 or major)
    assert all("rep" not in asked for asked in people(made))
    assert made.references


@pytest.mark.parametrize(
    ("word", "expected", "instead_of"),
    [
        ("manager_of_owner", ["lead"], ""),
        ("director_of_owner", ["director"], ""),
        ("manager_of_parent_unit", ["director"], ""),
        ("owner", ["rep"], ""),
        ("person:fin1", ["fin1"], ""),
        ("person:gone", ["lead"], "gone"),
        ("person:nobody", [], ""),
        ("role:finance", ["fin1", "fin2"], ""),
        ("role:controlling", ["east_fin"], ""),
        ("role:astronaut", [], ""),
        ("role:astronaut|manager_of_owner|person:fin1", ["lead"], ""),
    ],
)
def test_words_find_people(word: str, expected: list[str], instead_of: str) -> None:
    found = find(word, About("rep", "team1", "rep"), ORG, RULES.titles)
    assert [candidate.person_id for candidate in found] == expected
    assert {candidate.instead_of for candidate in found} <= {instead_of}


def test_a_party_is_passed_over_for_the_next_of_the_line() -> None:
    [candidate] = find("manager_of_owner", About("rep", "team1"), ORG, RULES.titles, {"lead"})
    assert (candidate.person_id, candidate.instead_of) == ("director", "lead")
    assert [c.person_id for c in find("role:finance", About("rep", "team1"), ORG, {}, {"fin1"})] == ["fin2"]


@pytest.mark.mission("S63", "S65")
def test_who_may_only_look_on_is_never_asked() -> None:
    """A chief who is nothing but an executive could not answer: the contract grants him no Decide."""
    looks_on = replace(ORG.people["boss"], roles=["executive"])
    org = OrgSnapshot(ORG.units.values(), [*(p for p in ORG.people.values() if p.id != "boss"), looks_on])
    assert next_above("lead", org, {"director"}) == ""
    assert find("manager_of_owner", About("director", "east"), org, {}, {"director"}) == []
    assert vacant("role:executive", org, {})
    assert [c.person_id for c in find("person:boss|role:finance", About("rep", "team1"), org, {})] == ["fin1", "fin2"]
    for service, rpc in (("RequestService", "Decide"), ("TaskService", "CompleteTask")):
        [granted] = [m.grants for m in contract.methods(f"closedloop.approvals.v1.{service}") if m.name == rpc]
        roles = {options_pb2.Role.Name(n).removeprefix("ROLE_").lower() for n in options_pb2.Role.values()} - {
            "unspecified"
        }
        assert roles - {role for role, _ in granted} == ONLY_LOOK


@pytest.mark.parametrize(
    "text",
    [
        "discount_ratio >",
        "colour == 'red'",
        "amount + 1.0",
        "discount_ratio > 'much'",
        "product_ids.exists(p, p == 'a')",
        "product_ids.map(p, p).size() > 0",
        "'aaaa'.matches('(a+)+$')",
        "(" * 400 + "true" + ")" * 400,
        "!" * 900 + "true",
        "true" + " && true" * 200,
        "[1,2,3].map(x, [1,2,3].map(y, x)).size() > 1",
        "timestamp('2026-01-01T00:00:00Z').getFullYear() > 1",
    ],
)
def test_what_is_no_condition_is_refused_when_it_is_published(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(ValidationError):
        PolicyRule(name="p", title="P", kinds=("quote",), condition=text, explanation="because")
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize(
    "text",
    [
        " || ".join(f"amount > {n}.0" for n in range(50)),
        "'" + "a" * 400 + "' + '" + "b" * 400 + "' == region",
        "(" * 9 + "discount_ratio > 0.9" + ")" * 9,
        "industry in [" + ",".join(f"'{n}'" for n in range(180)) + "]",
    ],
)
def test_the_worst_condition_that_is_let_in_is_decided_in_no_time(text: str) -> None:
    compiled = condition.compiled(text)
    begun = time.perf_counter()
    compiled.holds({**condition.SAMPLE, "amount": -1.0})
    assert time.perf_counter() - begun < 0.25


def test_a_condition_costs_little_and_is_compiled_once() -> None:
    text = 'discount_ratio > 0.2 && amount >= 1000000.0 && ("P1" in product_ids || account_grade == "A")'
    compiled = condition.compiled(text)
    assert condition.compiled(text) is compiled
    begun = time.perf_counter()
    for _ in range(100):
        assert not compiled.holds(condition.SAMPLE)
    assert (time.perf_counter() - begun) / 100 < 0.01


def test_custom_facts_and_unknown_ones() -> None:
    export = PolicyRule(
        name="export",
        title="Export",
        kinds=("quote",),
        condition="has(custom.export) && custom.export",
        explanation="x",
    )
    rules = ApprovalPolicyRules(policies=(export,))
    assert route(rules, custom={"export": True}).references[0].policy == "export"
    with pytest.raises(errors.FailedPrecondition, match="no policy"):
        route(rules, custom={})
    with pytest.raises(errors.InvalidArgument) as refused:
        route(discount_ratio=None)
    assert refused.value.violations == {"facts.discount_ratio": "is looked at by the policy"}


def test_the_strictest_time_and_the_strictest_end_win() -> None:
    step = StepRule(name="s", signers=("manager_of_owner",))
    slow, fast = (
        PolicyRule(name=n, title=n, kinds=("quote",), explanation="x", steps=(step,), decision=d, on_overdue=o)
        for n, d, o in (
            ("slow", ClockSetting(days=3, calendar="business"), "escalate"),
            ("fast", ClockSetting(hours=4, calendar="business"), "reject"),
        )
    )
    made = route(ApprovalPolicyRules(policies=(slow, fast)))
    assert (made.decision.hours, made.on_overdue) == (4, "reject")
    assert len(made.steps) == 1, "the same step of two policies is asked once"


def signed(mode: str, *signers: str, quorum: int = 0, org: OrgSnapshot = ORG, **told: object) -> list[list[str]]:
    """Whom a step of these words asks, slot by slot."""
    step = StepRule(name="s", signers=signers, mode=mode, quorum=quorum)
    rules = ApprovalPolicyRules(
        policies=(PolicyRule(name="p", title="P", kinds=("quote",), explanation="x", steps=(step,)),)
    )
    fields = {"kind": "quote", "origin": "funnel", "owner_id": "rep", "unit_id": "team1", **told}
    made = plan(Facts(submitter_id=str(fields["owner_id"]), **fields), rules, org, [], NOW, lambda _: NOW)  # type: ignore[arg-type]
    [planned] = made.steps
    return [[p.person_id for p in slot.people] for slot in planned.slots]


@pytest.mark.mission("S64")
def test_two_signatures_of_a_step_are_two_peoples() -> None:
    """A countersignature by oneself is none, whichever words name one twice."""
    assert signed("all", "manager_of_owner", "director_of_owner", owner_id="lead") == [["director"], ["boss"]]
    assert signed("quorum", "role:finance", "person:fin1", quorum=2) == [["fin2"], ["fin1"]]
    seats = signed("all", "role:finance", "role:signatory", owner_id="cfo", unit_id="office")
    assert sorted(person for slot in seats for person in slot) == ["fin1", "fin2", "law"]
    assert all(seats), "whoever could give both is asked for one"
    # Two of finance are two people of finance.
    assert signed("quorum", "role:finance", quorum=2) == [["fin1"], ["fin2"]]
    with pytest.raises(errors.FailedPrecondition, match="fewer people than signatures"):
        signed("quorum", "role:finance", quorum=3)
    # Where one is enough it may be the same one.
    assert signed("any", "manager_of_owner", "director_of_owner", owner_id="lead") == [["director"], ["director"]]
    for words in (
        ("role:legal", "role:legal|person:nobody"),
        ("role:finance", *(f"role:finance|role:r{n}" for n in "ab")),
    ):
        with pytest.raises(errors.FailedPrecondition) as refused:
            signed("all", *words)
        assert refused.value.reason == "SIGNER_NOT_FOUND", "fewer people than signatures"


@pytest.mark.mission("S63", "S64")
def test_what_is_not_told_is_unknown_and_never_no() -> None:
    """A grade nobody has told is not a good grade."""
    careful = PolicyRule(
        name="careful", title="C", kinds=("quote",), condition='account_grade in ["C", "D"]', explanation="x"
    )
    free = PolicyRule(name="free", title="F", kinds=("quote",), explanation="all else is free")
    rules = ApprovalPolicyRules(policies=(careful, free))
    assert [r.policy for r in route(rules, account_grade="A").references] == ["free"]
    for name in ("account_grade", "industry", "region"):
        rules = ApprovalPolicyRules(policies=(careful.model_copy(update={"condition": f'{name} == "D"'}), free))
        with pytest.raises(errors.InvalidArgument) as refused:
            route(rules, **{name: ""})
        assert refused.value.violations == {f"facts.{name}": "is looked at by the policy"}
    guarded = careful.model_copy(update={"condition": 'has(facts.account_grade) && account_grade == "D"'})
    assert [r.policy for r in route(ApprovalPolicyRules(policies=(guarded, free))).references] == ["free"]


@pytest.mark.mission("S64", "U16")
@given(st.lists(st.integers(1, 60_000_000), min_size=1, max_size=12))
def test_a_million_in_parts_is_a_million(parts: list[int]) -> None:
    """In floats 0.1 + 0.2 is more than 0.3, and many a sum less than it should be."""
    parts = [*parts, max(100_000_000 - sum(parts), 0)]
    others = [Neighbour(str(n), fen / 100, NOW) for n, fen in enumerate(parts[1:])]
    made = plan(
        Facts("quote", "funnel", "rep", "rep", "team1", amount=parts[0] / 100, discount_ratio=0.0),
        RULES,
        ORG,
        others,
        NOW,
        lambda _: NOW,
    )
    assert bool(made.steps) == (sum(parts) >= 100_000_000)


@pytest.mark.parametrize(
    "broken",
    [
        {"mode": "single", "signers": ("owner", "submitter")},
        {"mode": "quorum", "signers": ("owner", "submitter")},
        {"mode": "quorum", "quorum": 3, "signers": ("owner", "submitter")},
        {"mode": "all", "quorum": 1, "signers": ("owner",)},
        {"signers": ("whoever",)},
        {"signers": ()},
    ],
)
def test_steps_that_nobody_could_finish_are_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StepRule(name="s", **broken)


async def test_the_policies_read_as_words(company: Company) -> None:
    first = await company.policies("rep").ListPolicies(policies_pb2.ListPoliciesRequest(kind="quote", page_size=3))
    assert [policy.name for policy in first.policies] == ["small_discount", "discount", "large_discount"]
    large = first.policies[2]
    assert [(s.number, list(s.signers), s.mode) for s in large.steps] == [
        (1, ["manager_of_owner|role:finance"], policies_pb2.STEP_MODE_SINGLE),
        (2, ["director_of_owner|role:finance"], policies_pb2.STEP_MODE_SINGLE),
    ]
    assert large.steps[0].time_budget.seconds == 8 * 3600
    assert large.steps[0].calendar == "business"
    assert large.rule.rule == "policies.large_discount"
    rest = await company.policies("rep").ListPolicies(
        policies_pb2.ListPoliciesRequest(kind="quote", page_size=3, page_token=first.next_page_token)
    )
    assert [policy.name for policy in rest.policies] == ["major_project"]
    assert rest.policies[0].accumulation_window.seconds == 7 * 86400
    assert not rest.next_page_token


@pytest.mark.mission("U9", "U19")
async def test_a_route_is_tried_without_opening_anything(company: Company) -> None:
    stub = company.policies("rep")
    call = policies_pb2.PreviewRouteRequest(kind="quote", facts=facts(0.25, 2_000_000))
    made = await stub.PreviewRoute(call)
    assert made.approval_required
    assert [[s.person_id for s in step.signers] for step in made.steps] == [
        ["lead"],
        ["director"],
        ["fin1", "fin2", "law"],
    ]
    assert made.steps[2].mode == policies_pb2.STEP_MODE_ALL
    assert made.steps[0].due_time.ToDatetime().hour == 10, "18:00 in Shanghai"
    assert [rule.rule for rule in made.rules] == ["policies.large_discount", "policies.major_project"]
    period = {"start_time": company.live.now, "end_time": company.live.now.replace(day=9)}
    await company.delegations("lead").CreateDelegation(
        delegations_pb2.CreateDelegationRequest(request_id=rid(), delegate_id="peer", period=period, reason="休假")
    )
    made = await stub.PreviewRoute(call)
    assert made.steps[0].signers[0].delegate_id == "peer"
    call.draft.update({"policies": [{"name": "free", "title": "F", "kinds": ["quote"], "explanation": "all is free"}]})
    assert not (await stub.PreviewRoute(call)).approval_required
    lost = {"name": "s", "signers": ["person:nobody"]}
    policy = {"name": "lost", "title": "L", "kinds": ["quote"], "explanation": "?", "steps": [lost]}
    call.draft.update({"policies": [policy]})
    with company.live.refused("FAILED_PRECONDITION", "SIGNER_NOT_FOUND"):
        await stub.PreviewRoute(call)
    call.draft.update({"policies": [{"name": "free", "condition": "1 +"}]})
    with company.live.refused("INVALID_ARGUMENT", "POLICY_INVALID"):
        await stub.PreviewRoute(call)
    foreign = policies_pb2.Facts(
        amount=cny(1), discount_ratio=0.3, ownership={"owner_id": "north_rep", "unit_id": "north"}
    )
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await stub.PreviewRoute(policies_pb2.PreviewRouteRequest(kind="quote", facts=foreign))
    [count] = await company.live.db.all("SELECT count(*) AS n FROM approval_request")
    assert count["n"] == 0


@pytest.mark.mission("S64", "U19")
async def test_a_route_that_is_tried_tells_nothing_of_what_others_sell(company: Company) -> None:
    """By the amount that tips a route one could work out what a colleague of another region quotes to a customer."""
    first = await company.ask(approval(told=facts(0.05, 600_000, account_id=ACCOUNT)))

    async def tried(person: str, yuan: float, *roles: str, **more: object) -> policies_pb2.Route:
        told = policies_pb2.Facts(amount=cny(yuan), discount_ratio=0.05, account_id=ACCOUNT)
        call = policies_pb2.PreviewRouteRequest(kind="quote", facts=told, **more)
        return await company.policies(person, *roles).PreviewRoute(call)

    own = await tried("rep", 400_000)
    assert (list(own.accumulated_request_ids), own.accumulated_amount, own.partial) == (
        [first.id],
        cny(1_000_000),
        False,
    )
    assert await tried("lead", 400_000) == own, "his manager sees his matters"
    assert (await tried("ops", 400_000)).accumulated_amount == cny(1_000_000)
    for stranger in ("north_rep", "north_director", "peer", "law"):
        made = await tried(stranger, 400_000)
        assert not made.approval_required, stranger
        assert not made.accumulated_request_ids
        assert (made.HasField("accumulated_amount"), made.partial) == (False, True)
        assert "600" not in str(made)
        assert "1,000,000" not in str(made)
    # Nor by a rulebook of his own making.
    body = {"name": "feeler", "title": "?", "kinds": ["quote"], "explanation": "?", "accumulation_days": 300}
    draft = policies_pb2.PreviewRouteRequest().draft
    draft.update({"policies": [{**body, "condition": "accumulated_amount > 1.0"}]})
    feeling = await tried("north_rep", 2, draft=draft)
    assert [rule.explanation for rule in feeling.rules] == ["? (accumulated_amount 2)"]
    # What is submitted counts all the same.
    last = await company.ask(approval(quote(subject_id="Q-9"), facts(0.05, 400_000, account_id=ACCOUNT)))
    assert list(last.accumulated_request_ids) == [first.id]
    # Who is asked to sign it counts it, and it alone.
    signing = await tried("fin1", 600_000)
    assert (list(signing.accumulated_request_ids), signing.partial) == ([last.id], True)
