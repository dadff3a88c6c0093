"""The root command: options that every command understands, and the one place where failures become sentences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import grpc.aio
import typer
from typer.core import TyperGroup

from closedloop_cli import failures, words
from closedloop_cli.commands import (
    accounts,
    approvals,
    audit,
    clocks,
    diagnose,
    diagnosis,
    doctor,
    duplicates,
    events,
    experiments,
    exports,
    health,
    imports,
    knowledge,
    leads,
    metrics,
    notices,
    opportunities,
    packs,
    pilots,
    pool,
    rules,
    sources,
    suggestions,
    targets,
    tasks,
    token,
    trace,
    warnings,
    webhooks,
)
from closedloop_cli.connection import Choices
from closedloop_cli.failures import CommandError, Failure
from closedloop_cli.screen import Screen
from closedloop_cli.session import Session
from closedloop_cli.words import Words

FLAGS = ("--json",)
VALUED = ("--peers", "--token", "--as", "--roles", "--ca", "--lang")


class Root(TyperGroup):
    """Takes the options of the root wherever they stand on the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            failure = failures.of_command(error, _screen(ctx).words)
        except grpc.aio.AioRpcError as error:
            failure = failures.of_call(error, _screen(ctx).words)
        return _end(ctx, failure)


def _end(ctx: Any, failure: Failure) -> None:
    _screen(ctx).fail(failure)
    raise typer.Exit(failure.status)


def _screen(ctx: Any) -> Screen:
    return ctx.obj.screen if isinstance(ctx.obj, Session) else Screen(Words(words.of_environment(os.environ)))


def hoisted(arguments: list[str]) -> list[str]:
    """The options of the root first; what follows `--` stays."""
    first: list[str] = []
    rest: list[str] = []
    ahead = iter(arguments)
    for argument in ahead:
        if argument == "--":
            rest += [argument, *ahead]
        elif argument in FLAGS or argument.startswith(tuple(f"{name}=" for name in VALUED)):
            first.append(argument)
        elif argument in VALUED:
            first += [argument, *([value] if (value := next(ahead, None)) is not None else [])]
        else:
            rest.append(argument)
    return first + rest


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Closedloop from the command line. Options of this level may stand anywhere on the line. "
    "Ends with 0: done, 1: refused, 2: wrong usage, 3: not reachable.",
)


@app.callback()
def root(
    ctx: typer.Context,
    peers: Annotated[
        str, typer.Option(envvar="CLOSEDLOOP_PEERS", help='addresses as JSON, e.g. {"targets": "dns:///targets:7400"}')
    ] = "",
    token: Annotated[str, typer.Option(envvar="CLOSEDLOOP_TOKEN", help="your token", show_default=False)] = "",
    person: Annotated[
        str, typer.Option("--as", metavar="PERSON", help="on a development machine: be this person")
    ] = "",
    roles: Annotated[
        str, typer.Option(help="with --as; those the organisation knows when absent, e.g. rep,manager")
    ] = "",
    authority: Annotated[
        Path | None, typer.Option("--ca", exists=True, dir_okay=False, help="CA file; switches TLS on")
    ] = None,
    lang: Annotated[str, typer.Option(help="zh or en; by LANG when absent")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="for programs: one document, or JSON lines for lists")
    ] = False,
) -> None:
    if lang and lang not in words.LANGUAGES:
        raise typer.BadParameter("zh or en", param_hint="--lang")
    screen = Screen(Words(lang or words.of_environment(os.environ)), as_json)
    chosen = tuple(role.strip() for role in roles.split(",") if role.strip())
    made = Session(Choices(peers, token, person, chosen, authority), screen)
    ctx.obj = made
    ctx.call_on_close(made.close)


for name, group in {
    "import": imports.app,
    "export": exports.app,
    "pack": packs.app,
    "targets": targets.app,
    "leads": leads.app,
    "opportunities": opportunities.app,
    "diagnosis": diagnosis.app,
    "approvals": approvals.app,
    "tasks": tasks.app,
    "warnings": warnings.app,
    "experiments": experiments.app,
    "pilots": pilots.app,
    "knowledge": knowledge.app,
    "accounts": accounts.app,
    "suggestions": suggestions.app,
    "duplicates": duplicates.app,
    "health": health.app,
    "metrics": metrics.app,
    "pool": pool.app,
    "notices": notices.app,
    "sources": sources.app,
    "webhooks": webhooks.app,
    "events": events.app,
    "rules": rules.app,
    "clocks": clocks.app,
    "audit": audit.app,
}.items():
    app.add_typer(group, name=name)
app.command("token")(token.token)
app.command("brief")(health.brief)
app.command("trace")(trace.trace)
app.command("diagnose")(diagnose.diagnose)
app.command("doctor")(doctor.doctor)


def main() -> None:
    app(prog_name="closedloop")
