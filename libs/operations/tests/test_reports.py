"""Boards over SQL: every query runs for a role that is let into `report`, and that role is let into nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from closedloop_chassis.currency import CODES, coins
from closedloop_chassis.data import readers
from closedloop_chassis.data.readers import NoSuchRole
from closedloop_devstack.platform.home import project
from closedloop_devstack.servers import PostgresServer
from closedloop_operations.environment import SERVICES
from closedloop_operations.sql import READER, queries

NOW = datetime(2026, 1, 14, 9, tzinfo=UTC)
CHOICES = {"metric": "won_value", "kind": "team", "grade": "A", "pipeline": "standard"}
# What would tell more of a person than a name.
PERSONAL = (
    "mail",
    "mobile",
    "phone",
    "address",
    "contact",
    "content",
    "text",
    "subject",
    "handle",
    "profile",
    "payload",
)
COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'report'"
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1"


@pytest.fixture(scope="module")
def reader(postgres: PostgresServer) -> str:
    """The role is made by whoever runs the server, once; its name is one for all databases of the server."""
    with psycopg.connect(postgres.url, autocommit=True) as server:
        if not server.execute("SELECT to_regrole(%s) IS NOT NULL", [READER]).fetchone()[0]:  # type: ignore[index]
            server.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(READER)))
    return READER


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.mission("S10", "S11", "S12", "S18", "S47")
def test_every_query_runs_for_the_reader_who_sees_nothing_else(
    service: str, database: Callable[[str], str], reader: str
) -> None:
    url = database(service)
    asked = [query for query in queries(project()) if query.service == service]
    assert asked
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(reader)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(asked[-1].filled(NOW - timedelta(days=1), NOW, CHOICES))
    readers.admit(url, reader)
    # Said again with every migration.
    readers.admit(url, reader)
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [name for (name,) in connection.execute(TABLES)]
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(reader)))
        for query in asked:
            answer = connection.execute(query.filled(NOW - timedelta(days=1), NOW, CHOICES))
            if query.format == "time_series":
                assert answer.description[0].name == "time", query.name  # type: ignore[index]
        columns = list(connection.execute(COLUMNS))
        assert columns
        assert not [(view, name) for view, name in columns for word in PERSONAL if word in name]
        assert {"outbox", "audit_entry", "org_person"} <= set(tables)
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table)))
        for view in {view for view, _ in columns}:
            # Of a view over several tables it does not come to the question of rights.
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                connection.execute(sql.SQL("DELETE FROM report.{}").format(sql.Identifier(view)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (one int)")


def test_a_role_the_server_does_not_know_is_named(database: Callable[[str], str]) -> None:
    url = database("approvals")
    with pytest.raises(NoSuchRole, match="no role nobody_yet; create it"):
        readers.admit(url, "nobody_yet")
    environment = {
        "CLOSEDLOOP_DATABASE_URL": url,
        "CLOSEDLOOP_REPORT_READER": "nobody_yet",
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-m", "closedloop_approvals", "migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PostgreSQL knows no role nobody_yet" in done.stderr
    refused = subprocess.run(
        command,
        env={**environment, "CLOSEDLOOP_REPORT_READER": "Robert'); --"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "CLOSEDLOOP_REPORT_READER" in refused.stderr


@pytest.mark.parametrize("service", ["targets", "funnel"])
def test_amounts_are_in_whole_units_of_every_currency(service: str, database: Callable[[str], str]) -> None:
    with psycopg.connect(database(service)) as connection:
        asked = "SELECT code, report.amount(123456, code) FROM unnest(%s::text[]) AS code"
        for code, amount in connection.execute(asked, [sorted(CODES)]):
            assert float(amount) == 123456 / coins(code), code
