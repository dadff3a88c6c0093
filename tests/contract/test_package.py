"""The package of contracts as an internal client takes it: the built wheel, its own dependencies, nothing else of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

from closedloop_devstack.platform.home import project

CLIENT = """
import grpc

from closedloop.targets.v1 import plans_pb2, plans_pb2_grpc


def name(address: str, plan: str) -> str:
    with grpc.insecure_channel(address) as channel:
        found = plans_pb2_grpc.PlanServiceStub(channel).GetPlan(plans_pb2.GetPlanRequest(plan_id=plan))
    reveal_type(found)
    return found.name
"""
WRONG = """
from closedloop.targets.v1 import plans_pb2

plans_pb2.GetPlanRequest(plan_number=7)
"""
IMPORT_ALL = """
import importlib, pathlib, sys
import closedloop.options.v1.options_pb2
(room,) = [pathlib.Path(path) / "closedloop" for path in sys.path if (pathlib.Path(path) / "closedloop").is_dir()]
names = [".".join(file.relative_to(room.parent).with_suffix("").parts) for file in sorted(room.rglob("*_pb2*.py"))]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_the_wheel_stands_alone_and_is_typed(tmp_path: Path) -> None:
    site = _clean_environment(tmp_path / "venv")
    wheel = _build(tmp_path)
    shutil.unpack_archive(wheel, site, "zip")
    for needed in _needed("closedloop-contracts"):
        _copy(needed, site)
    python = tmp_path / "venv" / "bin" / "python"
    imported = _run(tmp_path, python, "-I", "-c", IMPORT_ALL)
    assert (imported.returncode, imported.stderr) == (0, "")
    assert int(imported.stdout) > 100

    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "wrong.py").write_text(WRONG)
    # Stubs of protobuf and gRPC are what a client adds to check its types.
    for stubs in ("types-protobuf", "grpc-stubs"):
        _copy(distribution(stubs), site)
    checked = _run(
        tmp_path, sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--python-executable", python,
        "--cache-dir", tmp_path / "cache", "client.py", "wrong.py",
    )  # fmt: skip
    said = checked.stdout.splitlines()
    assert [line for line in said if "client.py" in line] == [
        'client.py:10: note: Revealed type is "closedloop.targets.v1.plans_pb2.Plan"'
    ], checked.stdout + checked.stderr
    assert [line for line in said if "error" in line and "wrong.py" in line], checked.stdout


def _build(folder: Path) -> Path:
    """Built away from the repository, as from a source distribution: others import what lies there."""
    room = folder / "contracts"
    shutil.copytree(project() / "libs/contracts", room, ignore=shutil.ignore_patterns("src", "tests", "__pycache__"))
    shutil.copytree(project() / "protos", room / "protos")
    built = _run(
        folder,
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        room,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("closedloop_contracts-*.whl")
    return wheel


def _clean_environment(at: Path) -> Path:
    venv.create(at, with_pip=False)
    (site,) = at.glob("lib/python3*/site-packages")
    return site


def _needed(name: str, seen: set[str] | None = None) -> Iterator[Distribution]:
    """What the package demands, and what that demands; extras are not asked for."""
    seen = {name} if seen is None else seen
    for line in requires(name) or ():
        demanded = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        if "extra ==" not in line and demanded not in seen:
            seen.add(demanded)
            yield distribution(demanded)
            yield from _needed(demanded, seen)


def _copy(installed: Distribution, site: Path) -> None:
    for file in installed.files or ():
        if ".." not in file.parts:
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), target)


def _run(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=240)
