"""A second look at the clocks. The api makes them fire; should it hang or be gone, it is the courier that tells how late
they are, under the same names: take the maximum of a service's processes, never their sum."""

from __future__ import annotations

import time

from psycopg.rows import dict_row

from closedloop_chassis.clocks import figures
from closedloop_chassis.courier.database import AWAY
from closedloop_chassis.courier.desk import Desk

EVERY_SECONDS = 10.0


class Witness:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def step(self) -> float:
        """Measures, and answers in how many seconds again. Keeps the figures it has while the database is away."""
        begun = time.monotonic()
        try:
            now = self._desk.now()
            with self._desk.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
                figures.running(cursor.execute(figures.RUNNING, {"now": now}).fetchall())
        except AWAY as cause:
            self._desk.log.debug("clocks not measured", cause=str(cause))
        return max(EVERY_SECONDS, (time.monotonic() - begun) / figures.SHARE)
