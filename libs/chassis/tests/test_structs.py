"""Custom fields between the contract and jsonb."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Struct

from closedloop_chassis import errors, structs


def test_what_goes_in_comes_out() -> None:
    values = {
        "name": "丰台",
        "rooms": 3.0,
        "open": True,
        "none": None,
        "tags": ["a", 1.0],
        "deep": {"er": {"est": "x"}},
    }
    made = structs.struct(values)
    assert made is not None
    assert structs.plain(made) == values


def test_nothing_leaves_the_field_unset() -> None:
    assert structs.struct({}) is None
    assert structs.struct(None) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("deep", [False, True])
def test_what_jsonb_cannot_keep_is_refused_by_name(value: float, deep: bool) -> None:
    given = Struct()
    given.update({"a": {"list": [1, value]} if deep else value})
    with pytest.raises(errors.InvalidArgument) as refused:
        structs.plain(given, "profile.custom_fields")
    assert refused.value.reason == "NOT_A_NUMBER"
    assert "profile.custom_fields" in refused.value.violations
