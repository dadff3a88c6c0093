"""What an update may name, in one place for all services."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from closedloop_chassis import errors, masks


def test_known_paths_are_answered_and_strange_ones_told_with_what_there_is() -> None:
    assert masks.paths(FieldMask(paths=["name", "name"]), {"name", "note"}) == {"name"}
    assert masks.paths(FieldMask(), {"name"}) == set()
    with pytest.raises(errors.InvalidArgument, match="names x, y; of a plan there are name, note") as refused:
        masks.paths(FieldMask(paths=["y", "name", "x"]), ("note", "name"), of="a plan")
    assert refused.value.reason == "FIELD_UNKNOWN"


def test_where_something_has_to_be_named_nothing_is_refused() -> None:
    assert masks.some(FieldMask(paths=["name"]), {"name"}) == {"name"}
    with pytest.raises(errors.InvalidArgument, match="names nothing; there are name"):
        masks.some(FieldMask(), {"name"})
