"""The platform on this machine: behind `make up`, `make down`, `make status` and `make logs`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from closedloop_devstack import report
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform import daemon
from closedloop_devstack.platform.collate import TOGETHER
from closedloop_devstack.platform.home import Home, State
from closedloop_devstack.platform.memory import footprints
from closedloop_devstack.platform.options import Options

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", help="stay here and show the logs; Ctrl-C stops all")
    ] = False,
    production_like: Annotated[bool, typer.Option("--production-like", help="development mode off")] = False,
    broker: Annotated[Literal["redis", "rabbitmq"], typer.Option(help="what carries events")] = "redis",
    only: Annotated[str, typer.Option(help="services to start, separated by commas")] = "",
) -> None:
    """Starts the platform and waits until all of it is healthy."""
    home = Home.find()
    state = home.read()
    if state and state.supervised:
        if state.phase in ("stopping", "stopped", "failed"):
            report.step("waiting for the last platform to be down")
            daemon.await_end(home)
        elif state.phase == "ready":
            report.say(f"The platform is already up in {home.root}.")
            report.addresses(home, state)
            return
        elif state.phase == "starting":
            report.say("Another `make up` is starting it already.")
            report.addresses(home, daemon.await_ready(home, report.step))
            return
    chosen: dict[str, object] = {"broker": broker, "development": not production_like}
    if only:
        chosen["services"] = tuple(only.split(","))
    options = Options.from_environment(**chosen)
    if foreground:
        raise typer.Exit(daemon.supervise(home.root, options, report.step, echo=typer.echo))
    began = time.monotonic()
    ready = daemon.launch(home, options, report.step)
    report.say(f"The platform is up after {time.monotonic() - began:.0f} s.")
    report.addresses(home, ready)


@app.command()
def down() -> None:
    """Stops the platform; its data stays."""
    daemon.stop(Home.find(), report.say)


@app.command()
def status(memory: Annotated[bool, typer.Option("--memory", help="memory of every process")] = False) -> None:
    """Shows every process; ends with status 1 unless all are healthy."""
    home = Home.find()
    state = _running(home)
    report.status(home, state)
    if memory:
        report.memory(footprints(home.ledger))
    if state.phase != "ready" or any(process.condition != "healthy" for process in state.processes):
        raise typer.Exit(1)


@app.command()
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="wait for more")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="how many of the past")] = 200,
    name: Annotated[str, typer.Argument(help="one process only, e.g. funnel.api")] = "",
) -> None:
    """Shows what all processes say, in one view."""
    folder = Home.find().logs
    path = folder / (f"{name}.log" if name else TOGETHER)
    if not path.exists():
        known = ", ".join(sorted(log.stem for log in folder.glob("*.log"))) or "none yet"
        raise PlatformError(f"There is no log {path.name}; there are: {known}.")
    _tail(path, lines, follow)


@app.command()
def token(
    person: Annotated[str, typer.Option(help="the person's id")],
    roles: Annotated[str, typer.Option(help="separated by commas, e.g. rep,manager")],
    hours: Annotated[float, typer.Option(min=0.01, help="how long it holds")] = 12.0,
) -> None:
    """Prints a token of a person, signed with this home's key."""
    typer.echo(Home.find().keys.token(person, [role.strip() for role in roles.split(",") if role.strip()], hours))


@app.command()
def addresses(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Prints where everything answers."""
    home = Home.find()
    state = _running(home)
    if as_json:
        typer.echo(json.dumps(report.address_book(home, state), indent=1))
    else:
        report.addresses(home, state)


def _running(home: Home) -> State:
    state = home.read()
    if state and not state.supervised and state.phase in ("starting", "ready"):
        raise PlatformError("The supervisor died: `make up` cleans up and starts anew, `make down` ends what it left.")
    if state is None or not state.supervised:
        raise PlatformError("The platform is not up; `make up` starts it.")
    return state


def _tail(path: Path, lines: int, follow: bool) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        sys.stdout.writelines(file.readlines()[-lines:] if lines else [])
        sys.stdout.flush()
        while follow:
            if fresh := file.read():
                sys.stdout.write(fresh)
                sys.stdout.flush()
            elif path.stat().st_size < file.tell():
                file.seek(0)
            else:
                time.sleep(0.2)


def main() -> None:
    try:
        app()
    except PlatformError as error:
        report.loud(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
