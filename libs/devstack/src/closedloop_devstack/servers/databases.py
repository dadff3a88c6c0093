"""Databases of a PostgreSQL server, ours or anybody's, by its URL."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


def url_of(server_url: str, database: str) -> str:
    """The same server and credentials, another database."""
    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path=f"/{database}"))


def exists(server_url: str, database: str) -> bool:
    with psycopg.connect(server_url, autocommit=True, connect_timeout=5) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone() is not None


def ensure(server_url: str, database: str) -> str:
    """Creates the database unless it is there; answers its URL."""
    if not exists(server_url, database):
        create(server_url, database)
    return url_of(server_url, database)


def create(server_url: str, database: str, template: str = "template0") -> str:
    """An exact copy of `template`, which nobody may be connected to; answers its URL."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template))
    _run(server_url, statement)
    return url_of(server_url, database)


def seal(server_url: str, database: str) -> None:
    """Ends all connections to the database and lets in no others, so that it can serve as a template."""
    _run(server_url, sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(database)))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (database,)
        )


def drop(server_url: str, database: str) -> None:
    _run(server_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def _run(server_url: str, statement: sql.Composed) -> None:
    with psycopg.connect(server_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement)
