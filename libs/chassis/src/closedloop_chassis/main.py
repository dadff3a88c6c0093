"""The command line of every service: `python -m closedloop_<service> api | courier | migrate | reactor`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from closedloop_chassis.service import Service
    from closedloop_chassis.settings import Settings

if sys.argv[1:2] == ["courier"]:
    # eventlet makes locks and sockets green only where they have not been taken yet, so before all other imports.
    from closedloop_chassis.courier import green

    green.patch()


def _without_rich() -> None:
    """structlog takes rich along where it finds it, for tracebacks nobody looks at: 4 MB and 40 ms of every process."""
    if "rich" not in sys.modules and "structlog" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # what makes an import fail
        import_module("structlog")
        del sys.modules["rich"]


def main(package: str) -> None:
    """Runs one process of `package`, e.g. "closedloop_funnel", whose `service` module holds SERVICE.

    A courier never imports that module: domain code stays in the api, and out of the courier's memory.
    """
    name = package.removeprefix("closedloop_")
    parser = argparse.ArgumentParser(prog=f"closedloop-{name}")
    parser.add_argument("process", choices=("api", "courier", "migrate", "reactor"))
    chosen = parser.parse_args().process

    _without_rich()
    from pydantic import ValidationError

    from closedloop_chassis.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"CLOSEDLOOP_{str(e['loc'][0]).upper()}: {e['msg']}" if e["loc"] else e["msg"] for e in error.errors()
        )
        sys.exit(f"closedloop-{name}: the settings are not right: {problems}")
    if chosen == "courier":
        _courier(package, settings)
        return
    # What is imported lives as long as the process: looked through again and again it only costs time.
    gc.disable()
    service: Service = import_module(f"{package}.service").SERVICE
    {"api": _api, "migrate": _migrate, "reactor": _reactor}[chosen](service, settings)


def _api(service: Service, settings: Settings) -> None:
    from closedloop_chassis.api import serve

    _run("api", service, settings, serve)


def _reactor(service: Service, settings: Settings) -> None:
    from closedloop_chassis.api import react

    _run("reactor", service, settings, react)


def _run(
    process: str, service: Service, settings: Settings, work: Callable[[Service, Settings], Coroutine[Any, Any, None]]
) -> None:
    import uvloop

    from closedloop_chassis.telemetry import logs, tracing

    logs.start(settings, service.name, process)
    tracing.start(settings, service.name, process)
    gc.freeze()
    gc.enable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(service, settings))


def _courier(package: str, settings: Settings) -> None:
    from closedloop_chassis import courier

    parts = f"{package}.courier" if find_spec(f"{package}.courier") else ""
    courier.run(package.removeprefix("closedloop_"), parts, settings)


def _migrate(service: Service, settings: Settings) -> None:
    from closedloop_chassis.data import migrations, readers
    from closedloop_chassis.telemetry import logs

    gc.enable()
    logs.start(settings, service.name, "migrate")
    ran = migrations.upgrade(settings.dsn, service)
    try:
        readers.admit(settings.dsn, settings.report_reader)
    except readers.NoSuchRole as error:
        sys.exit(f"closedloop-{service.name}: {error}")
    print(f"{service.name}: {', '.join(ran) if ran else 'nothing to do'}")
