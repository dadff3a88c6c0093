"""The courier's parts share one clock, and it is the database's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import psycopg
import pytest
from pydantic import SecretStr

from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings

MONTH = timedelta(days=30)


def test_nobody_gets_the_machines_time_while_another_part_reads_the_clock(
    service: Service, database: Callable[[Service], str]
) -> None:
    settings = Settings(database_url=SecretStr(database(service)), development=True)
    with pool(settings, "bare") as connections, ThreadPoolExecutor(2) as parts, psycopg.connect(settings.dsn) as holder:
        holder.execute("UPDATE development_time SET offset_us = %s", (MONTH // timedelta(microseconds=1),))
        holder.commit()
        holder.execute("LOCK TABLE development_time")
        desk = Desk("bare", settings, connections)
        asked = [parts.submit(desk.now) for _ in range(2)]
        # Both wait for the clock; with the machine's time one would be back at once.
        with pytest.raises(TimeoutError):
            asked[1].result(timeout=0.5)
        holder.rollback()
        for answer in asked:
            assert answer.result(timeout=10) - datetime.now(UTC) > MONTH - timedelta(minutes=1)


class HourAhead(datetime):
    """A machine whose clock is wrong."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(hours=1)


@pytest.mark.parametrize("development", [True, False])
def test_a_machine_whose_clock_is_wrong_goes_by_the_databases(
    service: Service, database: Callable[[Service], str], monkeypatch: pytest.MonkeyPatch, development: bool
) -> None:
    monkeypatch.setattr("closedloop_chassis.courier.desk.datetime", HourAhead)
    settings = Settings(database_url=SecretStr(database(service)), development=development)
    with pool(settings, "bare") as connections:
        assert abs(Desk("bare", settings, connections).now() - datetime.now(UTC)) < timedelta(minutes=1)
