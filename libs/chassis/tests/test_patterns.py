"""A search finds what was typed and nothing else."""

from __future__ import annotations

import pytest

from closedloop_chassis.data import patterns
from closedloop_chassis.process import Process

NAMES = ["100% wool", "100 wool", "a_b", "axb", r"c\d", "cd"]
FOUND = "SELECT array_agg(name) FROM unnest(%(names)s::text[]) AS name WHERE name ILIKE %(pattern)s"


@pytest.mark.parametrize(("typed", "found"), [("0%", "100% wool"), ("A_B", "a_b"), ("\\", r"c\d")])
async def test_wildcards_are_letters(process: Process, typed: str, found: str) -> None:
    for pattern in (patterns.containing(typed), "%" + patterns.beginning(typed)):
        assert await process.database.reader.value(FOUND, {"names": NAMES, "pattern": pattern}) == [found]


def test_nothing_typed_is_no_pattern() -> None:
    assert (patterns.containing(""), patterns.beginning("")) == ("", "%")
