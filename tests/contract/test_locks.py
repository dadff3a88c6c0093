"""What is installed is what is locked, and what is locked has a hash: nobody can slip another file under its name."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
# Those of `python -m venv`, and uv, which `make lock` brings for itself.
OF_THE_ENVIRONMENT = {"pip", "setuptools", "uv"}


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by canonical name."""
    found = {}
    text = re.sub(r"\\\n", " ", (REQUIREMENTS / name).read_text())
    for line in text.splitlines():
        line = line.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        said, *hashes = line.split("--hash=")
        requirement = Requirement(said.strip())
        [pin] = requirement.specifier
        assert pin.operator == "==", line
        found[canonicalize_name(requirement.name)] = (pin.version, [each.strip() for each in hashes])
    return found


@pytest.mark.parametrize(
    "name", ["runtime.lock", "dev.lock", "bench.lock", "audit.lock", "charts.lock", "forecasts.lock", "build.lock"]
)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    requirements = locked(name)
    assert len(requirements) > 20
    for requirement, (_, hashes) in requirements.items():
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize("name", ["runtime.lock", "dev.lock"])
def test_no_lock_names_the_address_of_a_package_server(name: str) -> None:
    text = (REQUIREMENTS / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)", text, re.M)


def test_charts_agree_with_dev() -> None:
    """They lie beside each other on one path: what both have must be the same."""
    charts, dev = locked("charts.lock"), locked("dev.lock")
    assert {name: pin for name, (pin, _) in charts.items() if name in dev} == {
        name: dev[name][0] for name in charts if name in dev
    }


def test_both_locks_agree() -> None:
    runtime, dev = locked("runtime.lock"), locked("dev.lock")
    assert {name: pin for name, (pin, _) in runtime.items()} == {name: dev[name][0] for name in runtime}, (
        "dev.lock is made of runtime.in too"
    )


def test_nothing_unlocked_is_installed() -> None:
    allowed = locked("dev.lock")
    strangers = []
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        if name in OF_THE_ENVIRONMENT or name.startswith("closedloop"):
            continue
        if name not in allowed or allowed[name][0] != distribution.version:
            strangers.append(f"{name} {distribution.version}")
    assert not strangers, f"installed and not as locked: {', '.join(sorted(strangers))}"
