"""A Dockerfile, read and carried out without an engine: the build stage's RUN and COPY steps in a folder of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, instruction: str) -> list[str]:
        return [argument for kind, argument in self.steps if kind == instruction]

    def exec_form(self, instruction: str) -> list[str]:
        [argument] = self.of(instruction)
        form: list[str] = json.loads(argument)
        return form


def read(path: Path) -> tuple[dict[str, str], list[Stage]]:
    """Arguments before the first FROM, and the stages."""
    text = re.sub(r"\\\n\s*", "", "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            base, _, name = argument.partition(" AS ")
            stages.append(Stage(base, name))
        elif not stages:
            assert instruction == "ARG"
            name, _, default = argument.partition("=")
            arguments[name] = default
        else:
            stages[-1].steps.append((instruction, argument))
    return arguments, stages


def carry_out(stage: Stage, context: Path, root: Path, arguments: dict[str, str], python: Path) -> None:
    """Runs the stage's steps as they stand; absolute paths of the image lie under `root`, `python` is its interpreter.

    Raises AssertionError with the output of a step that fails.
    """
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python").symlink_to(python)
    environment = {**os.environ, **arguments, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}
    # The image has no sources of ours on its path.
    environment.pop("PYTHONPATH", None)
    work = root
    for instruction, argument in stage.steps:
        match instruction:
            case "ENV":
                environment |= dict(pair.split("=", 1) for pair in argument.split())
            case "WORKDIR":
                work = root / argument.lstrip("/")
                work.mkdir(parents=True, exist_ok=True)
            case "COPY":
                source, target = argument.split()
                if source.endswith("/"):
                    left_out = (
                        ("__pycache__", "tests", "src") if source == "libs/contracts/" else ("__pycache__", "tests")
                    )
                    shutil.copytree(context / source, work / target, ignore=shutil.ignore_patterns(*left_out))
                else:
                    shutil.copy(context / source, work / target)
            case "RUN":
                command = re.sub(r"/opt/(tools|closedloop)\b", rf"{root}/opt/\1", argument)
                done = subprocess.run(
                    ["sh", "-ec", command], cwd=work, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{argument}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            case "ARG":
                pass
            case _:
                raise AssertionError(f"{instruction} is not known here")
