"""What a process does not need it does not load: ten of them start together on one machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

API = "import closedloop_chassis.settings, closedloop_chassis.api, closedloop_chassis.org.copy"
COURIER = "import closedloop_chassis.settings, closedloop_chassis.courier.nameko_app"
LOAD = """
import sys
from closedloop_chassis import main
main._without_rich()
{imports}
print(*sorted({{name for name in sys.modules if sys.modules[name] is not None}} & set(sys.argv[2:])))
"""
SPARED = ("rich", "redis", "alembic", "requests", "opentelemetry.sdk.trace", "opentelemetry.sdk.metrics")


@pytest.mark.parametrize(
    ("role", "imports", "spared"),
    [("api", API, (*SPARED, "eventlet", "nameko")), ("courier", COURIER, (*SPARED, "grpc", "dns", "cryptography"))],
)
def test_a_process_loads_only_what_it_uses(role: str, imports: str, spared: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", LOAD.format(imports=imports), role, *spared]
    environment = {**os.environ, "EVENTLET_NO_GREENDNS": "yes"}
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (loaded.stdout.split(), loaded.stderr, loaded.returncode) == ([], "", 0)
