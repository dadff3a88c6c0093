"""Servers already running, named by URL: do they answer?"""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg

from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform.options import Options

USUAL = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"


def require(options: Options) -> None:
    """Raises PlatformError for the first that does not answer, or where we may not create databases."""
    if options.database_url:
        _require_postgres(options.database_url)
    for name, url in (("AMQP", options.amqp_url), ("REDIS", options.redis_url)):
        if url:
            parts = urlsplit(url)
            if parts.scheme not in USUAL or (name == "REDIS" and parts.scheme.startswith("amqp")):
                raise PlatformError(
                    f"CLOSEDLOOP_{name}_URL begins with {parts.scheme or 'no scheme'}://, which is none we speak."
                )
            port = parts.port or USUAL[parts.scheme]
            if not ports.accepts(port, parts.hostname or ports.LOOPBACK, timeout=3.0):
                raise PlatformError(f"Nothing answers at {parts.hostname}:{port}, which CLOSEDLOOP_{name}_URL names.")


def _require_postgres(url: str) -> None:
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 5432}"
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            row = connection.execute(MAY_CREATE).fetchone()
    except psycopg.OperationalError as error:
        why = str(error).strip().splitlines()[-1]
        raise PlatformError(
            f"PostgreSQL at {where}, which CLOSEDLOOP_DATABASE_URL names, does not let us in: {why}"
        ) from error
    if not row or not row[0]:
        raise PlatformError(
            f"The user of CLOSEDLOOP_DATABASE_URL at {where} may not create databases; grant it CREATEDB."
        )
