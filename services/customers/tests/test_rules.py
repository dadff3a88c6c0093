"""The rules alone: tables of cases, and what must hold whatever the input."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit
from closedloop_customers import codes, identifiers, profiles
from closedloop_customers.accounts import rules as accounts
from closedloop_customers.assignment import rules as assignment
from closedloop_customers.assignment.rules import AssignmentRules, Seller, Subject
from closedloop_customers.codes import CodeRules
from closedloop_customers.contacts import rules as contacts
from closedloop_customers.identifiers import MatchingRules
from closedloop_customers.interactions import rules as interactions
from closedloop_customers.interactions.rules import InteractionRules, Touch
from closedloop_customers.leads import rules as leads
from closedloop_customers.potential import rules as potential
from closedloop_customers.potential.rules import Inputs, PotentialRules, Tender
from closedloop_customers.suggestions import rules as suggestions
from closedloop_customers.wake_ups import rules as wake_ups
from closedloop_customers.wake_ups.rules import Facts, Interest, Plan, Recipient, Refusal, WakeUpRules

NOW = datetime(2026, 1, 5, 1, tzinfo=UTC)
MATCHING = MatchingRules()


@pytest.mark.parametrize(
    ("written", "known_as"),
    [
        ("138 0013 8000", "+8613800138000"),
        ("+86-13800138000", "+8613800138000"),
        ("8613800138000", "+8613800138000"),
        ("008613800138000", "+8613800138000"),
        ("021-5555 1234", "+862155551234"),
        ("+1 (415) 555-0100", "+14155550100"),
        ("１３８００１３８０００", "+8613800138000"),
        ("021-55551234转8001", "+862155551234"),
        ("138-0013-8000 ext. 12", "+8613800138000"),
        ("n/a", ""),
        ("1", ""),
        ("1.38E+10", ""),
        ("13800138000.0", ""),
        ("13800138000/13900139000", ""),
    ],
)
def test_one_spelling_for_every_number(written: str, known_as: str) -> None:
    assert identifiers.phone(written) == known_as


@pytest.mark.parametrize(
    ("written", "of_company", "of_person"),
    [
        ("13800138000", True, True),
        ("0951-5012345", True, True),
        ("+1 111 111 1111", True, True),
        ("400-820-0820", True, False),
        ("95588", True, False),
        ("12345", True, False),
        ("11111111111", False, False),
        ("00000000000", False, False),
        ("12345678", False, False),
    ],
)
def test_a_number_of_nobody_and_of_anybody_is_no_key(written: str, of_company: bool, of_person: bool) -> None:
    assert bool(identifiers.account_keys({"phones": [written]}, MATCHING)) == of_company
    assert bool(identifiers.contact_keys({"phones": [written]}, MATCHING)) == of_person
    assert bool(identifiers.lead_keys({"phone": written}, MATCHING)) == of_person


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"phone": "1.38E+10"}, "PHONE_UNREADABLE"),
        ({"phones": ["13800138000", "13800138000.0"]}, "PHONE_UNREADABLE"),
        ({"phone": "abc"}, "PHONE_UNREADABLE"),
        ({"phone": "00000000000"}, "PHONE_UNREADABLE"),
        ({"email_address": "abc"}, "MAIL_UNREADABLE"),
        ({"email_addresses": ["abc"]}, "MAIL_UNREADABLE"),
        ({"time_zone": "Mars/Phobos"}, "UNKNOWN_TIME_ZONE"),
        ({"time_zone": "../etc/passwd"}, "UNKNOWN_TIME_ZONE"),
    ],
)
def test_what_nobody_is_reached_by_is_refused_when_it_is_new(profile: dict[str, Any], reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        identifiers.check_ways(profile, MATCHING)
    assert refused.value.reason == reason
    identifiers.check_ways(profile, MATCHING, profile)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("华东精密有限公司", "华东精密"),
        ("华东精密股份有限公司", "华东精密（有限公司）"),
        ("Acme Corporation", "ACME Corp."),
        ("Acme, Inc", "acme"),
    ],
)
def test_names_of_one_company(one: str, other: str) -> None:
    assert identifiers.company(one, MATCHING) == identifiers.company(other, MATCHING) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("华东精密集团", "华东精密"), ("Costco", "Cost"), ("有限公司", "有限责任公司")]
)
def test_names_of_two_companies(one: str, other: str) -> None:
    assert identifiers.company(one, MATCHING) != identifiers.company(other, MATCHING)


def test_mail_providers_say_nothing_about_a_company() -> None:
    profile = {"name": "甲", "domains": ["qq.com", "jia.example.cn"], "credit_code": "91310000MA1FL0XX1X"}
    assert identifiers.account_keys(profile, MATCHING) == [
        "credit:91310000MA1FL0XX1X",
        "domain:jia.example.cn",
        "name:甲",
    ]


@given(st.text(max_size=40))
def test_a_normalised_number_stays_as_it_is(text: str) -> None:
    once = identifiers.phone(text)
    assert identifiers.phone(once) == once


@pytest.mark.parametrize(
    ("code", "wanted", "covered"),
    [
        ("31", "310115", True),
        ("310000", "310115", True),
        ("310100", "310115", True),
        ("310115", "310000", False),
        ("320000", "310115", False),
        ("manufacturing", "manufacturing.automotive", True),
        ("manufacturing", "manufacturing2", False),
        ("US", "US-CA", True),
    ],
)
def test_a_code_stands_for_all_below_it(code: str, wanted: str, covered: bool) -> None:
    assert codes.covers(code, wanted) is covered


@pytest.mark.parametrize(
    ("profile", "region"),
    [
        ({"company_name": "上海智造有限公司"}, "310000"),
        ({"name": "苏州精工"}, "320000"),
        ({"address": "浙江省杭州市"}, "330000"),
        ({"phone": "021-5555 1234"}, "310000"),
        ({"phones": ["+86 10 6555 1234"]}, "110000"),
        ({"phone": "13800138000"}, ""),
        ({"company_name": "Acme"}, ""),
    ],
)
def test_a_missing_region_is_derived_where_it_can_be(profile: dict[str, Any], region: str) -> None:
    assert codes.region_of(profile, CodeRules()) == region


def test_codes_of_a_units_territory_are_known() -> None:
    unit = Unit("east", "", "华东", "region", "", "", "", "", {"regions": ["east-1"]}, True, 1)
    codes.check({"region_code": "east-1"}, CodeRules(), OrgSnapshot([unit]))
    with pytest.raises(errors.InvalidArgument) as refused:
        codes.check({"region_code": "west-1", "industry": "alchemy"}, CodeRules(), OrgSnapshot([unit]))
    assert set(refused.value.violations) == {"profile.region_code", "profile.industry"}


def test_masks_erase_set_and_reach_into_custom_fields() -> None:
    from closedloop.customers.v1.accounts_pb2 import AccountProfile

    old = {"name": "甲", "industry": "education", "custom_fields": {"fleet": 3, "size": "L"}}
    new = {"name": "乙", "custom_fields": {"fleet": 4}}
    assert profiles.masked(
        old, new, ["name", "industry", "custom_fields.fleet", "custom_fields.size"], AccountProfile
    ) == {
        "name": "乙",
        "custom_fields": {"fleet": 4},
    }
    with pytest.raises(errors.InvalidArgument):
        profiles.masked(old, new, ["name.x"], AccountProfile)


# Accounts.


@pytest.mark.parametrize(
    ("won", "status"),
    [(None, "prospect"), (date(2026, 1, 4), "customer"), (date(2024, 1, 6), "customer"), (date(2024, 1, 4), "former")],
)
def test_status_follows_deals(won: date | None, status: str) -> None:
    assert accounts.status_by_deals(won, date(2026, 1, 5), accounts.AccountRules()) == status


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", *"abcdef"])))
def test_looking_for_a_circle_always_ends(parents: dict[str, str]) -> None:
    assert accounts.in_cycle("a", "a", parents)
    assert accounts.in_cycle("a", "b", {**parents, "b": "a"})


# Contacts.


CONTACT = contacts.Contact(
    id="c", account_id="a1", profile={"name": "李伟", "job_title": "经理"}, state="current",
    employments=[contacts.employment("a1", "经理")], closed_channels=[], provenances=[], last_interaction_at=None,
    last_verify_at=NOW, merged_into_id=None, created_at=NOW, updated_at=NOW, version=1, owner_id="r", unit_id="u",
    participant_ids=[],
)  # fmt: skip


@pytest.mark.mission("S31")
@pytest.mark.parametrize(
    ("to", "state", "account", "employments"),
    [
        (contacts.JobChange(date(2026, 1, 1), "a2", "", "总监"), "job_changed", "a2", 2),
        (contacts.JobChange(None, "", "别家", ""), "job_changed", "a1", 2),
        (contacts.JobChange(None, "", "", "总监"), "job_changed", "a1", 2),
        (contacts.JobChange(None, "", "", ""), "left", "a1", 1),
    ],
)
def test_a_job_change(to: contacts.JobChange, state: str, account: str, employments: int) -> None:
    after = contacts.job_changed(CONTACT, to, "")
    assert (after.state, after.account_id, len(after.employments)) == (state, account, employments)
    assert after.profile.get("job_title", "") == to.job_title
    assert "end_date" in after.employments[-1]
    assert CONTACT.employments == [{"account_id": "a1", "job_title": "经理"}], "the past is not touched"


# Assignment.


def sellers(count: int, capacity: int = 30) -> list[Seller]:
    return [Seller(person_id=f"p{n:03d}", name=f"p{n}", unit_id="u", capacity=capacity) for n in range(count)]


@pytest.mark.mission("S23", "U13")
@pytest.mark.parametrize(
    ("seller", "against"),
    [
        ({"regions": ("32",)}, ("region",)),
        ({"industries": ("medical",)}, ("industry",)),
        ({"product_lines": ("erp",)}, ("product_line",)),
        ({"load": 30}, ("capacity",)),
        ({"weight": 0.0}, ("capacity",)),
        ({"away": ("on_leave",)}, ("on_leave",)),
        ({"person_id": "missed"}, ("missed_before",)),
        ({"regions": ("31",), "industries": ("education",), "product_lines": ("vision", "erp")}, ()),
        ({}, ()),
    ],
)
def test_every_reason_against_a_seller_is_named(seller: dict[str, Any], against: tuple[str, ...]) -> None:
    subject = Subject("l", "310115", "education", ("vision",), missed=frozenset({"missed"}))
    judged = assignment.judge(subject, replace(sellers(1)[0], **seller), AssignmentRules())
    assert judged.ineligibilities == against
    assert judged.eligible is (not against)
    assert judged.explanation


@pytest.mark.mission("S23")
def test_the_order_is_fit_then_room_then_rest() -> None:
    subject = Subject("l", "310115", "education", ("vision",))
    named, open_, loaded, fresh = sellers(4)
    named = replace(named, regions=("31",), load=10)
    loaded = replace(loaded, load=29)
    fresh = replace(fresh, rested_hours=1.0)
    order = [c.person_id for c in assignment.choose(subject, [loaded, open_, fresh, named], AssignmentRules())]
    assert order == [named.person_id, open_.person_id, fresh.person_id, loaded.person_id]


@given(st.integers(1, 12), st.integers(1, 60))
def test_equal_sellers_get_equal_shares(people: int, subjects: int) -> None:
    chosen = assignment.distribute([Subject(f"l{n}") for n in range(subjects)], sellers(people, 100), AssignmentRules())
    loads: dict[str, int] = {}
    for candidate in chosen.values():
        assert candidate is not None
        loads[candidate.person_id] = loads.get(candidate.person_id, 0) + 1
    assert max(loads.values()) - min([*loads.values(), *([0] * (people - len(loads)))]) <= 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["31", "32", ""]), st.integers(0, 5), st.sampled_from([0.5, 1.0, 2.0])), max_size=8
    ),
    st.lists(st.sampled_from(["310000", "320000", "330000", ""]), max_size=30),
)
def test_many_at_once_are_given_as_one_after_the_other(team: list[tuple[str, int, float]], wanted: list[str]) -> None:
    rules = AssignmentRules()
    people = [
        Seller(f"p{n}", f"p{n}", "u", regions=(region,) if region else (), capacity=capacity, weight=weight)
        for n, (region, capacity, weight) in enumerate(team)
    ]
    subjects = [Subject(f"l{n}", region) for n, region in enumerate(wanted)]
    together = assignment.distribute(subjects, people, rules)
    state = {seller.person_id: seller for seller in people}
    for subject in subjects:
        ranked = assignment.choose(subject, state.values(), rules)
        best = ranked[0] if ranked and ranked[0].eligible else None
        got = together[subject.id]
        assert (got is None) == (best is None)
        if got is not None and best is not None:
            assert got.score == best.score
            taken = state[got.person_id]
            assert taken.load < taken.capacity
            state[got.person_id] = replace(taken, load=taken.load + 1, rested_hours=0.0)


def unit(id_: str, parent: str, **territory: list[str]) -> Unit:
    return Unit(id_, parent, id_, "team", "", "", "", "", territory, True, 1)


def test_a_record_without_owner_lies_in_the_deepest_fitting_pool() -> None:
    tree = [
        unit("co", ""),
        unit("east", "co", regions=["31"]),
        unit("edu", "east", regions=["31"], industries=["education"]),
    ]
    org = OrgSnapshot(tree)
    assert assignment.home_unit(Subject("l", "310115", "education"), org) == "edu"
    assert assignment.home_unit(Subject("l", "310115", "medical"), org) == "east"
    assert assignment.home_unit(Subject("l", "510000", "education"), org) == "co"


def test_a_seller_takes_what_is_set_for_him_else_what_his_unit_has() -> None:
    org = OrgSnapshot([unit("east", "", regions=["31"], industries=["education"]), unit("team", "east")])
    person = Person("p", "team", "p", "", ["rep"], "sales", "", "", {}, "", "", {"industries": ["medical"]}, True, 1)
    assert assignment.reach(org, person, {"product_lines": ["vision"]}) == {
        "regions": ("31",),
        "industries": ("medical",),
        "product_lines": ("vision",),
    }


# Leads.


LEAD = leads.Lead(
    id="l", profile={}, stage="lead", closed_from="", outcome="", close_reason="", owner_id="r", unit_id="u",
    assignment_rule=None,
    priority=30, account_id=None, contact_id=None, opportunity_id=None, provenance={}, received_at=NOW,
    response_due_at=NOW + timedelta(hours=2), alarm_at=None, responded_at=None, responded_in_time=None,
    escalation_level=0,
    response_light="none", last_interaction_at=None, paused_until=None, pauses=0, converted_at=None, closed_at=None,
    merged_into_id=None, historical=False, created_at=NOW, updated_at=NOW, version=1,
)  # fmt: skip


@pytest.mark.mission("S22")
@pytest.mark.parametrize(
    ("stage", "to", "allowed"),
    [
        ("lead", "contact", False),
        ("lead", "nurture", False),
        ("contact", "nurture", True),
        ("nurture", "contact", True),
        ("contact", "lead", False),
        ("closed", "contact", False),
    ],
)
def test_steps_of_the_life_cycle(stage: str, to: str, allowed: bool) -> None:
    lead = replace(LEAD, stage=stage)
    if allowed:
        assert leads.advanced(lead, to, leads.LeadRules()).stage == to
        return
    with pytest.raises(errors.FailedPrecondition):
        leads.advanced(lead, to, leads.LeadRules())


@pytest.mark.mission("S23")
@pytest.mark.parametrize(
    ("after", "reached", "level", "counts", "in_time"),
    [(1, True, 0, True, True), (3, True, 0, True, False), (1, True, 1, True, False), (1, False, 0, False, None)],
)
def test_what_counts_as_first_response(
    after: float, reached: bool, level: int, counts: bool, in_time: bool | None
) -> None:
    lead = leads.responded(
        replace(LEAD, escalation_level=level), NOW + timedelta(hours=after), reached, leads.ResponseRules()
    )
    assert (lead.responded_at is not None) is counts
    assert lead.responded_in_time is in_time
    assert lead.stage == ("contact" if counts else "lead")


@pytest.mark.parametrize("said", ["已联系", "已联系。", "Called!", "ok", "   "])
def test_contacted_is_no_content(said: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        leads.check_response(LEAD, said, NOW, NOW, leads.ResponseRules())
    assert refused.value.reason == "RESPONSE_WITHOUT_CONTENT"


@given(
    st.dictionaries(st.sampled_from(["phone", "web_form", "x"]), st.integers(0, 100)),
    st.integers(0, 10**9),
    st.booleans(),
)
def test_a_priority_lies_between_0_and_100(by_source: dict[str, int], fen: int, known: bool) -> None:
    rules = leads.PriorityRules(by_source=by_source)
    profile = {"budget": {"currency": "CNY", "minor": fen}, "product_lines": ["x"], "expected_date": "2026-02-01"}
    points = leads.priority(profile, "phone", known, NOW, rules)
    assert 0 <= points <= 100
    assert points >= leads.priority({}, "phone", False, NOW, rules)


@pytest.mark.parametrize(
    ("currency", "minor", "points"),
    [
        ("CNY", 19_999_999, 10),
        ("CNY", 20_000_000, 20),
        ("USD", 2_800_000, 20),
        ("JPY", 20_000_000, 35),
        ("GBP", 10**9, 0),
    ],
)
def test_a_budget_counts_in_its_own_currency(currency: str, minor: int, points: int) -> None:
    defaults = leads.PriorityRules()
    rules = defaults.model_copy(update={"base": 0, "by_budget": {**defaults.by_budget, "JPY": {20_000_000: 35}}})
    assert leads.priority({"budget": {"currency": currency, "minor": minor}}, "", False, NOW, rules) == points


def test_a_lead_is_reopened_only_for_a_while() -> None:
    closed = leads.closed(replace(LEAD, stage="nurture"), "lost", "price", NOW)
    assert leads.reopened(closed, NOW + timedelta(days=90), leads.LeadRules()).stage == "nurture"
    with pytest.raises(errors.FailedPrecondition) as refused:
        leads.reopened(closed, NOW + timedelta(days=91), leads.LeadRules())
    assert refused.value.reason == "REOPEN_TOO_LATE"


# Interactions.


@pytest.mark.mission("S27", "S34")
@pytest.mark.parametrize(
    ("touch", "effective", "rule"),
    [
        ({"channel": "phone", "direction": "inbound"}, True, "inbound_channels"),
        ({"channel": "visit", "direction": "mutual"}, True, "inbound_channels"),
        ({"channel": "email", "direction": "outbound"}, False, "outbound_channels"),
        ({"channel": "phone", "direction": "outbound", "summary": "谈了价格"}, True, "least_summary"),
        ({"channel": "phone", "direction": "outbound"}, False, "least_summary"),
        ({"channel": "email", "direction": "inbound", "action": "auto_reply"}, False, "void_actions"),
        ({"channel": "web", "direction": "inbound", "action": "page_view"}, False, "void_actions"),
        ({"channel": "web", "direction": "inbound", "action": "download"}, True, "web_actions"),
        ({"channel": "visit", "direction": "mutual", "effective": False}, False, "as_told"),
    ],
)
def test_which_touches_count(touch: dict[str, Any], effective: bool, rule: str) -> None:
    judged = interactions.judge(Touch(kept={"source": "x"}, occurred_at=NOW, **touch), InteractionRules())
    assert judged[:2] == (effective, rule)
    assert judged[2]


# Wake-ups.


ANN = Recipient("c1", "安", "an@x.cn", "13800138000", "", "")
WATCHED = Interest("P1", "检测仪", 3, NOW - timedelta(days=9), NOW - timedelta(days=20))
UPDATED = replace(WATCHED, changed_at=NOW - timedelta(days=1))


@pytest.mark.mission("S27", "S28")
@pytest.mark.parametrize(
    ("recipients", "facts", "expected"),
    [
        ([ANN], Facts(interests=[UPDATED], neighbours=2), "product_updated"),
        ([ANN], Facts(interests=[WATCHED], neighbours=2), "neighbour_succeeded"),
        ([ANN], Facts(interests=[WATCHED]), "product_watched"),
        ([ANN], Facts(product_lines=["vision"]), "product_line_news"),
        ([ANN], Facts(), "NO_TOPIC_APPLIES"),
        ([replace(ANN, email="", phone="")], Facts(neighbours=1), "NO_CHANNEL"),
        ([], Facts(neighbours=1), "NO_CHANNEL"),
        ([replace(ANN, closed=frozenset({"email", "sms"}))], Facts(neighbours=1), "OPTED_OUT"),
        ([replace(ANN, opted_out=frozenset({""}))], Facts(neighbours=1), "OPTED_OUT"),
        ([replace(ANN, opted_out=frozenset({"neighbour_succeeded"}))], Facts(neighbours=1), "NO_TOPIC_APPLIES"),
    ],
)
def test_whom_to_write_to_and_about_what(recipients: list[Recipient], facts: Facts, expected: str) -> None:
    outcome = wake_ups.plan(recipients, facts, WakeUpRules())
    if isinstance(outcome, Refusal):
        assert outcome.reason == expected
        return
    assert isinstance(outcome, Plan)
    assert outcome.topic == expected
    assert outcome.evidence
    words = {**outcome.words, "contact": "安", "account": "甲", "owner": "张三"}
    _, headline, text = wake_ups.compose(WakeUpRules(), outcome.topic, False, words)
    assert "{" not in headline + text
    assert "安" in text


def test_a_closed_channel_is_not_used() -> None:
    outcome = wake_ups.plan([replace(ANN, closed=frozenset({"email"}))], Facts(neighbours=1), WakeUpRules())
    assert isinstance(outcome, Plan)
    assert outcome.channels == ("sms",)


@pytest.mark.parametrize(
    "text", ["满减 {50% 优惠", "只要 50%}", "{nobody}好", "{0}", "{}", "{contact!z}", "{contact.name}"]
)
def test_what_cannot_be_said_is_not_published_as_a_wake_up(text: str) -> None:
    whole: dict[str, Any] = {"grounds": "product_line", "title": "新品", "headline": "{line}", "text": "{contact}您好"}
    rules = WakeUpRules.model_validate({"topics": {"news": whole}})
    assert wake_ups.compose(rules, "news", False, {"line": "视觉"})[1:] == ("视觉", "您好")
    for body in (
        {"topics": {"news": {**whole, "text": text}}},
        {"topics": {"news": {**whole, "headline": text}}},
        {"control_text": text},
        {"control_headline": text},
    ):
        with pytest.raises(ValidationError):
            WakeUpRules.model_validate(body)


@pytest.mark.mission("S28")
def test_a_tenth_is_the_control_group_and_always_the_same() -> None:
    rules = WakeUpRules()
    inside = [n for n in range(5000) if wake_ups.in_control(f"record-{n}", rules)]
    assert inside == [n for n in range(5000) if wake_ups.in_control(f"record-{n}", rules)]
    assert 0.08 < len(inside) / 5000 < 0.12
    assert not any(wake_ups.in_control(str(n), WakeUpRules(control_ratio=0)) for n in range(100))


@pytest.mark.mission("S28")
def test_three_times_is_a_number_with_its_doubt() -> None:
    treated, control = wake_ups.Arm(1100, 1000, 300, 60), wake_ups.Arm(110, 100, 10, 3)
    found = wake_ups.compared(treated, control, WakeUpRules())
    assert found.open_lift == pytest.approx(3.0)
    # By hand: exp(ln 3 ± 1.96 · √(1/300 − 1/1000 + 1/10 − 1/100)); z = 0.2 / 0.047185.
    assert (found.open_lift_low, found.open_lift_high) == pytest.approx((1.654, 5.442), abs=1e-3)
    assert found.p_value == pytest.approx(2.25e-5, rel=0.01)
    assert found.click_lift == pytest.approx(2.0)
    assert found.enough_data
    assert not wake_ups.compared(treated, wake_ups.Arm(99, 99, 10), WakeUpRules()).enough_data
    assert wake_ups.compared(treated, wake_ups.Arm(), WakeUpRules()) == wake_ups.Compared()
    nobody = wake_ups.compared(treated, wake_ups.Arm(100, 100), WakeUpRules())
    assert (nobody.open_lift, nobody.enough_data) == (0, True), "no finite lift over nobody"
    same = wake_ups.compared(wake_ups.Arm(100, 100), wake_ups.Arm(100, 100), WakeUpRules())
    assert same.p_value == 1


def test_a_lift_and_its_doubt_are_those_of_the_library() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

    for treated, control in (
        (wake_ups.Arm(1100, 1000, 300, 60), wake_ups.Arm(110, 100, 10, 3)),
        (wake_ups.Arm(400, 390, 40, 4), wake_ups.Arm(400, 395, 39, 4)),
        (wake_ups.Arm(9000, 8700, 2000, 60), wake_ups.Arm(1000, 970, 300, 3)),
    ):
        found = wake_ups.compared(treated, control, WakeUpRules())
        of_both = (treated.opened, treated.delivered, control.opened, control.delivered)
        assert (found.open_lift_low, found.open_lift_high) == pytest.approx(
            confint_proportions_2indep(*of_both, compare="ratio", method="log"), rel=1e-9
        )
        _, p_value = proportions_ztest([treated.opened, control.opened], [treated.delivered, control.delivered])
        assert found.p_value == pytest.approx(p_value, rel=1e-9)


# Suggestions.


def test_only_news_is_suggested() -> None:
    present = {"job_title": "经理", "phones": ["1"]}
    changes = suggestions.news("job_change", present, {"job_title": "总监", "employer_name": "乙"}, ())
    assert [(c.field, c.present, c.proposed) for c in changes] == [
        ("job_title", "经理", "总监"),
        ("employer_name", None, "乙"),
    ]
    with pytest.raises(errors.FailedPrecondition):
        suggestions.news("job_change", present, {"job_title": "经理"}, ())
    with pytest.raises(errors.InvalidArgument):
        suggestions.news("job_change", present, {"phones": ["2"]}, ())


def test_the_same_fact_has_the_same_digest_in_any_order() -> None:
    one, two = suggestions.Change("a", None, 1), suggestions.Change("b", 0, [2])
    assert suggestions.digest("contact", "c", "k", [one, two]) == suggestions.digest("contact", "c", "k", [two, one])
    assert suggestions.digest("contact", "c", "k", [one]) != suggestions.digest("contact", "d", "k", [one])


def test_a_record_that_moved_on_is_noticed() -> None:
    change = suggestions.Change("job_title", "经理", "总监")
    suggestions.refuse_overtaken(
        [change, suggestions.Change("employer_name", None, "乙")], {"job_title": "经理", "employer_name": ""}
    )
    with pytest.raises(errors.Aborted) as refused:
        suggestions.refuse_overtaken([change], {"job_title": "副总"})
    assert refused.value.metadata["fields"] == "job_title"


# Potential.


def tenders() -> st.SearchStrategy[list[Tender]]:
    days = st.one_of(st.none(), st.dates(date(2023, 1, 1), date(2026, 12, 31)))
    return st.lists(st.builds(Tender, st.floats(0, 1), st.booleans(), days, st.just("t")), max_size=5)


def inputs() -> st.SearchStrategy[Inputs]:
    count = st.integers(0, 50)
    return st.builds(Inputs, tenders(), count, count, st.one_of(st.none(), st.integers(0, 10**6)), count)


@pytest.mark.mission("S39")
@given(inputs())
def test_the_parts_sum_to_the_score(given_inputs: Inputs) -> None:
    verdict = potential.evaluate(given_inputs, date(2026, 1, 5), PotentialRules())
    assert 0 <= verdict.score <= 100
    assert abs(sum(part["contribution"] for part in verdict.dimensions) - verdict.score) < 1e-9
    contributions = [part["contribution"] for part in verdict.dimensions]
    assert contributions == sorted(contributions, reverse=True)


@pytest.mark.mission("S39", "S70")
@given(inputs(), st.floats(0, 1))
def test_one_more_tender_never_lowers_the_potential(given_inputs: Inputs, confidence: float) -> None:
    today, rules = date(2026, 1, 5), PotentialRules()
    before = potential.evaluate(given_inputs, today, rules)
    more = replace(given_inputs, tenders=[*given_inputs.tenders, Tender(confidence, False, today, "new")])
    assert potential.evaluate(more, today, rules).score >= before.score - 1e-9


def test_a_tender_fades_with_time() -> None:
    rules = PotentialRules()
    scores = [
        potential.evaluate(
            Inputs([Tender(1, True, date(2026, 1, 5) - timedelta(days=days), "t")]), date(2026, 1, 5), rules
        ).score
        for days in (0, 100, 365, 800)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[-1] == pytest.approx(40)


def test_weights_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValidationError):
        PotentialRules(dimensions={"size": potential.Dimension(title="规模", weight=0.5, full_at=1)})
