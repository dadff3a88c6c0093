"""The image, as far as it goes without an engine: its build stage is carried out, step by step, and what comes out runs."""

from __future__ import annotations

import ast
import ctypes
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from closedloop_operations.environment import SERVICES
from closedloop_targets import extrapolation
from closedloop_targets.extrapolation import Options

from . import dockerfile
from .charts import SOURCES

ROOT = SOURCES.parents[1]
FILE = ROOT / "deploy" / "docker" / "Dockerfile"
# What our layer may take, unpacked and as a registry keeps it, in MiB; docs/operate.md has what was measured, with a base.
# The libraries of forecasts (targets) are larger than everything else together.
MOST = {
    "targets": (325, 115), "customers": (112, 45), "funnel": (142, 50), "approvals": (105, 40), "integrations": (117, 45),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Built:
    """/opt/closedloop of the image of a service."""

    service: str
    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """In the image's environment, with nothing of ours on the path."""
        bare = {"PATH": f"{self.root / 'bin'}:/usr/bin:/bin"}
        program = [str(self.root / "bin" / command[0]), *command[1:]]
        return subprocess.run(program, env=bare, capture_output=True, text=True, check=False)

    def python(self, code: str) -> None:
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=SERVICES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    root = tmp_path_factory.mktemp("image")
    _, [build, _] = dockerfile.read(FILE)
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    dockerfile.carry_out(build, ROOT, root, {"SERVICE": request.param}, base)
    yield Built(request.param, root / "opt" / "closedloop")
    # Each is as large as it says.
    shutil.rmtree(root)


def test_the_file_keeps_its_promises() -> None:
    arguments, [build, final] = dockerfile.read(FILE)
    assert arguments == {"BASE": "docker.io/library/python:3.11-slim-bookworm"}
    assert build.base == final.base == "${BASE}"
    installs = [step for step in build.of("RUN") if " install " in step]
    assert installs
    for step in installs:
        assert "--require-hashes" in step or "--no-deps" in step, step
    assert not re.search(r"apt-get|apk |curl|wget|https?://", FILE.read_text().split("FROM", 1)[1])
    # Nothing is run in what is shipped, so nothing is left behind by it.
    assert not final.of("RUN")
    assert final.of("COPY") == ["--from=build /opt/closedloop /opt/closedloop"]
    assert final.of("USER") == ["10001:10001"]
    assert final.exec_form("ENTRYPOINT") == ["closedloop"]
    assert final.exec_form("CMD") == ["api"]
    [labels] = final.of("LABEL")
    for name in ("title", "description", "version", "revision", "created"):
        assert f"org.opencontainers.image.{name}=" in labels
    # Secrets have no place in what everybody can read.
    assert not re.search(r"(?i)secret|password|token", " ".join(final.of("ENV") + final.of("ARG")))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_asks_for_what_it_imports(service: str) -> None:
    """What its pyproject does not name is not in its image, though a developer's environment has it."""
    kept = _script("closure").wanted(f"closedloop-{service}")
    of_module = metadata.packages_distributions()
    lacking = set()
    for folder in (f"services/{service}/src", "libs/chassis/src"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in _imports(path):
                distributions = {_canonical(one) for one in of_module.get(name, ())}
                if distributions and not distributions & kept:
                    lacking.add(f"{path.relative_to(ROOT)}: {name}")
    assert not lacking, "\n".join(sorted(lacking))
    assert ("statsforecast" in kept) == (service == "targets")
    text = tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())
    assert text["project"]["scripts"] == {f"closedloop-{service}": f"closedloop_{service}.__main__:run"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_locks_serve_newer_pythons(version: str, tmp_path: Path) -> None:
    """Each package has a wheel for it among the hashes of its lock, and what it asks for there is locked too."""
    for lock in ("forecasts", "build"):
        platforms = [f"--platform=manylinux_2_{libc}_x86_64" for libc in (28, 27, 24, 17, 12, 5)]
        how = ["--dry-run", "--ignore-installed", "--require-hashes", "--only-binary=:all:", f"--target={tmp_path}"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", *how, *platforms, f"--python-version={version}",
             f"--requirement={ROOT / 'requirements' / lock}.lock"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{lock}: {done.stderr[-2000:]}"


def _script(name: str) -> Any:
    spec = spec_from_file_location(name, FILE.with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_user_is_that_of_the_charts() -> None:
    pod = (SOURCES / "library" / "templates" / "_pod.tpl").read_text()
    assert "runAsUser: 10001" in pod
    assert "runAsGroup: 10001" in pod


@pytest.mark.timeout(900)
def test_what_is_built_is_small_and_holds_no_tools(built: Built) -> None:
    size = sum(path.lstat().st_size for path in built.root.rglob("*") if path.is_symlink() or path.is_file()) / 2**20
    packed = len(subprocess.check_output(f"tar -C {built.root} -c . | gzip -6", shell=True)) / 2**20
    note = ROOT / "build" / "image.json"
    note.parent.mkdir(exist_ok=True)
    measured = json.loads(note.read_text()) if note.exists() else {}
    measured[built.service] = {"mebibytes": round(size), "packed": round(packed)}
    note.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    most, most_packed = MOST[built.service]
    assert size < most, measured
    assert packed < most_packed, measured
    binaries = {path.name for path in (built.root / "bin").iterdir()}
    assert not binaries & {"pip", "gcc", "cc", "ld", "make"}
    packages = {path.name for path in built.root.glob("lib/python*/site-packages/*")}
    assert not packages & {"pip", "setuptools", "pytest", "hatchling", "grpc_tools"}
    assert bool(packages & {"statsforecast", "numpy", "pandas", "scipy"}) == (built.service == "targets")
    # Its tables on clusters, which no forecast uses.
    assert not packages & {"pyarrow", "fugue"}
    assert {"closedloop", "closedloop_chassis", f"closedloop_{built.service}"} <= packages
    assert not packages & {f"closedloop_{other}" for other in (*SERVICES, "devstack") if other != built.service}
    assert not list(built.root.glob("lib/**/*.pyx")) + list(built.root.glob("lib/**/tests"))
    # A server that starts compiles nothing: its root is read-only.
    ours = built.root.glob("lib/python*/site-packages/closedloop_*")
    for path in (path for folder in ours for path in folder.rglob("*.py")):
        assert list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")), path


def test_it_says_what_it_is_made_of(built: Built) -> None:
    contents = json.loads((built.root / "sbom.json").read_text())
    assert contents["bomFormat"] == "CycloneDX"
    listed = {_canonical(part["name"]): part["version"] for part in contents["components"]}
    lock = (ROOT / "requirements" / ("forecasts.lock" if built.service == "targets" else "runtime.lock")).read_text()
    locked = {
        _canonical(name): version for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", lock, re.M)
    }
    ours = {name for name in listed if name.startswith("closedloop")}
    assert ours == {"closedloop-contracts", "closedloop-chassis", f"closedloop-{built.service}"}
    assert {name: locked[name] for name in listed.keys() - ours} == {
        name: listed[name] for name in listed.keys() - ours
    }
    assert {"grpcio", "nameko", "psycopg", "pydantic"} <= set(listed)
    # What other services ask for is theirs.
    assert ("pillow" in listed) == (built.service == "funnel")
    assert ("selectolax" in listed) == (built.service == "integrations")
    assert ("opencc" in listed) == (built.service == "customers")


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_built_runs(built: Built, database: Callable[[str], str]) -> None:
    """The entry point of the image, with nothing of ours on the path: it names what it lacks, it migrates and it asks."""
    done = built.run("closedloop", "api")
    assert done.returncode == 1
    assert "CLOSEDLOOP_DATABASE_URL" in done.stderr
    for process in ("api", "courier"):
        built.python(
            f"import sys; sys.argv = ['x', '{process}']; import closedloop_chassis.main, closedloop_chassis.{process}"
        )
    # Every module of ours finds what it imports, whenever it does.
    package = f"closedloop_{built.service}"
    built.python(
        f"import pkgutil, importlib, {package} as p\n"
        f"for found in pkgutil.walk_packages(p.__path__, '{package}.'):\n"
        "    if not found.name.endswith(('__main__', '.courier')): importlib.import_module(found.name)"
    )
    url = database(built.service)
    migrated = subprocess.run(
        [built.root / "bin" / "closedloop", "migrate"],
        env={"PATH": f"{built.root / 'bin'}:/usr/bin:/bin", "CLOSEDLOOP_DATABASE_URL": url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert migrated.stdout.rstrip().endswith("nothing to do"), migrated.stderr
    asked = built.run("python", "-m", "closedloop_chassis.ask", "127.0.0.1:1", "--seconds", "0.3")
    assert "does not serve" in asked.stderr


def test_figures_are_worked_out_with_what_is_left(built: Built) -> None:
    """As this checkout works them out with whole libraries: what is left out is missed by nobody."""
    figures = {"targets": _forecasts, "funnel": _estimates, "customers": _likeness, "integrations": _likeness}
    figures.get(built.service, lambda _: None)(built)


def _said(built: Built, code: str) -> str:
    done = built.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _forecasts(built: Built) -> None:
    options = Options(horizon=6, seasons=((12, 24), (4, 12)), level=0.8, folds=3, fold_months=3)
    # Theta and seasonal-naive, seasons of a year and of a quarter, what is flat, and what is too short.
    chance = random.Random(1)
    histories = [
        [100 + month + 20 * (month % 12 == 11) + chance.gauss(0, 5) for month in range(40)],
        [chance.gauss(100, 5) for _ in range(15)],
        [0.0] * 5 + [abs(chance.gauss(3, 5)) for _ in range(60)],
        [5.0] * 40,
        [1.0, 2.0],
    ]
    here = extrapolation.many(histories, options)
    assert {one if isinstance(one, str) else one.method for one in here} >= {"theta", "seasonal_naive", "naive"}
    code = f"from closedloop_targets.extrapolation import *; print(repr(many({histories}, {options})))"
    # The same library with the same numbers: to the last digit.
    assert _said(built, code) == repr(here)


def _estimates(built: Built) -> None:
    code = (
        "from closedloop_funnel import estimates, student\n"
        "ones, others = [3.0, 4.5, 6.0, 2.5, 7.0], [5.0, 9.0, 8.5, 7.5]\n"
        "told = [estimates.wilson(7, 20), student.detectable(20, 20, 0.8, 0.05), student.power(0.5, 64, 64, 0.05)]\n"
        "for one in (estimates.spread(ones, '1'), estimates.welch(ones, others, '1', 0.95), estimates.relative(ones, others),\n"
        "            estimates.difference(7, 20, 9, 30), estimates.correlation(ones, ones[::-1])):\n"
        "    told += [one.low, one.high, one.p_value]\n"
    )
    here: dict[str, Any] = {}
    exec(code, here)
    assert _said(built, code + "print(repr(told))") == repr(here["told"])


def _likeness(built: Built) -> None:
    """By the compiled ratios: what is left out has slower ones in its place."""
    code = (
        "from rapidfuzz import fuzz, process\n"
        "print(type(fuzz.ratio).__name__, process.extract('acme', ['acne', 'b'], scorer=fuzz.ratio))"
    )
    assert _said(built, code) == "cython_function_or_method [('acne', 75.0, 0), ('b', 0.0, 1)]"


def test_of_likeness_only_ratios_are_asked_for() -> None:
    """Other distances are left out of the images, where Python would work them out, slowly."""
    for path in ROOT.glob("services/*/src/**/*.py"):
        for line in re.findall(r"^\s*from rapidfuzz.*", path.read_text(), re.M):
            assert re.fullmatch(r"\s*from rapidfuzz import (fuzz|process)(, (fuzz|process))*", line), f"{path}: {line}"


def test_a_library_is_cut_behind_what_is_loaded_of_it(tmp_path: Path) -> None:
    """It still loads, from fewer bytes; what is no library stays as it is."""
    trim = _script("trim")
    source = Path(next(iter(metadata.files("uvloop") or ())).locate()).parents[1]
    library = next(source.glob("uvloop/loop.*.so"))
    copied = tmp_path / library.name
    shutil.copy(library, copied)
    trim.strip(copied)
    assert copied.stat().st_size < library.stat().st_size / 2
    once_more = copied.read_bytes()
    trim.strip(copied)
    assert copied.read_bytes() == once_more
    ctypes.CDLL(str(copied))
    text = tmp_path / "not_a_library.so"
    text.write_text("INPUT(libother.so)")
    trim.strip(text)
    assert text.read_text() == "INPUT(libother.so)"
