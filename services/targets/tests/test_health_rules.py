"""The figures of the health report, on trees small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from closedloop_targets.reviews.health import HealthRules, Node, Tree, slices, suggestions
from closedloop_targets.reviews.rules import Miss, ReviewRules, propose

RULES = HealthRules()


def node(name: str, parent: str | None, base: int, **more: Any) -> Node:
    """ "u…" is a unit's, "p…" a person's; 0 asked of it unless said."""
    given: dict[str, Any] = {
        "holder_kind": "person" if name.startswith("p") else "unit", "holder_id": name, "unit_id": more.pop("unit", name),
        "level": "rep" if name.startswith("p") else "team", "metric": "won_value", "currency": "CNY", "product_line": "",
        "counts": True, "minor": base, "base_minor": base, "excepted": False, "asked": 0, "done": 0,
        "actions_planned": 0, "actions_done": 0, "actions_verified": 0,
    }  # fmt: skip
    return Node(id=more.pop("id", name), parent_id=parent, **{**given, **more})


@pytest.mark.mission("S19")
def test_what_was_decomposed_is_what_reached_people() -> None:
    tree = Tree(
        [
            node("u", None, 100),
            node("u1", "u", 60),
            node("u2", "u", 30, excepted=True),
            node("p1", "u1", 40, unit="u1"),
            node("p2", "u1", 20, unit="u1"),
            node("p3", "u2", 15, unit="u2"),
        ]
    )
    whole = tree.figures(tree.nodes, RULES)
    assert whole.decomposed == 0.75
    assert (whole.leaking, whole.excepted) == (2, 1)
    by_unit = {
        key: tree.figures(some, RULES) for key, some in slices(tree.nodes, "unit", {"u1": "u1", "u2": "u2"}).items()
    }
    assert {key: (one.decomposed, one.leaking) for key, one in by_unit.items()} == {"u1": (1, 0), "u2": (0.5, 1)}
    by_level = {key: tree.figures(some, RULES) for key, some in slices(tree.nodes, "level", {}).items()}
    assert (by_level["team"].decomposed, by_level["rep"].decomposed) == (0.75, 1)
    [said] = suggestions(tree, whole, by_unit, RULES)
    assert said.startswith("1 targets do not sum and nobody signed for it; u passes on 90.0%")


def test_parts_by_product_are_not_counted_twice_and_metrics_do_not_mix() -> None:
    tree = Tree(
        [
            node("u", None, 100, asked=100, done=80),
            node("u", "u", 70, id="u-a", counts=False, product_line="a", asked=70, done=50),
            node("u", "u", 30, id="u-b", counts=False, product_line="b", asked=30, done=30),
            node("p1", "u-a", 70, id="p1-a", product_line="a", unit="u", asked=70, done=50),
            node("p1", "u-b", 30, id="p1-b", product_line="b", unit="u", asked=30, done=30),
            node("u", None, 10**7, id="v", metric="new_opportunities", currency="", asked=10**7, done=4 * 10**6),
        ]
    )
    whole = tree.figures(tree.nodes, RULES)
    assert whole.decomposed == 0.5
    assert whole.attainment == pytest.approx(0.6)
    assert whole.missed == 3
    lines = {key: tree.figures(some, RULES) for key, some in slices(tree.nodes, "product_line", {}).items()}
    assert {key: one.decomposed for key, one in lines.items()} == {"a": 1, "b": 1}
    assert lines["b"].missed == 0
    by_metric = {key: tree.figures(some, RULES) for key, some in slices(tree.nodes, "metric", {}).items()}
    assert {key: one.decomposed for key, one in by_metric.items()} == {"won_value": 1, "new_opportunities": 0}


@pytest.mark.mission("S19")
def test_attribution_is_accurate_where_people_confirm_what_was_ranked_first() -> None:
    missed = {"asked": 100, "done": 50}
    told = (
        [("uneven_allocation", "uneven_allocation")] * 3
        + [("uneven_allocation", "market")] * 2
        + [("late_feedback", "")]
    )
    tree = Tree(
        [node("u", None, 600)]
        + [node(f"p{at}", "u", 100, ranked=ranked, confirmed=said, **missed) for at, (ranked, said) in enumerate(told)]
        + [node("p9", "u", 0, asked=100, done=96, ranked="late_feedback")]
    )
    whole = tree.figures(tree.nodes, RULES)
    assert (whole.missed, whole.attributed, whole.accuracy) == (6, 5, 0.6)
    assert [(one.cause, one.ranked, one.confirmed, one.agreed) for one in whole.causes] == [
        ("uneven_allocation", 5, 3, 3), ("market", 0, 2, 0), ("late_feedback", 1, 0, 0),
    ]  # fmt: skip
    assert sum(one.share for one in whole.causes) == pytest.approx(1)
    said = " ".join(suggestions(tree, whole, {}, RULES))
    assert "1 of 6 missed targets have no confirmed cause" in said
    assert "confirmed for 60% of 5" in said
    nothing = Tree([]).figures([], RULES)
    assert (nothing.decomposed, nothing.execution, nothing.accuracy, nothing.attainment) == (1, None, None, None)


@pytest.mark.mission("S7")
def test_the_system_proposes_what_answers_the_likeliest_cause() -> None:
    misses = [
        Miss("rep1", "50.00 CNY", -0.5, "unrealistic_target", "+40 % on {the} year before"),
        Miss("rep2", "5.00 CNY", -0.1, "moon", ""),
        Miss("rep3", "2.00 CNY", -0.1, "late_feedback", "42 h"),
    ]
    first, second = propose(misses, ReviewRules())
    assert (first.kind, second.kind) == ("target", "resource")
    assert first.text.startswith("rep1")
    assert "+40 % on {the} year before" in first.text
    assert first.expected_effect == "up to 50.00 CNY a fortnight, 50% of what was expected"
    assert len(propose(misses, ReviewRules(most_proposals=1))) == 1
