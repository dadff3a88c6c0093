"""How far figures can be believed: scores, lights and owners (S80, S83)."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from closedloop_chassis.figures.credibility import following, previous, score
from closedloop_chassis.figures.rules import Count, FigureRules, Owner, Weights, holder, overall, scores
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit


def unit(id: str, parent: str) -> Unit:
    return Unit(id, parent, id, "team", "", "", "", "", {}, True, 1)


def person(id: str, unit_id: str, *roles: str, active: bool = True) -> Person:
    return Person(id, unit_id, id, "", list(roles), "", "", "", {}, "", "", {}, active, 1)


@pytest.mark.mission("S80")
@pytest.mark.parametrize(
    ("value", "light", "line"),
    [
        (1.0, "none", "blue_below"),
        (0.98, "none", "blue_below"),
        (0.979, "blue", "blue_below"),
        (0.95, "blue", "blue_below"),
        (0.949, "yellow", "yellow_below"),
        (0.85, "yellow", "yellow_below"),
        (0.849, "red", "red_below"),
    ],
)
def test_a_score_has_its_light_and_the_line_it_crossed(value: float, light: str, line: str) -> None:
    assert FigureRules().light(value) == (light, line)


@pytest.mark.mission("S80")
def test_three_dimensions_weigh_by_the_rulebook_and_what_cannot_be_measured_not_at_all() -> None:
    counts = [
        Count("deal", "completeness", "amount", 100, 10),
        Count("deal", "completeness", "day", 100, 30),
        # 1,000 here, 900 there.
        Count("deal", "consistency", "contract", 2, 1, apart=100.0, whole=1000.0),
        Count("deal", "timeliness", "timely", 0, 0),
    ]
    found = {one.dimension: one.together.score for one in scores(counts)}
    assert found == {"completeness": 0.8, "consistency": 0.9}
    assert overall(Weights(), found) == pytest.approx((0.4 * 0.8 + 0.3 * 0.9) / 0.7)
    assert overall(Weights(completeness=0, consistency=0, timeliness=1), found) is None
    assert overall(Weights(), {}) is None
    # Further apart than everything there is, is nothing left; of nothing nothing is wrong.
    assert Count("deal", "consistency", "x", 1, 1, apart=5, whole=3).score == 0
    assert Count("deal", "consistency", "x", 1, 0).score == 1
    with pytest.raises(ValidationError):
        Weights(completeness=0, consistency=0, timeliness=0)
    with pytest.raises(ValidationError, match="red begins below yellow"):
        FigureRules(red_below=0.97)


@pytest.mark.mission("S79")
def test_a_figure_is_the_persons_named_else_of_whoever_holds_the_role_highest_up() -> None:
    org = OrgSnapshot(
        [unit("co", ""), unit("east", "co")],
        [
            person("below", "east", "operations"),
            person("above", "co", "operations"),
            person("gone", "co", "operations", active=False),
            person("named", "east", "rep"),
        ],
    )
    rules = FigureRules(owners={"funnel.won_value": Owner(person_id="named"), "funnel.win_rate": Owner(role="auditor")})
    assert holder(org, rules.owner_of("funnel.won_value")) == "named"
    assert holder(org, rules.owner_of("funnel.cycle_days")) == "above"
    assert holder(org, Owner(person_id="gone")) == "above", "who has left answers for nothing"
    assert (holder(org, rules.owner_of("funnel.win_rate")), rules.owner_of("funnel.win_rate").role) == ("", "auditor")
    assert rules.misfits(org) == {}
    strange = FigureRules(owners={"funnel.win_rate": Owner(person_id="nobody")})
    assert strange.misfits(org) == {"owners.funnel.win_rate.person_id": "nobody is nobody"}


@pytest.mark.mission("S83")
def test_months_follow_each_other_over_the_year() -> None:
    assert (following(date(2026, 12, 1)), previous(date(2026, 1, 1))) == (date(2027, 1, 1), date(2025, 12, 1))
    assert (following(date(2028, 2, 1)), previous(date(2028, 3, 1))) == (date(2028, 3, 1), date(2028, 2, 1))
    assert score([]) is None
