"""Packs: a company's organisation, fields, pipelines, flows, permissions, rules and templates as one reviewed folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from closedloop_cli import failures
from closedloop_cli.packs import applying, checking, exporting, folder
from closedloop_cli.packs import plan as planning
from closedloop_cli.packs.differences import Difference
from closedloop_cli.packs.folder import Pack, Problem
from closedloop_cli.packs.plan import Change, Plan
from closedloop_cli.screen import Column, Screen
from closedloop_cli.session import Session, session

app = typer.Typer(
    no_args_is_help=True,
    help="Packs: a company set up from one reviewed folder of YAML. validate, diff, apply; export.",
)

Folder = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="the pack")]


@app.command()
def validate(ctx: typer.Context, pack_folder: Folder) -> None:
    """Judges a pack without any service: what is wrong in which file on which line, and what to do."""
    screen = session(ctx).screen
    pack = _sound(screen, pack_folder)
    if screen.as_json:
        screen.document(_counts(pack))
    else:
        screen.say("pack_sound", title=pack.title or pack_folder.name, **_counts(pack))


@app.command()
def diff(ctx: typer.Context, pack_folder: Folder) -> None:
    """What `apply` would change, field by field; asks the services, changes nothing."""
    run = session(ctx)
    plan = planning.make(run, _sound(run.screen, pack_folder))
    _stop_at(run.screen, plan.problems)
    _show(run, plan, "pack_differences")


@app.command()
def apply(
    ctx: typer.Context,
    pack_folder: Folder,
    reason: Annotated[str, typer.Option(help="why, for the rules' history; the pack's title when absent")] = "",
) -> None:
    """Sets the company up as the pack says. A second time changes nothing; what a pack does not mention stays."""
    run = session(ctx)
    plan = planning.make(run, _sound(run.screen, pack_folder))
    _stop_at(run.screen, plan.problems)
    title = plan.pack.title or pack_folder.name
    with run.screen.progress("pack_applying", len(plan.changes), what=title) as step:
        applying.apply(run, plan, reason or title, step)
    _stop_at(run.screen, plan.problems)
    _show(run, plan, "pack_applied")


@app.command()
def export(
    ctx: typer.Context,
    pack_folder: Annotated[Path, typer.Argument(file_okay=False, help="a folder that is not there yet, or empty")],
    title: Annotated[str, typer.Option(help="of the pack")] = "",
    people: Annotated[bool, typer.Option("--people/--no-people", help="with names, addresses and numbers")] = True,
) -> None:
    """Writes the company as it stands as a pack: whatever is not as built in."""
    run = session(ctx)
    written = exporting.export(run, pack_folder, title or pack_folder.name, people=people)
    if run.screen.as_json:
        run.screen.document({"folder": str(pack_folder), **asdict(written)})
        return
    counts = {name: value for name, value in asdict(written).items() if name != "apart"}
    run.screen.say("pack_exported", folder=pack_folder, **counts)
    if written.apart:
        run.screen.note("pack_not_exported", count=written.apart)


def _sound(screen: Screen, pack_folder: Path) -> Pack:
    """Ends the command where anything is wrong with the pack."""
    pack = folder.read(pack_folder)
    _stop_at(screen, checking.problems(pack))
    return pack


def _stop_at(screen: Screen, problems: list[Problem]) -> None:
    if not problems:
        return
    for problem in problems:
        sentence = problem.sentence(screen.words)
        if screen.as_json:
            told = {"file": problem.file, "line": problem.line, "where": problem.where, "problem": sentence}
            screen.line(told)
        else:
            where = f"{problem.where}: " if problem.where else ""
            screen.say("pack_problem", file=problem.file, line=problem.line, where=where, sentence=sentence)
    screen.say("pack_problems", count=len(problems))
    raise typer.Exit(failures.REFUSED)


def _show(run: Session, plan: Plan, closing: str) -> None:
    changes = [change for change in plan.changes if not change.same]
    figures = {
        "new": sum(change.new for change in changes),
        "changed": sum(not change.new for change in changes),
        "same": len(plan.changes) - len(changes),
    }
    if run.screen.as_json:
        run.screen.document({**figures, "changes": [asdict(change) for change in changes]})
    else:
        run.screen.table(_columns(run.screen), _lines(changes))
        run.screen.say(closing if changes or closing == "pack_applied" else "pack_no_difference", **figures)
    for name, version, time in plan.set_aside:
        run.screen.note("pack_set_aside", name=name, version=version, time=time)
    for one in plan.books:
        if one.later and closing == "pack_differences":
            run.screen.note("pack_later", name=one.change.name)


def _counts(pack: Pack) -> dict[str, int]:
    rows = (pack.units, pack.people, pack.products)
    documents = {row.document.name for among in rows for row in among} | {book.document.name for book in pack.books}
    counts = {"units": len(pack.units), "people": len(pack.people), "products": len(pack.products)}
    return {"files": len(documents), **counts, "books": len({book.document.name for book in pack.books})}


def _lines(changes: list[Change]) -> list[tuple[Change, Difference | None]]:
    return [(change, one) for change in changes for one in (change.fields or (None,))]


def _columns(screen: Screen) -> list[Column]:
    return [
        Column("pack_what", lambda line: screen.words(f"pack_{line[0].what}")),
        Column("name", lambda line: line[0].name),
        Column("field", lambda line: line[1].path if line[1] else screen.words("pack_new")),
        Column("before", lambda line: line[1].before if line[1] else ""),
        Column("after", lambda line: line[1].after if line[1] else ""),
        Column("pack_file", lambda line: line[0].file),
    ]
