"""A fresh migrated database for every test module: migrated once per session, then copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING

import pytest

from closedloop_devstack.servers import PostgresServer, databases

if TYPE_CHECKING:
    from closedloop_chassis.service import Service

# Tells databases of one session apart, whatever module asks.
_numbers = count(1)


class Templates:
    """One migrated template per service and set of migrations."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._made: dict[tuple[str, str], str] = {}

    def copy(self, service: Service) -> str:
        """The URL of a new database at the service's newest schema."""
        return databases.create(self._server_url, f"{service.name}_{next(_numbers)}", self._template(service))

    def _template(self, service: Service) -> str:
        key = (service.name, str(service.migrations))
        if key not in self._made:
            from closedloop_chassis.data.migrations import upgrade

            name = f"template_{service.name}_{next(_numbers)}"
            upgrade(databases.create(self._server_url, name), service)
            databases.seal(self._server_url, name)
            self._made[key] = name
        return self._made[key]


def _definition(name: str) -> Service:
    found: Service = import_module(f"closedloop_{name}.service").SERVICE
    return found


@pytest.fixture(scope="session")
def templates(postgres: PostgresServer) -> Templates:
    return Templates(postgres.url)


@pytest.fixture(scope="module")
def database(templates: Templates, postgres: PostgresServer) -> Iterator[Callable[[Service | str], str]]:
    """`database(SERVICE)` or `database("targets")`: the URL of a database of the module's own, dropped after it."""
    made: list[str] = []

    def fresh(service: Service | str) -> str:
        url = templates.copy(_definition(service) if isinstance(service, str) else service)
        made.append(url.rpartition("/")[2])
        return url

    yield fresh
    if postgres.alive:
        for name in made:
            databases.drop(postgres.url, name)
