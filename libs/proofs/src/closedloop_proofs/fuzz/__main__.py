"""Behind `make fuzz`: a platform of its own, with a company in it that has lived through the whole story, is attacked.

Ends with status 0 only if nothing was found.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from closedloop_devstack.demo import play
from closedloop_devstack.demo.chapters import CHAPTERS
from closedloop_devstack.demo.narrator import Narrator
from closedloop_devstack.demo.stage import Stage
from closedloop_devstack.demo.tale import Step
from closedloop_devstack.platform.home import project
from closedloop_devstack.processes.owned import owned_folder
from closedloop_proofs.fuzz.campaign import Campaign
from closedloop_proofs.fuzz.ground import Ground

FOLDER = "closedloop-fuzz-"


def main(
    seconds: Annotated[float, typer.Option(min=0, help="for what could go on for ever; all else takes a minute")] = 240,
    seed: Annotated[int | None, typer.Option(help="a number drawn by chance when absent")] = None,
    only: Annotated[str, typer.Option(help="attacks by name, separated by commas")] = "",
    report: Annotated[Path | None, typer.Option(help="build/fuzz.json when absent")] = None,
) -> None:
    """Attacks a platform of its own."""
    chosen = seed if seed is not None else random.SystemRandom().randrange(10**6)
    target = report or project() / "build" / "fuzz.json"
    began = time.monotonic()
    print(f"seed {chosen}; again with: make fuzz SEED={chosen} SECONDS={seconds:g}")
    with owned_folder(FOLDER) as home, Console(file=(home / "story.txt").open("w")) as console:
        narrator = Narrator("en", console)
        with play.staged(home, narrator, 2026) as stage:
            play.tell(stage, narrator, [Step(chapter) for chapter in CHAPTERS])
            print(f"the stage is set ({time.monotonic() - began:.0f} s); it is attacked")
            findings = asyncio.run(_attack(stage, chosen, seconds, frozenset(filter(None, only.split(","))), target))
        if findings:
            kept = target.parent / "fuzz-logs"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(home / "logs", kept)
            print(f"the logs are kept in {kept}")
    print(f"{findings} findings, {time.monotonic() - began:.0f} s; all of it in {target}")
    raise typer.Exit(1 if findings else 0)


async def _attack(stage: Stage, seed: int, seconds: float, only: frozenset[str], target: Path) -> int:
    async with Ground(stage.platform, seed) as ground:
        campaign = Campaign(ground, stage.outside.webhook_secret, seconds, partial(print, flush=True))
        findings = await campaign.fight(only)
        campaign.write(target)
        return len(findings)


if __name__ == "__main__":
    typer.run(main)
