"""Several who look for free ports at once do not get in each other's way."""

from __future__ import annotations

import pytest

from closedloop_devstack import ports


def test_free_ports_are_of_a_range_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = [ports.share(number, 3) for number in range(3)]
    assert ranges == ["20000-24000", "24000-28000", "28000-32000"]
    for told in ranges:
        monkeypatch.setenv(ports.RANGE, told)
        lowest, highest = map(int, told.split("-"))
        for _ in range(20):
            assert lowest <= ports.free_block(20) <= highest - 20
