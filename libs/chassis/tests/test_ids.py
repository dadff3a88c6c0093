"""Identifiers."""

from __future__ import annotations

import time
import uuid

import pytest

from closedloop_chassis import ids


@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_made_in_a_row_sorts_in_that_row(at_once: bool) -> None:
    made = ids.new_ids(20_000) if at_once else [ids.new_id() for _ in range(20_000)]
    made += [*ids.new_ids(3), ids.new_id()]
    assert made == sorted(set(made))
    assert all(ids.is_id(one) for one in made[:100])
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made[:100]} == {(7, uuid.RFC_4122)}
    assert ids.born(made[-1]) == pytest.approx(time.time(), abs=60)
