"""The pure rules: periods, shares, sentences, SMART, leaks, lights. Tables of cases."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit
from closedloop_targets.boards import rules as boards
from closedloop_targets.boards.rules import BoardRules, Standing
from closedloop_targets.cascade import members
from closedloop_targets.cascade import rules as cascade
from closedloop_targets.cascade.apportion import apportion, integers
from closedloop_targets.cascade.rules import CascadeDefaults, Given, LevelRule, Member, Node
from closedloop_targets.cascade.spread import Piece, Spreader, by_period
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.org import dated
from closedloop_targets.org.rules import UnitState
from closedloop_targets.periods.rules import FiscalCalendar, Grain, Period, containing, parse, split, year_before
from closedloop_targets.plans import leak, smart, statement
from closedloop_targets.plans.smart import Draft, Facts, SmartRules

ISO = FiscalCalendar()
APRIL = FiscalCalendar(first_month=4)
METRICS = MetricRules()
WON = METRICS.metric("won_value")


@pytest.mark.parametrize(
    ("code", "calendar", "start", "end"),
    [
        ("2026", ISO, date(2026, 1, 1), date(2026, 12, 31)),
        ("2026-H2", ISO, date(2026, 7, 1), date(2026, 12, 31)),
        ("2026-Q1", ISO, date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-M02", ISO, date(2026, 2, 1), date(2026, 2, 28)),
        ("2026-W01", ISO, date(2025, 12, 29), date(2026, 1, 4)),
        ("2026-W53", ISO, date(2026, 12, 28), date(2027, 1, 3)),
        ("2026-F01", ISO, date(2025, 12, 29), date(2026, 1, 11)),
        ("2026-F27", ISO, date(2026, 12, 28), date(2027, 1, 3)),
        ("2026-03-15", ISO, date(2026, 3, 15), date(2026, 3, 15)),
        ("2026-03-15/2026-04-20", ISO, date(2026, 3, 15), date(2026, 4, 20)),
        ("2026-Q1", APRIL, date(2025, 4, 1), date(2025, 6, 30)),
        ("2026", APRIL, date(2025, 4, 1), date(2026, 3, 31)),
    ],
)
def test_codes_name_whole_days(code: str, calendar: FiscalCalendar, start: date, end: date) -> None:
    period = parse(code, calendar)
    assert (period.start, period.end, period.code) == (start, end, code)


@pytest.mark.parametrize(
    "code", ["", "2026-Q5", "2026-M13", "2025-W53", "2026-Q01", "26-Q1", "2026-02-30", "2026-03-02/2026-03-01"]
)
def test_codes_that_name_nothing(code: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        parse(code, ISO)
    assert refused.value.reason == "UNKNOWN_PERIOD"


@given(
    start=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
    length=st.integers(0, 500),
    grain=st.sampled_from(["year", "half", "quarter", "month", "fortnight", "week", "day"]),
    first_month=st.integers(1, 12),
    week_start=st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_parts_follow_each_other_without_gap(
    start: date, length: int, grain: Grain, first_month: int, week_start: int
) -> None:
    calendar = FiscalCalendar(first_month=first_month, week_start=week_start)
    whole = Period("x", "custom", start, start + timedelta(days=length))
    parts = split(whole, grain, calendar)
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    for one, other in pairwise(parts):
        assert other.start == one.end + timedelta(days=1)
    for part in parts:
        assert parse(part.code, calendar).covers(part)
        assert containing(part.start, grain, calendar).code == part.code


def test_the_year_before() -> None:
    assert year_before(parse("2026-Q1", ISO), ISO).code == "2025-Q1"
    assert year_before(parse("2026-W53", ISO), ISO).code == "2025-W52"
    assert year_before(parse("2024-02-29", ISO), ISO).code == "2023-02-28"


def test_a_change_carries_forward_until_a_later_state_says_otherwise() -> None:
    states = (
        UnitState(date(2026, 1, 1), name="one", kind="team"),
        UnitState(date(2026, 3, 1), name="three", kind="team"),
        UnitState(date(2026, 4, 1), name="three", kind="area"),
    )
    changed = dated.change(states, date(2026, 2, 1), {"name": "two", "manager_id": "boss"})
    assert [(s.start_date.month, s.name, s.kind, s.manager_id) for s in changed] == [
        (1, "one", "team", ""),
        (2, "two", "team", "boss"),
        (3, "three", "team", "boss"),
        (4, "three", "area", "boss"),
    ]
    assert dated.change(states, date(2026, 2, 1), {"name": "one"}) == states


@given(
    total=st.integers(0, 10**12),
    weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=60),
    step=st.sampled_from([1, 100, 100_000]),
)
def test_parts_sum_exactly_and_stay_within_one_step_of_their_share(total: int, weights: list[int], step: int) -> None:
    if not any(weights):
        weights[0] = 1
    parts = apportion(total, weights, step)
    assert sum(parts) == total
    assert min(parts) >= 0
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total) * weight / sum(weights)) < 2 * step
        assert weight or part == 0


def test_one_yuan_among_three() -> None:
    assert apportion(100, [1, 1, 1]) == [34, 33, 33]
    assert apportion(100_000, integers([Fraction(1, 3), Fraction(1, 2), Fraction(1, 6)]), 10_000) == [
        30_000,
        50_000,
        20_000,
    ]


def tree(teams: list[int]) -> Member:
    """One company; teams with so many reps each."""
    units = []
    for number, heads in enumerate(teams):
        name = f"t{number}"
        people = tuple(Member(("person", f"{name}-p{head}"), name, "rep", 1) for head in range(heads))
        units.append(Member(("unit", name), name, "team", heads, people))
    return Member(("unit", "co"), "co", "company", sum(teams), tuple(units))


def even(*rules: LevelRule, pins: dict[cascade.Key, int] | None = None, levels: int = 0, rounding: int = 1) -> Given:
    return Given(rules or (LevelRule("", "even", {}, "even"),), pins or {}, levels, rounding, 1)


def no_history(method: cascade.Method, key: cascade.Key) -> None:
    return None


def check_exact(nodes: list[Node], base: int) -> None:
    assert sum(node.base for node in nodes if node.parent is None) == base
    for position, node in enumerate(nodes):
        below = [child.base for child in nodes if child.parent == position]
        assert not below or sum(below) == node.base
        assert node.base >= 0


def test_pins_are_kept_and_the_rest_is_shared() -> None:
    nodes = cascade.cascade(tree([2, 2]), 1000, even(pins={("unit", "t0"): 700, ("person", "t0-p1"): 100}), no_history)
    assert {node.key[1]: node.base for node in nodes} == {
        "t0": 700,
        "t1": 300,
        "t0-p0": 600,
        "t0-p1": 100,
        "t1-p0": 150,
        "t1-p1": 150,
    }
    check_exact(nodes, 1000)


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (even(pins={("unit", "t0"): 1001}), "PINS_EXCEED_TARGET"),
        (even(pins={("unit", "t0"): 10, ("unit", "t1"): 10}), "PINS_EXCEED_TARGET"),
        (even(LevelRule("", "custom", {("unit", "t0"): Fraction(1)}, "even")), "WEIGHT_MISSING"),
        (
            even(LevelRule("", "custom", {("unit", "t0"): Fraction(-1), ("unit", "t1"): Fraction(2)}, "even")),
            "WEIGHT_NOT_POSITIVE",
        ),
        (
            even(LevelRule("", "custom", {("unit", "t0"): Fraction(0), ("unit", "t1"): Fraction(0)}, "even")),
            "WEIGHT_NOT_POSITIVE",
        ),
    ],
)
def test_cascades_that_cannot_be_run(given_: Given, reason: str) -> None:
    with pytest.raises(errors.FailedPrecondition) as refused:
        cascade.cascade(tree([1, 1]), 1000, given_, no_history)
    assert refused.value.reason == reason


@pytest.mark.parametrize("grains", [("custom",), ("week", "week"), ()])
def test_grains_that_no_calendar_has(grains: tuple[Grain, ...]) -> None:
    with pytest.raises(ValueError, match=r"grain|at least 1"):
        CascadeDefaults(grains=grains)


def test_nobody_to_pass_on_to() -> None:
    with pytest.raises(errors.FailedPrecondition, match="nobody below"):
        cascade.cascade(Member(("unit", "co"), "co", "company", 0), 1000, even(), no_history)


def test_a_tree_of_a_thousand_levels_is_no_deeper_call() -> None:
    def unit(number: int) -> Unit:
        parent = f"u{number - 1}" if number else ""
        return Unit(f"u{number}", parent, "", "team", "", "", "", "", {}, True, 1)

    rep = Person("rep", "u1199", "Rep", "", ["rep"], "", "", "", {}, "", "", {}, True, 1)
    root = members.below(
        OrgSnapshot([unit(number) for number in range(1200)], [rep]), "u0", frozenset({"rep"}), frozenset()
    )
    assert (root.heads, len(members.flat(root))) == (1, 1200)


def test_who_has_no_history_weighs_like_the_others_per_head() -> None:
    known = {("unit", "t0"): Fraction(300), ("person", "t0-p0"): Fraction(100)}
    nodes = cascade.cascade(
        tree([2, 1]), 900, even(LevelRule("", "history", {}, "even")), lambda _, key: known.get(key)
    )
    by_key = {node.key[1]: node for node in nodes}
    assert (by_key["t0"].base, by_key["t1"].base) == (600, 300)
    assert (by_key["t0"].fell_back, by_key["t1"].fell_back, by_key["t1"].method) == (False, True, "even")
    assert by_key["t0-p1"].base == 300


@pytest.mark.mission("S16")
def test_products_share_by_their_past_times_their_stage() -> None:
    products = [
        ("new", Fraction(100), Fraction("0.7")),
        ("old", Fraction(100), Fraction("0.9")),
        ("hot", Fraction(100), Fraction(1)),
    ]
    shares = cascade.product_shares(products, "product_weighted", {}, by_stage=False)
    assert apportion(260, integers([share.weight for share in shares])) == [100, 70, 90]
    assert [share.product_id for share in shares] == ["hot", "new", "old"]


@pytest.mark.mission("S2")
@given(total=st.integers(0, 10**10), start=st.dates(date(2026, 1, 1), date(2026, 9, 1)), length=st.integers(0, 120))
@settings(max_examples=40, deadline=None)
def test_every_grain_sums_to_the_target(total: int, start: date, length: int) -> None:
    period = Period("x", "custom", start, start + timedelta(days=length))
    spreader = Spreader(ISO, lambda day, unit: day.weekday() < 5)
    for grain in ("month", "fortnight", "week", "day"):
        [(parts, minors)] = spreader.spread(period, (grain,), total, 1, "business", "u")
        assert (sum(minors), len(minors)) == (total, len(parts))
        assert min(minors) >= 0


@pytest.mark.mission("S2")
@given(
    totals=st.lists(st.lists(st.integers(0, 10**7), min_size=1, max_size=8), min_size=1, max_size=5),
    beyond=st.integers(-50, 10**5),
    step=st.sampled_from([1, 10_000]),
    start=st.dates(date(2026, 1, 1), date(2026, 9, 1)),
    length=st.integers(0, 120),
)
@settings(max_examples=60, deadline=None)
def test_cells_sum_over_children_and_over_time(
    totals: list[list[int]], beyond: int, step: int, start: date, length: int
) -> None:
    period = parse(f"{start}/{start + timedelta(days=length)}" if length else str(start), ISO)
    # What teams pass on to their people; the company keeps some back, or its teams are padded.
    sums = {"co": max(sum(map(sum, totals)) + beyond, 0)}
    pieces = [Piece("co", None, period, sums["co"], step, "", "u")]
    for team, people in enumerate(totals):
        pieces.append(Piece(f"t{team}", "co", period, sum(people), step, str(team % 2), "u"))
        pieces += [
            Piece(f"t{team}p{n}", f"t{team}", period, total, step, str(team % 2), "u") for n, total in enumerate(people)
        ]
    spreader = Spreader(ISO, lambda day, unit: day.weekday() < 5)
    cells = {(id_, parts[0].grain): minors for id_, parts, minors in spreader.tree(pieces, ("month", "week"), {})}
    assert len(cells) == 2 * len(pieces)
    again = Spreader(ISO, lambda day, unit: day.weekday() < 5).tree(pieces, ("month", "week"), {})
    assert cells == {(id_, parts[0].grain): minors for id_, parts, minors in again}
    for piece in pieces:
        for grain in ("month", "week"):
            mine = cells[piece.id, grain]
            assert (sum(mine), min(mine) >= 0) == (piece.total, True)
            below = [cells[one.id, grain] for one in pieces if one.parent_id == piece.id]
            if below and piece.id != "co":
                assert mine == [sum(column) for column in zip(*below, strict=True)]
            elif below and beyond >= 0:
                assert all(own >= sum(column) for own, *column in zip(mine, *below, strict=True))


def test_many_small_targets_together_stay_close_to_their_sum() -> None:
    """Three visits each in a quarter of fourteen weeks: not all of them in the same three weeks."""
    quarter = parse("2026-Q1", ISO)
    pieces = [Piece("co", None, quarter, 300, 1, "", "u")]
    pieces += [Piece(f"p{n}", "co", quarter, 3, 1, "", "u") for n in range(100)]
    spreader = Spreader(ISO, lambda day, unit: day.weekday() < 5)
    [(_, parts, mine), *_] = [one for one in spreader.tree(pieces, ("week",), {}) if one[0] == "co"]
    days = [sum(day.weekday() < 5 for day in part.days()) for part in parts]
    exact = [300 * count / sum(days) for count in days]
    assert max(abs(got - fair) for got, fair in zip(mine, exact, strict=True)) < 2


def test_a_week_cut_by_two_children_is_one_of_their_parent() -> None:
    year, quarters = parse("2026", ISO), [parse(f"2026-Q{n}", ISO) for n in (1, 2, 3, 4)]
    pieces = [Piece("y", None, year, 4_000, 1, "", "u")]
    pieces += [Piece(quarter.code, "y", quarter, 1_000, 1, "", "u") for quarter in quarters]
    spreader = Spreader(ISO, lambda day, unit: True)
    cells = {id_: dict(zip(parts, minors, strict=True)) for id_, parts, minors in spreader.tree(pieces, ("week",), {})}
    for week, minor in cells["y"].items():
        inside = [part for code in ("2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4") for part in cells[code].items()]
        assert minor == sum(amount for part, amount in inside if week.covers(part))
    assert len(cells["y"]) < sum(len(cells[quarter.code]) for quarter in quarters)


def test_given_weights_of_months_go_down_to_weeks() -> None:
    quarter = parse("2026-Q1", ISO)
    weights = [(parse(f"2026-M0{month}", ISO), Fraction(weight)) for month, weight in ((1, 1), (2, 2), (3, 5))]
    shape = by_period(weights, lambda day: day.weekday() < 5)
    spreader = Spreader(ISO, lambda day, unit: True, shape)
    (_, months), (weeks, minors) = spreader.spread(quarter, ("month", "week"), 800, 1, "", "")
    assert months == [100, 200, 500]
    january = sum(minor for part, minor in zip(weeks, minors, strict=True) if part.end <= date(2026, 2, 1))
    assert january == pytest.approx(100, abs=2)


NAMES = [("East China", "east"), ("华东", "east"), ("East China Team 1", "east-1"), ("张三", "rep1"), ("", "nobody")]


@pytest.mark.mission("S1")
@pytest.mark.parametrize(
    ("text", "period", "holder", "metric", "growth", "amount", "currency"),
    [
        ("Q1, East China, +20 %", "2026-Q1", "east", "won_value", 0.2, None, ""),
        ("improve results", None, None, None, None, None, ""),
        ("华东一季度签约额1.2亿", "2026-Q1", "east", "won_value", None, Decimal("120000000"), ""),
        ("2026年第二季度 华东 增长15%", "2026-Q2", "east", "won_value", 0.15, None, ""),
        (
            "East China Team 1: 3 M CNY invoiced in March 2026",
            "2026",
            "east-1",
            "invoiced_value",
            None,
            Decimal("3000000"),
            "CNY",
        ),
        ("张三 3月 开票 50万元", "2026-M03", "rep1", "invoiced_value", None, Decimal("500000"), "CNY"),
        ("下半年 华东 下降5%", "2026-H2", "east", "won_value", -0.05, None, ""),
        ("2027-Q3 East China $2.5 million", "2027-Q3", "east", "won_value", None, Decimal("2500000"), "USD"),
        ("visit 30 customers", None, None, None, None, None, ""),
        ("华东Q1签约额100万元", "2026-Q1", "east", "won_value", None, Decimal("1000000"), "CNY"),
        ("2026Q2华东签约额100万元", "2026-Q2", "east", "won_value", None, Decimal("1000000"), "CNY"),
        ("华东W12签约额100万元", "2026-W12", "east", "won_value", None, Decimal("1000000"), "CNY"),
        ("Q1 华东 won 5 million", "2026-Q1", "east", "won_value", None, Decimal("5000000"), ""),
        ("Q1 华东 won USD 5 million", "2026-Q1", "east", "won_value", None, Decimal("5000000"), "USD"),
        ("Q1 华东 100EUR", "2026-Q1", "east", "won_value", None, Decimal("100"), "EUR"),
        ("FAQ1 华东 1.2亿", None, "east", "won_value", None, Decimal("120000000"), ""),
    ],
)
def test_sentences(text, period, holder, metric, growth, amount, currency) -> None:  # type: ignore[no-untyped-def]
    read = statement.read(text, NAMES, METRICS, ISO, date(2026, 1, 5))
    found = (
        read.period.code if read.period else None,
        read.holder,
        read.metric,
        read.growth_ratio,
        read.amount,
        read.currency,
    )
    assert found == (period, holder, metric, growth, amount, currency)


@pytest.mark.mission("S1")
@pytest.mark.parametrize(
    ("text", "rivals"),
    [
        ("华东一季度业绩从1亿提高到1.2亿", ("1亿", "1.2亿")),
        ("Q1 华东 won value between 1 and 2 million CNY", ("1million", "2million")),
        ("Q1 华东 1-2亿", ("1亿", "2亿")),
        ("Q1 华东 签约额1亿，即1亿", ()),
        ("Q1 华东 3 deals, 1亿", ()),
    ],
)
def test_of_two_amounts_none_is_taken(text: str, rivals: tuple[str, ...]) -> None:
    read = statement.read(text, NAMES, METRICS, ISO, date(2026, 1, 5))
    assert (read.rivals, read.amount is None, read.metric) == (rivals, bool(rivals), "won_value")
    asked = draft(minor=None, rivals=read.rivals)
    said = smart.check(asked, Facts(), SmartRules())[1].statement
    assert all(rival in said for rival in rivals)


def test_a_quarter_that_has_passed_is_the_next_years() -> None:
    read = statement.read("Q1 +5%", NAMES, METRICS, ISO, date(2026, 4, 1))
    assert read.period is not None
    assert read.period.code == "2027-Q1"
    within = statement.read("Q1 +5%", NAMES, METRICS, ISO, date(2026, 4, 1), parse("2026", ISO))
    assert within.period is not None
    assert within.period.code == "2026-Q1"


def draft(**changed: object) -> Draft:
    fields: dict[str, object] = {
        "holder": "East China",
        "metric": WON,
        "minor": 12_000_00,
        "currency": "CNY",
        "growth_ratio": None,
        "period": "2026-Q1",
        "serves": "serves the strategy: win the delta",
    }
    return Draft(**{**fields, **changed})  # type: ignore[arg-type]


HISTORY = Facts("2025-Q1", 10_000_00)


@pytest.mark.mission("S1")
@pytest.mark.parametrize(
    ("given_", "facts", "letters"),
    [
        (draft(), HISTORY, ""),
        (draft(minor=20_000_00), HISTORY, ""),
        (draft(minor=20_000_01), HISTORY, "A"),
        (draft(minor=30_000_00), Facts("2025-Q1", 10_000_00, 5_000_00, 25_000_00), ""),
        (draft(minor=30_000_00), Facts("2025-Q1", 10_000_00, 5_000_00, 24_999_99), "A"),
        (draft(), Facts("2025-Q1", None), ""),
        (draft(minor=None, growth_ratio=0.2), Facts("2025-Q1", None), "M,A"),
        (draft(holder="", metric=None, minor=None, period="", serves=""), Facts(), "S,M,A,R,T"),
        (draft(currency=""), HISTORY, "M"),
        (draft(minor=0), HISTORY, "M,A"),
        (draft(serves=""), HISTORY, "R"),
        (draft(period=""), HISTORY, "T"),
        (draft(metric=METRICS.metric("visit_quality"), currency="", minor=80_000_000), Facts(), ""),
    ],
)
def test_letters_that_fail(given_: Draft, facts: Facts, letters: str) -> None:
    findings = smart.check(given_, facts, SmartRules())
    assert smart.initials(smart.failed(findings)) == letters
    assert [finding.letter[0] for finding in findings] == list("smart")
    assert all(finding.statement for finding in findings)


@pytest.mark.mission("S1")
def test_no_child_has_more_than_its_parent() -> None:
    parent = smart.Parent("Company", "2026-Q1", 1_000_00)
    [finding] = [one for one in smart.check(draft(parent=parent), Facts(), SmartRules()) if one.letter == "achievable"]
    assert not finding.passed
    assert finding.statement == "12,000.00 CNY is more than the parent target of Company, 1,000.00 CNY"
    assert {one.name: (one.value, one.unit) for one in finding.evidence}["parent"] == (1000, "CNY")
    # With a named layer of padding on top of all of it.
    padded = draft(minor=1_100_00, base_minor=1_000_00, parent=parent)
    assert smart.failed(smart.check(padded, Facts(), SmartRules())) == []
    assert smart.failed(smart.check(padded, Facts(), SmartRules(parent_share=0.5))) == ["achievable"]


@pytest.mark.mission("S1")
@pytest.mark.parametrize(
    ("metric", "number", "before", "passed", "said"),
    [
        ("visit_completion", "900", None, False, "900 is more than 1, the most there can be of Visit completion"),
        ("visit_quality", "101", "80", False, "101 is more than 100"),
        ("visit_completion", "0.97", "0.4", False, "+142.5% over 2025-Q1 is more than +100%"),
        ("visit_completion", "0.95", "0.4", True, "within what is healthy: 0.95"),
        ("visit_completion", "0.97", "0.8", True, "+21.2% over 2025-Q1"),
        # Half the days are twice as good.
        ("first_response", "4", "8", True, "+100.0% over 2025-Q1"),
        ("first_response", "1", "8", False, "+700.0% over 2025-Q1 is more than"),
    ],
)
def test_ratios_are_held_against_their_bound_and_their_own_past(
    metric: str, number: str, before: str | None, passed: bool, said: str
) -> None:
    asked = draft(metric=METRICS.metric(metric), currency="", minor=int(Fraction(number) * 10**6))
    held = Facts("2025-Q1", None if before is None else int(Fraction(before) * 10**6))
    finding = smart.check(asked, held, SmartRules())[2]
    assert (finding.passed, finding.statement.startswith(said)) == (passed, True), finding
    assert finding.evidence


@pytest.mark.mission("S1")
def test_without_any_evidence_it_says_that_it_cannot_say() -> None:
    finding = smart.check(draft(), Facts("2025-Q1", None), SmartRules())[2]
    assert (finding.passed, finding.unproven) == (True, True)
    assert finding.statement.startswith("cannot be said: there is no history")
    below = smart.check(draft(parent=smart.Parent("Company", "2026-Q1", 24_000_00)), Facts(), SmartRules())[2]
    assert (below.unproven, below.statement) == (False, "no history; 50.0% of the parent target of Company")


def test_without_history_only_the_pipeline_counts_when_the_rulebook_says_so() -> None:
    strict = SmartRules(accept_without_history=False)
    assert smart.failed(smart.check(draft(), Facts("2025-Q1", None), strict)) == ["achievable"]
    assert smart.failed(smart.check(draft(), Facts("2025-Q1", None, 0, 12_000_00), strict)) == []


def node(id_: str, parent: str | None, depth: int, minor: int, kind: str = "team", exception: str = "") -> leak.Node:
    person = kind == "rep"
    return leak.Node(
        id_, parent, "person" if person else "unit", id_, parent or id_, "o", kind, depth, minor, minor, True, exception
    )


def test_leaks_of_every_level_and_signed_ones() -> None:
    nodes = [
        node("co", None, 0, 100, "company"),
        node("a", "co", 1, 50, "region", "signed"),
        node("b", "co", 1, 40, "region"),
        node("a1", "a", 2, 45),
        node("b1", "b", 2, 44),
    ]
    found = leak.levels(nodes)
    assert [(one.kind, one.received, one.passed_on, one.difference, one.excepted) for one in found] == [
        ("company", 100, 100, 0, 0),
        ("region", 100, 90, -10, 0),
        ("team", 90, 89, -1, -5),
    ]
    assert [(one.node.id, one.difference) for one in leak.leaks(nodes)] == [("co", -10), ("a", -5), ("b", 4)]


def test_fair_shares() -> None:
    nodes = [node("t", None, 0, 100), node("p1", "t", 1, 70, "rep"), node("p2", "t", 1, 30, "rep")]
    found = leak.heads(nodes, "even", {}, 1)
    assert (found.count, found.lowest_ratio, found.highest_ratio) == (2, pytest.approx(-0.4), pytest.approx(0.4))
    assert [share.person_id for share in found.farthest] == ["p1"]
    by_history = leak.heads(nodes, "history", {"p1": 700, "p2": 300}, 5)
    assert by_history.highest_ratio == pytest.approx(0)


@pytest.mark.mission("S13")
@pytest.mark.parametrize(
    ("done", "weeks", "light"),
    [
        (100, 0, "none"),
        (95, 0, "none"),
        (94, 0, "blue"),
        (89, 0, "yellow"),
        (79, 1, "red"),
        (99, 2, "red"),
        (200, 0, "none"),
    ],
)
def test_lights(done: int, weeks: int, light: str) -> None:
    standing = Standing("p", "u", "t", "CNY", 1000, done, 100, weeks)
    assert standing.light(BoardRules()) == light


def test_equal_completion_shares_a_rank_and_none_comes_last() -> None:
    rows = [
        Standing(name, "u", "", "CNY", target, done, 0, 0)
        for name, target, done in (("a", 10, 5), ("b", 10, 8), ("c", 20, 10), ("d", None, 9))
    ]
    assert [(rank, row.holder_id) for rank, row in boards.ranked(rows)] == [(1, "b"), (2, "a"), (2, "c"), (4, "d")]
