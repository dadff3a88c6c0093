"""Removes from an environment every package that the service does not ask for, however far down: a lock is for all five.

python closure.py closedloop-targets            (run by the environment's own interpreter)
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

# What a package asks for and the part of it that we use does without: statsforecast's tables on clusters, and with them
# Arrow (79 MiB). trim.py closes the door that leads there; test_image.py works forecasts out in what is left.
DONE_WITHOUT = {"statsforecast": {"cloudpickle", "fugue", "threadpoolctl", "tqdm"}}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(root: str) -> set[str]:
    """Names of everything `root` requires in this environment; extras count only where somebody asks for them."""
    installed = {canonical(found.metadata["Name"]): found for found in metadata.distributions()}
    reached: set[tuple[str, str]] = set()
    waiting = [(canonical(root), "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in reached or name not in installed:
            continue
        reached.add((name, extra))
        for line in installed[name].requires or ():
            requirement, _, marker = line.partition(";")
            of_extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
            if of_extra and canonical(of_extra[1]) != canonical(extra):
                continue
            match = re.match(r"\s*([\w.-]+)\s*(?:\[([\w.,\s-]*)\])?", requirement)
            assert match is not None, line
            if canonical(match[1]) in DONE_WITHOUT.get(name, ()):
                continue
            waiting += [(canonical(match[1]), part.strip()) for part in ("", *(match[2] or "").split(","))]
    return {name for name, _ in reached}


def remove(found: metadata.Distribution) -> None:
    # Read once: the list itself is one of the files.
    files = list(found.files or ())
    for file in files:
        Path(str(found.locate_file(file))).unlink(missing_ok=True)
    top = Path(str(found.locate_file("")))
    for folder in {file.parts[0] for file in files if len(file.parts) > 1 and file.parts[0] != ".."}:
        # What others have there too (google, opentelemetry) stays.
        if not any(path.is_file() for path in (top / folder).rglob("*") if path.suffix != ".pyc"):
            shutil.rmtree(top / folder, ignore_errors=True)


def main() -> None:
    keep = wanted(sys.argv[1])
    for found in list(metadata.distributions()):
        if canonical(found.metadata["Name"]) not in keep:
            remove(found)


if __name__ == "__main__":
    main()
