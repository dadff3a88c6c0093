"""The test harness, a pytest plugin: real servers, fresh databases, whole platforms.

Fixtures: `postgres`, `redis_server`, `rabbit` (one of each per session), `database` (a factory, per module),
`platform` (a factory, per module), `companies` (a factory of all five services in this process, per module), `data_folder`.
"""

from __future__ import annotations

from closedloop_devstack.testing.companies import companies
from closedloop_devstack.testing.databases import database, templates
from closedloop_devstack.testing.notices import pytest_terminal_summary
from closedloop_devstack.testing.platforms import platform
from closedloop_devstack.testing.servers import postgres, rabbit, redis_server
from closedloop_devstack.testing.service import live
from closedloop_devstack.testing.session import data_folder, session_folder

__all__ = [
    "companies",
    "data_folder",
    "database",
    "live",
    "platform",
    "postgres",
    "pytest_terminal_summary",
    "rabbit",
    "redis_server",
    "session_folder",
    "templates",
]
