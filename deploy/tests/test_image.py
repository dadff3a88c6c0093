"""The image, as far as it goes without an engine: its build stage is carried out, step by step, and what comes out runs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from closedloop_operations.environment import SERVICES

from . import dockerfile
from .charts import SOURCES

ROOT = SOURCES.parents[1]
FILE = ROOT / "deploy" / "docker" / "Dockerfile"
# One of four that are alike; targets and funnel are larger by their statistics.
SERVICE = "approvals"
# What our layer may take, unpacked and as a registry keeps it.
MOST_MEBIBYTES, MOST_PACKED_MEBIBYTES = 180, 60


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt/closedloop of the image."""
    root = tmp_path_factory.mktemp("image")
    _, [build, _] = dockerfile.read(FILE)
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    dockerfile.carry_out(build, ROOT, root, {"SERVICE": SERVICE}, base)
    return root / "opt" / "closedloop"


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
    kept = _closure().wanted(f"closedloop-{service}")
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


def _closure() -> Any:
    spec = spec_from_file_location("closure", FILE.with_name("closure.py"))
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
def test_what_is_built_is_small_and_holds_no_tools(built: Path) -> None:
    size = int(subprocess.check_output(["du", "-sm", "--apparent-size", str(built)]).split()[0])
    packed = len(subprocess.check_output(f"tar -C {built} -c . | gzip -6", shell=True)) // 2**20
    (ROOT / "build").mkdir(exist_ok=True)
    measured = {"service": SERVICE, "mebibytes": size, "packed": packed}
    (ROOT / "build" / "image.json").write_text(json.dumps(measured) + "\n")
    assert size < MOST_MEBIBYTES, measured
    assert packed < MOST_PACKED_MEBIBYTES, measured
    binaries = {path.name for path in (built / "bin").iterdir()}
    assert not binaries & {"pip", "gcc", "cc", "ld", "make"}
    packages = {path.name for path in built.glob("lib/python*/site-packages/*")}
    assert not packages & {
        "pip",
        "setuptools",
        "pytest",
        "hatchling",
        "grpc_tools",
        "pandas",
        "statsforecast",
        "pyarrow",
        "scipy",
    }
    assert {"closedloop", "closedloop_chassis", f"closedloop_{SERVICE}"} <= packages
    assert not packages & {
        f"closedloop_{other}" for other in ("targets", "customers", "funnel", "integrations", "devstack")
    }


def test_it_says_what_it_is_made_of(built: Path) -> None:
    contents = json.loads((built / "sbom.json").read_text())
    assert contents["bomFormat"] == "CycloneDX"
    listed = {_canonical(part["name"]): part["version"] for part in contents["components"]}
    lock = (ROOT / "requirements" / "runtime.lock").read_text()
    locked = {
        _canonical(name): version for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", lock, re.M)
    }
    ours = {name for name in listed if name.startswith("closedloop")}
    assert ours == {"closedloop-contracts", "closedloop-chassis", f"closedloop-{SERVICE}"}
    assert {name: locked[name] for name in listed.keys() - ours} == {
        name: listed[name] for name in listed.keys() - ours
    }
    assert {"grpcio", "nameko", "psycopg", "pydantic"} <= set(listed)
    # What other services ask for is theirs.
    assert not {"pillow", "rapidfuzz", "selectolax", "opencc"} & set(listed)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_built_runs(built: Path) -> None:
    """The entry point of the image, with nothing of ours on the path: it names what it lacks, and it migrates and asks."""
    bare = {"PATH": f"{built / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run([built / "bin" / "closedloop", "api"], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CLOSEDLOOP_DATABASE_URL" in done.stderr
    for module in ("api", "courier", "data.migrations", "ask"):
        code = f"import sys; sys.argv = ['x', 'courier'] if '{module}' == 'courier' else ['x']; import closedloop_chassis.{module}"
        subprocess.run([built / "bin" / "python", "-c", code], env=bare, check=True)
    service = f"from closedloop_{SERVICE}.service import SERVICE; assert list(SERVICE.migrations.glob('*.sql')), 'no migrations'"
    subprocess.run([built / "bin" / "python", "-c", service], env=bare, check=True)
    asked = subprocess.run(
        [built / "bin" / "python", "-m", "closedloop_chassis.ask", "127.0.0.1:1", "--seconds", "0.3"],
        env=bare, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "does not serve" in asked.stderr
