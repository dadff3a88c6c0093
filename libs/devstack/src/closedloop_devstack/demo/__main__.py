"""Behind `make demo`. Ends with status 0 only if every step was verified by reading it back through the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from closedloop_devstack.demo.narrator import Language, language_of_environment
from closedloop_devstack.demo.play import perform


def main(
    keep: Annotated[bool, typer.Option("--keep", help="leave the platform up after the story, until Ctrl-C")] = False,
    lang: Annotated[Language | None, typer.Option("--lang", help="zh or en; by LANG when absent")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="where the facts go; build/demo.json when absent")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="another company")] = 2026,
) -> None:
    """One whole turn of the loop on the real platform, told as a story."""
    raise typer.Exit(perform(language=lang or language_of_environment(), keep=keep, report=report, seed=seed))


if __name__ == "__main__":
    typer.run(main)
