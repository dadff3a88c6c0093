"""A platform that starts at a moment of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from closedloop_chassis.service import Service
from closedloop_devstack.platform.migrate import set_clock

BARE = Service(name="bare", package="closedloop.platform.v1", slices=(), migrations=Path(__file__).parent / "none")


def shown(url: str) -> datetime:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT offset_us FROM development_time").fetchone()
    assert row
    return datetime.now(UTC) + timedelta(microseconds=row[0])


def test_a_new_database_shows_the_start_time_and_a_used_one_goes_on(database: Callable[[Service], str]) -> None:
    url, monday = database(BARE), datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
    set_clock(url, monday)
    assert monday <= shown(url) < monday + timedelta(minutes=1)
    set_clock(url, monday + timedelta(days=300))
    assert monday <= shown(url) < monday + timedelta(minutes=1)
