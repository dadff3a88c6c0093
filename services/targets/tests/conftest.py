"""The service under test, and a company to test it with."""

from __future__ import annotations

import pytest

from closedloop_chassis.service import Service
from closedloop_devstack.testing.service import Live
from closedloop_targets.service import SERVICE

from .staff import PEOPLE, UNITS, bring_in


@pytest.fixture
def service() -> Service:
    return SERVICE


@pytest.fixture
async def company(live: Live) -> Live:
    """A company of two regions, three teams and four reps, on Monday, 5 January 2026."""
    await bring_in(live, UNITS, PEOPLE)
    return live
