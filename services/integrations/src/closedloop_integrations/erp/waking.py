"""After an upgrade, transactions of before there were facts, or costs were told, are wanted looked at: the reactor is
woken for it, once.

Runs in the courier, because a migration runs before there is a reactor to wake.
"""

from __future__ import annotations

from closedloop_chassis.courier.desk import Desk

WAKE = """
WITH facts AS (DELETE FROM facts_of_old RETURNING source), costs AS (DELETE FROM costs_of_old RETURNING source),
     wanted AS (SELECT 'integrations.facts_of_old' AS kind, source FROM facts
                UNION ALL SELECT 'integrations.costs_of_old', source FROM costs)
INSERT INTO timer (kind, subject, at, next_at) SELECT kind, source, %(now)s, %(now)s FROM wanted
ON CONFLICT DO NOTHING
"""


def wake(desk: Desk) -> None:
    with desk.connection() as connection:
        connection.execute(WAKE, {"now": desk.now()})
