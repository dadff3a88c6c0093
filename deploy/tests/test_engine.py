"""Images as an engine builds them, from Debian's Python 3.11 and 3.13, and a pod's whole life in them (`make images`)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop_devstack.servers import PostgresServer, RedisServer
from closedloop_operations.environment import SERVICES

from .charts import SOURCES, Charts
from .cluster import namespace, whole_life
from .engine import Engine, Image

ROOT = SOURCES.parents[1]
FILE = ROOT / "deploy" / "docker" / "Dockerfile"
# In bytes, all layers with the base: unpacked, and as a registry keeps it and a node pulls it. docs/operate.md says what makes
# two larger unpacked.
PROMISED = 250_000_000
MOST = {"funnel": 275_000_000, "targets": 470_000_000}
# Debian's releases by their Python. The newer one is tried with the smallest closure and with the largest.
BUILDS = [("bookworm", service) for service in SERVICES] + [("trixie", "approvals"), ("trixie", "targets")]
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(Path(os.environ.get("CLOSEDLOOP_IMAGES", ROOT / "build" / "images")))


@pytest.fixture(scope="module", params=BUILDS, ids="-".join)
def image(request: pytest.FixtureRequest, engine: Engine) -> Iterator[tuple[str, str, Image]]:
    suite, service = request.param
    with engine.opened(engine.build(FILE, ROOT, service, engine.base(suite))) as built:
        yield suite, service, built


@pytest.mark.timeout(1800)
def test_an_engine_builds_what_the_file_says(image: tuple[str, str, Image]) -> None:
    suite, service, built = image
    assert built.user == "10001:10001"
    assert built.entrypoint == ["closedloop"]
    assert built.labels["org.opencontainers.image.title"] == f"closedloop-{service}"
    note = ROOT / "build" / "images.json"
    measured = json.loads(note.read_text()) if note.exists() else {}
    measured[f"{suite} {service}"] = {"bytes": built.size, "packed": built.packed}
    note.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    assert built.size < MOST.get(service, PROMISED), measured
    assert built.packed < PROMISED, measured
    told = subprocess.run(
        ["chroot", "--userspec=10001:10001", str(built.root), "/opt/closedloop/bin/python", "--version"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told.startswith(f"Python {PYTHON[suite]}.")
    # What the build was lent has not stayed.
    assert not (built.root / "etc/pip.conf").exists() or not (built.root / "etc/pip.conf").stat().st_size
    assert not list((built.root / "src").glob("*"))
    writable = [
        path for path in (built.root / "opt").rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022
    ]
    assert not writable, "nobody but root may write there"


@pytest.mark.timeout(600)
def test_a_pod_lives_its_whole_life_in_it(
    image: tuple[str, str, Image],
    charts: Charts,
    postgres: PostgresServer,
    redis_server: RedisServer,
    session_folder: Path,
) -> None:
    """Read-only root, user 10001, /tmp of its own: empty database, migration, serving to gRPC's probes, SIGTERM."""
    _, service, built = image
    with namespace(charts, service, postgres, redis_server, session_folder, built) as cluster:
        whole_life(cluster)
