"""Where the wheels keep their executables."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from closedloop_devstack.errors import PlatformError


def folder_of(package: str, wheel: str) -> Path:
    """Found without importing: the package does things at import."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PlatformError(f"The wheel `{wheel}` is not installed; `make setup` installs it.")
    return Path(next(iter(spec.submodule_search_locations)))
