"""Lights and circuits of outside systems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from closedloop_integrations.sources.rules import Health, SourceRules, circuit, light

NOW = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
EARLIER, LATER, LONG_AGO = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1), NOW - timedelta(days=30)


@pytest.mark.parametrize(
    ("given", "state", "colour"),
    [
        ({}, "closed", "none"),
        ({"configured": False, "failures": 9, "retry_at": LATER}, "open", "none"),
        ({"failures": 2}, "closed", "blue"),
        ({"failures": 5, "opened_at": EARLIER, "retry_at": LATER}, "open", "red"),
        ({"failures": 5, "opened_at": EARLIER, "retry_at": EARLIER}, "half_open", "red"),
        ({"newest_at": LONG_AGO}, "closed", "yellow"),
        ({"newest_at": EARLIER}, "closed", "none"),
        ({"paused": True}, "closed", "yellow"),
    ],
)
def test_health(given: dict[str, Any], state: str, colour: str) -> None:
    usual: dict[str, Any] = {"configured": True, "paused": False, "failures": 0}
    usual |= {"opened_at": None, "retry_at": None, "last_success_at": None, "newest_at": None}
    health = Health(**{**usual, **given})
    assert circuit(health, NOW) == state
    assert light(health, "erp", SourceRules(), NOW) == colour
