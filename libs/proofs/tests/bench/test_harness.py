"""The harness measures a real server, by a real load generator, within seconds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from closedloop_proofs.bench import limits
from closedloop_proofs.bench.ground import ground
from closedloop_proofs.bench.load import LoadFailed, Pressure, framed, h2load, watched
from closedloop_proofs.bench.tools import HOW_TO_GET


def test_a_bare_server_is_measured_and_nothing_is_left_running(tmp_path: Path) -> None:
    if shutil.which("h2load") is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET)
        pytest.skip(HOW_TO_GET)
    body = tmp_path / "body"
    body.write_bytes(framed(b"x" * 100))
    pressure = Pressure(callers=4, seconds=1.0)
    with ground(lambda _: None) as standing:
        with standing.limit(limits.database(standing.postgres.url)) as limit:
            found = watched(
                [limit.pid],
                lambda: h2load(limit.address, f"/{limits.SERVICE}/Insert", body, pressure, tmp_path),
            )
            assert found.calls > 10
            assert 0 < found.median_ms <= found.p99_ms
            assert found.cpu_us > 0
            address = limit.address
        with pytest.raises(LoadFailed):
            h2load(address, f"/{limits.SERVICE}/Echo", body, Pressure(callers=1, seconds=0.5), tmp_path)
        folder = standing.folder
    assert not folder.exists()
