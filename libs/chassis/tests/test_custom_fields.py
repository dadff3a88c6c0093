"""A company's own fields: typed by the rulebook, and free where it says nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

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


def test_by_default_nobody_is_kept_from_adding_a_field() -> None:
    FleetRules().check("truck", {"seats": 1, "colour": ["red", "green"]})
