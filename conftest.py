"""How tests are shared out between workers: a file stays together, so that what it starts is started once."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from closedloop_devstack import ports

LONGEST_NAME = 100

# A machine that does other things meanwhile takes its time over examples, too; that is no defect of a property.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    """A platform that is down for a moment comes up again on its ports: no other worker takes them meanwhile."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        number, of = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        # A worker that fell is followed by one of a higher number.
        os.environ[ports.RANGE] = ports.share(number % of, of)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(str(item.path)))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Contents are no names: a workbook made at collection holds the second it was made in, and two workers that name
    a test after it do not agree on what there is to run."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > LONGEST_NAME) else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """xdist shares tests out by what it has added to their names; where it could not, every file would start everything
    once per worker, and nobody would notice but by the clock."""
    if getattr(session.config.option, "loadgroup", False):
        alone = next((item.nodeid for item in session.items if "@" not in item.nodeid.rpartition("]")[2]), None)
        if alone is not None:
            raise pytest.UsageError(f"{alone} has no group: this pytest and this xdist do not understand each other")
