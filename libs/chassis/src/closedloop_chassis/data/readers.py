"""Lets a role read the schema `report`: views of figures that every service keeps beside its tables."""

from __future__ import annotations

import psycopg
from psycopg import sql

KNOWN = "SELECT to_regrole(%(role)s) IS NOT NULL, to_regnamespace('report') IS NOT NULL"
# Said after every migration, so that new views are seen as well; views read tables as their owner does.
ADMIT = sql.SQL("GRANT USAGE ON SCHEMA report TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA report TO {role}")


class NoSuchRole(Exception):
    """The role is made by whoever runs the server: a service may not."""


def admit(dsn: str, role: str) -> None:
    """Nothing for an empty role. Raises NoSuchRole where the server does not know it (yet)."""
    if not role:
        return
    with psycopg.connect(dsn) as connection:
        [known, reports] = connection.execute(KNOWN, {"role": role}).fetchone() or (False, False)
        if not known:
            raise NoSuchRole(
                f"CLOSEDLOOP_REPORT_READER: PostgreSQL knows no role {role}; create it, then migrate again"
            )
        if reports:
            connection.execute(ADMIT.format(role=sql.Identifier(role)))
