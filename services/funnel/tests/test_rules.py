"""The rules alone: amounts that sum, moves that are allowed, days that are counted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from closedloop_chassis import errors
from closedloop_chassis.calendar.business import CalendarRules, Calendars
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_funnel.activities.record import Activity
from closedloop_funnel.activities.rules import ActivityRules, effective, risen
from closedloop_funnel.boards.rules import BoardRules, light
from closedloop_funnel.clearance.rules import digest
from closedloop_funnel.copies.conversion import Rates
from closedloop_funnel.custom_fields.rules import CustomField, FunnelFieldRules
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.opportunities.rules import pushed_days
from closedloop_funnel.opportunities.worth import apportion, line_amount, total
from closedloop_funnel.pipelines.defaults import B2B
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import EvidenceRule, StageRule
from closedloop_funnel.quotes import rules as quotes

CALENDARS = Calendars(CalendarRules(), OrgSnapshot())


def line(quantity: float = 1.0, price: int | None = None, amount: int | None = None) -> dict[str, Any]:
    return {
        "product_id": "p",
        "quantity": quantity,
        "unit_price_minor": price,
        "amount_minor": amount,
        "currency": "CNY",
    }


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**9)), max_size=20), st.integers(0, 10**12))
def test_what_a_deal_was_won_for_is_shared_out_to_the_last_fen(amounts: list[int | None], won_for: int) -> None:
    shared = apportion([line(amount=amount) for amount in amounts], won_for)
    assert sum(one["amount_minor"] for one in shared) == (won_for if amounts else 0)
    assert all(one["amount_minor"] >= 0 for one in shared)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        ([line(2, 150)], 300),
        ([line(2, 150, 299)], 299),
        ([line(0.5, 3)], 2),
        ([line(1, 100), line()], None),
    ],
)
def test_a_deal_is_worth_its_lines(lines: list[dict[str, Any]], expected: int | None) -> None:
    assert total(lines)[0] == expected


def test_lines_that_say_their_sum_keep_it() -> None:
    assert line_amount(line(3, 100, 250)) == 250
    assert [one["amount_minor"] for one in apportion([line(1, 100), line(2, 100)], 300)] == [100, 200]


@pytest.mark.parametrize(
    ("currency", "minor", "day", "expected"),
    [
        ("CNY", 100, date(2020, 1, 1), 100),
        ("USD", 100_00, date(2026, 1, 31), 700_00),
        ("USD", 100_00, date(2026, 2, 1), 710_00),
        ("USD", 100_00, date(2025, 12, 31), None),
        # A yen has no smaller coin.
        ("JPY", 1000, date(2026, 1, 1), 48_50),
        ("EUR", 1, date(2026, 1, 1), None),
    ],
)
def test_a_rate_holds_from_its_day_on(currency: str, minor: int, day: date, expected: int | None) -> None:
    usd = ([date(2026, 1, 1), date(2026, 2, 1)], [Decimal("7"), Decimal("7.1")])
    rates = Rates("CNY", {"USD": usd, "JPY": ([date(2026, 1, 1)], [Decimal("0.0485")])})
    assert rates.convert(minor, currency, day) == expected


@pytest.mark.parametrize(
    ("before", "after", "days"),
    [
        (date(2026, 1, 1), date(2026, 1, 11), 10),
        (date(2026, 1, 11), date(2026, 1, 1), 0),
        (None, date(2026, 1, 1), 0),
        (date(2026, 1, 1), None, 0),
    ],
)
def test_only_later_is_a_push(before: date | None, after: date | None, days: int) -> None:
    assert pushed_days(before, after) == days


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60 * 24 * 400), st.integers(0, 60 * 24 * 400))
def test_days_are_counted_as_the_calendar_counts_them(back: int, length: int) -> None:
    now = datetime(2026, 6, 1, 4, 30, tzinfo=UTC)
    since = now - timedelta(minutes=back + length)
    until = now - timedelta(minutes=back)
    expected = CALENDARS.between(since, until, "business") / CALENDARS.named("business").day_length
    assert Dwell(CALENDARS, now).days(since, "business", "", until) == pytest.approx(expected)


def test_plain_days_and_moments_to_come() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    dwell = Dwell(CALENDARS, now)
    assert dwell.days(now - timedelta(hours=36), "plain", "") == 1.5
    assert dwell.days(now + timedelta(hours=1), "business", "") == 0


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "amount"),
    [(2, 100_00, 0.25, 150_00), (1, 1, 0.5, 1), (3, 33, 0.1, 89), (0.333, 100, 0, 33), (1, 100, 1, 0)],
)
def test_a_quote_line_rounds_half_up(quantity: float, price: int, discount: float, amount: int) -> None:
    assert quotes.line_amount(quantity, price, discount) == amount


def test_equal_content_has_one_digest_and_other_content_another() -> None:
    assert digest({"a": 1, "b": [1.5, "客户"]}) == digest({"b": [1.5, "客户"], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({})) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": (*B2B.stages, B2B.stages[0])}, "profile is there twice"),
        ({"stages": tuple(s for s in B2B.stages if s.kind != "won")}, "kind won"),
        ({"reasons": (*B2B.reasons, B2B.reasons[0])}, "is there twice"),
        (
            {
                "stages": (
                    *B2B.stages,
                    StageRule(key="x", name="x", probability=0, category="commit", next_stage_keys=("y",)),
                )
            },
            "y is no stage",
        ),
        (
            {
                "stages": (
                    *B2B.stages,
                    StageRule(
                        key="x",
                        name="x",
                        probability=0,
                        category="commit",
                        requirements=(EvidenceRule(key="proposal", name="x", kind="note"),),
                    ),
                )
            },
            "proposal is there twice",
        ),
    ],
)
def test_a_pipeline_that_cannot_be_walked_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        type(B2B).model_validate({**B2B.model_dump(), **change})


def test_the_rulebook_names_pipelines_that_are_there() -> None:
    with pytest.raises(ValidationError, match="nowhere is not there"):
        PipelineRules(default="nowhere")


@pytest.mark.parametrize(
    ("dwell", "pace", "warns", "further"),
    [(5, 5.5, None, 0.5), (5, 0, None, None), (7.2, 5.4, 0.75, None), (0, 5.5, None, None)],
)
def test_the_clock_of_a_stage_watches_limit_and_pace(
    dwell: float, pace: float, warns: float | None, further: float | None
) -> None:
    stage = StageRule(
        key="s", name="s", probability=0.5, category="pipeline", dwell_limit_days=dwell, pace_limit_days=pace
    )
    assert (stage.dwell_clock.warn_at if stage.dwell_clock else None) == (pytest.approx(warns) if warns else None)
    assert (stage.pace_clock.days if stage.pace_clock else None) == (pytest.approx(further) if further else None)


def log(**fields: Any) -> Activity:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    fields = {"content": "谈了价格与交期, 约好下周", "state": "done", **fields}
    return Activity(id="a", kind="call", owner_id="r", unit_id="u", source="manual", at=now, updated_at=now, **fields)


@pytest.mark.parametrize(
    ("activity", "rules", "counts"),
    [
        (log(), ActivityRules(), True),
        (log(content="已联系"), ActivityRules(), False),
        (log(content=" " * 30), ActivityRules(), False),
        (log(state="planned"), ActivityRules(), False),
        (log(authenticity="confirmed_false"), ActivityRules(), False),
        (log(), ActivityRules(effective_needs=("content", "next_step")), False),
        (log(content="", next_step="演示"), ActivityRules(effective_needs=("next_step",)), True),
    ],
)
def test_a_contact_counts_by_its_substance(activity: Activity, rules: ActivityRules, counts: bool) -> None:
    assert effective(rules, activity) is counts


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [("cool", "warm", 1), ("committed", "hostile", -1), ("warm", "warm", 0), ("", "warm", 0)],
)
def test_attitudes_rise_and_fall(before: str, after: str, moved: int) -> None:
    assert risen(log(attitude_before=before, attitude_after=after)) == moved


@pytest.mark.mission("S44", "S58")
@pytest.mark.parametrize(
    ("mean_days", "open_count", "overdue", "share", "color"),
    [
        (None, 0, 0, 0.0, "none"),
        (5.6, 5, 0, 0.2, "blue"),
        (7.3, 5, 0, 0.2, "yellow"),
        (1.0, 5, 3, 0.2, "yellow"),
        (11.0, 61, 3, 0.61, "red"),
        # A single deal is no jam.
        (1.0, 1, 0, 1.0, "none"),
    ],
)
def test_the_worst_figure_of_a_stage_colours_it(
    mean_days: float | None, open_count: int, overdue: int, share: float, color: str
) -> None:
    stage = B2B.stages[0]
    found = light(BoardRules(), stage, mean_days=mean_days, open_count=open_count, overdue=overdue, share=share)
    assert found[0] == color


@pytest.mark.mission("S100")
@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"seats": 3, "tier": "gold"}, set()),
        ({"tier": "gold"}, {"custom_fields.seats"}),
        ({"seats": "3"}, {"custom_fields.seats"}),
        ({"seats": True}, {"custom_fields.seats"}),
        ({"seats": 1, "tier": "tin"}, {"custom_fields.tier"}),
        ({"seats": 1, "since": "5 Jan"}, {"custom_fields.since"}),
        ({"seats": 1, "colour": "red"}, {"custom_fields.colour"}),
    ],
)
def test_declared_fields_are_typed_and_others_refused(values: dict[str, Any], wrong: set[str]) -> None:
    declared = {
        "seats": CustomField(type="number", required=True),
        "tier": CustomField(options=("gold", "silver")),
        "since": CustomField(type="date"),
    }
    rules = FunnelFieldRules(opportunity=declared, undeclared=False)
    if not wrong:
        rules.check("opportunity", values)
        return
    with pytest.raises(errors.InvalidArgument) as refused:
        rules.check("opportunity", values)
    assert set(refused.value.violations) == wrong
