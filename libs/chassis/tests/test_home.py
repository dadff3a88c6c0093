"""The day, the hour and the money where nobody has said anything, and where somebody has."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest
from pydantic import ValidationError

from closedloop_chassis.org.home import Home, HomeRules
from closedloop_chassis.org.snapshot import OrgSnapshot, Unit

# 23:30 in London, half past seven of the next morning in Shanghai.
LATE = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)


def unit(id: str, parent_id: str = "", zone: str = "", currency: str = "", *, active: bool = True) -> Unit:
    return Unit(id, parent_id, id, "company", "", "", zone, currency, {}, active, 1)


def home(*units: Unit, **rules: object) -> Home:
    return Home(OrgSnapshot(units), HomeRules.model_validate(rules), LATE)


def test_a_company_without_a_tree_lives_by_its_rulebook() -> None:
    nowhere = home()
    assert nowhere.root is None
    assert (nowhere.currency, nowhere.zone("team"), nowhere.today()) == ("CNY", home().zone(), date(2026, 1, 6))
    abroad = home(time_zone="Europe/London", currency_code="GBP")
    assert (abroad.currency, abroad.today()) == ("GBP", date(2026, 1, 5))


def test_a_unit_goes_before_the_root_and_the_root_before_the_rulebook() -> None:
    tree = home(
        unit("old", active=False), unit("hq", zone="Europe/London", currency="EUR"), unit("cn", "hq", "Asia/Tokyo")
    )
    assert tree.root == tree.org.unit("hq")
    assert (tree.currency, tree.today(), tree.today("cn"), tree.today("unheard-of")) == (
        "EUR",
        date(2026, 1, 5),
        date(2026, 1, 6),
        date(2026, 1, 5),
    )


def test_moments_are_those_of_the_units_own_clocks_in_utc() -> None:
    tree = home(unit("hq", zone="Europe/London"), unit("cn", "hq", "Asia/Shanghai"), morning="08:30")
    day = date(2026, 7, 1)
    # London keeps summer time.
    assert tree.moment(day) == datetime(2026, 6, 30, 23, tzinfo=UTC)
    assert tree.moment(day, time(18), "cn") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert tree.morning(day, "cn") == datetime(2026, 7, 1, 0, 30, tzinfo=UTC)
    assert tree.moment(day).tzinfo is UTC


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_zone": "Asia/Nowhere"},
        {"time_zone": "../etc"},
        {"time_zone": ""},
        {"currency_code": "yuan"},
        {"morning": "25:00"},
    ],
)
def test_a_home_that_is_nowhere_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        HomeRules.model_validate(wrong)
