"""A development token of any person, signed with the key of the platform on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop_cli import connection
from closedloop_cli.session import session


def token(
    ctx: typer.Context,
    person: Annotated[str, typer.Argument(help="the person's code")] = connection.OPERATOR,
    hours: Annotated[float, typer.Option(min=0.01, help="how long it holds")] = 12.0,
) -> None:
    """Prints a token of a person; roles by --roles. For development machines."""
    run = session(ctx)
    roles = run.choices.roles or (connection.OPERATOR_ROLES if person == connection.OPERATOR else ())
    made = connection.minted(person, roles or run.roles_of(person), hours)
    if run.screen.as_json:
        run.screen.document({"person": person, "token": made})
    else:
        run.screen.raw(made)
