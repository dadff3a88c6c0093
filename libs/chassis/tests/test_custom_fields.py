"""A company's own fields: typed by the rulebook, and free where it says nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from google.type.date_pb2 import Date

from closedloop.common.v1.common_pb2 import CustomFieldRange
from closedloop_chassis import errors
from closedloop_chassis.custom_fields import CustomField, CustomFieldRules


class FleetRules(CustomFieldRules):
    rulebook: ClassVar[str] = "fleet.fields"

    truck: dict[str, CustomField] = {
        "seats": CustomField(type="number", required=True),
        "tier": CustomField(options=("gold", "silver")),
        "since": CustomField(type="date"),
        "leased": CustomField(type="boolean"),
    }


@pytest.mark.mission("S100")
@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"seats": 3, "tier": "gold", "since": "2026-01-05", "leased": False}, set()),
        ({"seats": 3, "tier": None}, set()),
        ({"tier": "gold"}, {"seats"}),
        ({"seats": None}, {"seats"}),
        ({"seats": "3"}, {"seats"}),
        ({"seats": True}, {"seats"}),
        ({"seats": 1, "leased": 1}, {"leased"}),
        ({"seats": 1, "tier": "tin", "since": "5 Jan"}, {"tier", "since"}),
        ({"seats": 1, "since": "2026-02-30"}, {"since"}),
        ({"seats": 1, "since": "20260105"}, {"since"}),
        ({"seats": 1, "colour": "red"}, {"colour"}),
        ({"seats": 1, "a": 1, "b": 2, "c": 3, "d": 4}, {"a", "b", "c", "d", "*"}),
    ],
)
def test_declared_fields_are_typed_and_others_refused(values: dict[str, Any], wrong: set[str]) -> None:
    rules = FleetRules(undeclared=False, most=4)
    if not wrong:
        rules.check("truck", values)
        return
    with pytest.raises(errors.InvalidArgument) as refused:
        rules.check("truck", values, "profile.custom_fields")
    assert refused.value.reason == "CUSTOM_FIELD_INVALID"
    assert set(refused.value.violations) == {f"profile.custom_fields.{name}" for name in wrong}


@pytest.mark.mission("S100")
def test_what_nothing_could_fill_is_not_published() -> None:
    assert FleetRules().faults() == {}
    strange = FleetRules(
        truck={
            "seats": CustomField(title="座位", type="number", options=("two", "four")),
            "leased": CustomField(type="boolean", options=("yes",)),
            "since": CustomField(title="起", type="date", options=("2026-01-05", "5 Jan")),
            "chairs": CustomField(title="座位"),
            "tier": CustomField(title="级", options=("gold",)),
        }
    )
    assert strange.faults() == {
        "truck.seats.options": "are texts, and it is a number",
        "truck.leased.options": "are texts, and it is a boolean",
        "truck.since.options": "5 Jan is no day like 2026-01-05",
        "truck.chairs.title": "seats has it",
    }


def test_by_default_nobody_is_kept_from_adding_a_field() -> None:
    FleetRules().check("truck", {"seats": 1, "colour": ["red", "green"]})


@pytest.mark.mission("S100")
def test_what_a_list_looks_for_becomes_one_predicate() -> None:
    rules = FleetRules()
    assert rules.path("truck", {}, []) is None
    asked = {"tier": "gold", 'a"b && true': "x\\\n中", "leased": True, "seats": 3.0}
    assert rules.path("truck", asked, []) == (
        '$."tier" == "gold" && $."a\\"b && true" == "x\\\\\\n\\u4e2d" && $."leased" == true && $."seats" == 3.0'
    )
    between = CustomFieldRange(name="seats", least=2, most=4.5)
    since = CustomFieldRange(name="since", first_day=Date(year=2026, month=1, day=5))
    assert rules.path("truck", {}, [between, since]) == (
        '$."seats" >= 2.0 && $."seats" <= 4.5 && $."since" >= "2026-01-05"'
    )


@pytest.mark.mission("S100")
def test_what_a_field_cannot_be_is_not_looked_for() -> None:
    ranges = [
        CustomFieldRange(name="since", least=1),
        CustomFieldRange(name="seats", last_day=Date(year=2026, month=1, day=5)),
        CustomFieldRange(name="elsewhere", least=1),
    ]
    asked = {"seats": "3", "tier": "tin", "since": None, "list": [1]}
    with pytest.raises(errors.InvalidArgument) as refused:
        FleetRules().path("truck", asked, ranges)
    assert refused.value.reason == "CUSTOM_FIELD_INVALID"
    assert set(refused.value.violations) == {
        *(f"custom_fields.{name}" for name in asked),
        "custom_field_ranges[0]",
        "custom_field_ranges[1]",
    }


@pytest.mark.mission("S100")
def test_a_company_that_declares_everything_hears_of_a_slip_of_the_pen() -> None:
    strict = FleetRules(undeclared=False)
    with pytest.raises(errors.InvalidArgument) as refused:
        strict.path("truck", {"seast": 3.0}, [CustomFieldRange(name="seast", least=1)])
    assert refused.value.violations == {
        "custom_fields.seast": "fleet.fields does not declare it",
        "custom_field_ranges[0]": "fleet.fields does not declare seast",
    }
    assert FleetRules().path("truck", {"seast": 3.0}, []) == '$."seast" == 3.0'
