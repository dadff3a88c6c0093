"""The demo's company: its counts, its sums, and that it is the same every time."""

from __future__ import annotations

from collections import Counter

import pytest

from closedloop_devstack.demo import company, names, rows


@pytest.fixture(scope="module", params=[2026, 7])
def made(request: pytest.FixtureRequest) -> company.Company:
    return company.make(request.param)


def test_the_same_seed_is_the_same_company_and_another_seed_another(made: company.Company) -> None:
    assert company.make(2026) == company.make(2026)
    assert company.make(2026) != company.make(7)


def test_176_reps_stand_in_22_teams_of_11_areas_of_4_regions(made: company.Company) -> None:
    assert len(made.reps) == company.HEADS
    assert Counter(unit.kind for unit in made.units) == {"company": 1, "region": 4, "area": 11, "team": 22}
    assert set(Counter(rep.unit_id for rep in made.reps).values()) == {company.TEAM_SIZE}
    assert {made.unit[rep.unit_id].kind for rep in made.reps} == {"team"}


def test_every_unit_hangs_below_one_that_came_before_and_has_its_manager(made: company.Company) -> None:
    seen = {""}
    for unit in made.units:
        assert unit.parent_id in seen
        assert "manager" in made.person[unit.manager_id].roles
        seen.add(unit.id)
    assert [manager.unit_id for manager in made.line("R001")] == ["EAST-1-A", "EAST-1", "EAST", "CO"]


def test_names_and_ids_are_nobody_elses(made: company.Company) -> None:
    for named in (made.people, made.units, made.customers, made.products):
        assert len({each.id if hasattr(each, "id") else each.code for each in named}) == len(named)
    everybody = [person.name for person in made.people] + [customer.contact.name for customer in made.customers]
    assert len(set(everybody)) == len(everybody)
    assert len({customer.name for customer in made.customers}) == len(made.customers)


def test_provinces_are_covered_once(made: company.Company) -> None:
    areas = [province for unit in made.of_kind("area") for province in unit.territory.regions]
    assert sorted(areas) == sorted(names.CITIES)


def test_customers_belong_to_a_rep_who_sells_there_and_to_them(made: company.Company) -> None:
    for customer in made.customers:
        team = made.unit[made.person[customer.owner_id].unit_id]
        assert customer.region[:2] in team.territory.regions
        assert customer.industry in team.territory.industries
    assert {"education", "manufacturing"} <= {customer.industry for customer in made.customers}


def test_the_plan_leaks_as_the_documents_tell(made: company.Company) -> None:
    got = made.leaking_targets()
    sums = {kind: sum(got[unit.id] for unit in made.of_kind(kind)) for kind in ("company", "region", "area", "team")}
    assert sums == {
        "company": company.TOP,
        "region": company.REGIONS_GOT,
        "area": company.AREAS_GOT,
        "team": company.AREAS_GOT,
    }
    heads = [got[rep.id] for rep in made.reps]
    assert sum(heads) == company.AREAS_GOT
    fair = company.AREAS_GOT / company.HEADS
    deviations = [head / fair - 1 for head in heads]
    assert round(min(deviations), 4) == -0.27
    assert round(max(deviations), 4) == 0.27
    # Every area passes less on than its region got, and no amount has a fraction of a yuan.
    for region in made.of_kind("region"):
        areas = [unit for unit in made.of_kind("area") if unit.parent_id == region.id]
        assert sum(got[area.id] for area in areas) < got[region.id]
    assert not any(amount % company.YUAN for amount in got.values())


def test_last_year_adds_up_and_carries_this_years_growth(made: company.Company) -> None:
    assert sum(made.last_year.values()) == company.LAST_YEAR
    assert set(made.last_year) == {rep.id for rep in made.reps}
    # Nobody's even share is more than a doubling, or SMART would call it out of reach.
    assert company.TOP / company.HEADS / min(made.last_year.values()) < 2


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [3, 5, 7, 11], [10**9, 1]])
@pytest.mark.parametrize("total", [0, 1, 100, 12_345_600])
def test_shares_add_up_to_the_whole(total: int, weights: list[int]) -> None:
    shares = company._shared(total, weights, step=1)
    assert sum(shares) == total
    assert all(abs(share - total * weight / sum(weights)) < 1 for share, weight in zip(shares, weights, strict=True))


def test_rows_for_the_contract_are_whole_and_parents_come_first(made: company.Company) -> None:
    assert len(list(rows.org(made))) == len(made.units) + len(made.people)
    targets = list(rows.targets(made, made.leaking_targets(), "2026-Q1"))
    assert len(targets) == 1 + 4 + 11 + 22 + company.HEADS
    seen = {""}
    for target in targets:
        holder = target.holder.unit_id or target.holder.person_id
        above = made.unit[holder].parent_id if holder in made.unit else made.person[holder].unit_id
        assert above in seen
        seen.add(holder)
    assert rows.fen(targets[0].amount.money) == company.TOP


@pytest.mark.parametrize("fen", [0, 1, 99, 100, 96_000_000, 12_345_678_901])
def test_money_comes_back_as_it_went(fen: int) -> None:
    assert rows.fen(rows.cny(fen)) == fen
