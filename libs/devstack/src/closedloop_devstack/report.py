"""What the commands print for people, and the address book for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from closedloop_devstack.platform.home import Home, State
from closedloop_devstack.platform.layout import Layout
from closedloop_devstack.platform.memory import Footprint
from closedloop_devstack.ports import LOOPBACK

# Decimal, as the promise reads: PostgreSQL, Redis and ten processes; RabbitMQ is not among them.
LIMIT_BYTES = 1_500_000_000
COLOURS = {"healthy": "green", "starting": "yellow", "unhealthy": "yellow", "crashed": "red", "stopped": "red"}

_out = Console(highlight=False, soft_wrap=True)
_err = Console(highlight=False, soft_wrap=True, stderr=True)


def say(line: str) -> None:
    _out.print(line, markup=False)


def step(line: str) -> None:
    _out.print(f"  {line}", markup=False)


def loud(line: str) -> None:
    _err.print(line, style="bold red", markup=False)


def address_book(home: Home, state: State) -> dict[str, Any]:
    """{"services": {name: {"grpc": "host:port", "api_metrics", "courier_metrics", "webhooks"}}, "servers": {name: url},
    "home": path, "jwks": path, "development": bool}"""
    layout = Layout(state.options.port_base, state.options.services)
    running = {process.name.partition(".")[0] for process in state.processes}
    services = {}
    for service in (name for name in layout.services if name in running):
        ports = layout.ports(service)
        services[service] = {
            "grpc": f"{LOOPBACK}:{ports.grpc}",
            "api_metrics": f"{LOOPBACK}:{ports.api_metrics}",
            "courier_metrics": f"{LOOPBACK}:{ports.courier_metrics}",
            "webhooks": f"{LOOPBACK}:{ports.webhooks}",
        }
    return {
        "home": str(home.root),
        "jwks": str(home.keys.jwks),
        "development": state.options.development,
        "services": services,
        "servers": state.servers,
    }


def addresses(home: Home, state: State) -> None:
    book = address_book(home, state)
    table = Table("service", "gRPC", "api HTTP", "courier HTTP", "webhooks", box=None, pad_edge=False)
    for service, at in book["services"].items():
        table.add_row(service, at["grpc"], *(at[key] for key in ("api_metrics", "courier_metrics", "webhooks")))
    if book["services"]:
        _out.print(table)
    for server, url in state.servers.items():
        say(f"{server:<10}{url}")
    for note in state.notes:
        say(f"note: {note}")
    _usage(home, book)


def _usage(home: Home, book: dict[str, Any]) -> None:
    say("")
    say("A token of an operator (operations, administration), good for 12 hours:")
    say(f"  export CLOSEDLOOP_TOKEN={home.keys.token('operator', ['operations', 'admin'])}")
    say("Tokens of others:  python -m closedloop_devstack token --person P --roles rep,manager")
    if book["services"]:
        at = next(iter(book["services"].values()))["grpc"]
        say(f'Try it:            grpcurl -plaintext -H "authorization: Bearer $CLOSEDLOOP_TOKEN" {at} list')
    say("Then:              make status · make logs · make down")


def status(home: Home, state: State) -> None:
    table = Table("process", "condition", "pid", "restarts", "answers at", box=None, pad_edge=False)
    for process in state.processes:
        colour = COLOURS[process.condition]
        table.add_row(
            process.name,
            f"[{colour}]{process.condition}[/]",
            str(process.pid or "-"),
            str(process.restarts),
            process.address,
        )
    say(f"{state.phase} in {home.root}{f': {state.message}' if state.message else ''}")
    if state.processes:
        _out.print(table)
    for note in state.notes:
        say(f"note: {note}")


def memory(found: list[Footprint]) -> None:
    """PSS adds up; RSS counts shared pages once per process."""
    table = Table("memory of", "processes", "PSS MiB", "RSS MiB", box=None, pad_edge=False)
    for row in found:
        table.add_row(row.name, str(row.processes), _mib(row.pss), _mib(row.rss))
    pss, rss = sum(row.pss for row in found), sum(row.rss for row in found)
    table.add_row("all", str(sum(row.processes for row in found)), _mib(pss), _mib(rss))
    _out.print(table)
    if promised(found) > LIMIT_BYTES:
        loud(f"That is more than the {_mib(LIMIT_BYTES)} MiB the platform means to stay under.")


def promised(found: list[Footprint]) -> int:
    """Resident bytes of what the promise speaks of, all together: a page that many processes share is there once (PSS)."""
    return sum(row.pss for row in found if not row.name.startswith("rabbitmq"))


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f}"
