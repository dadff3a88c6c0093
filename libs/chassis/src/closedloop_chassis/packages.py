"""The gRPC services of a contract package, whether or not anybody has imported them yet."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

PLATFORM = "closedloop.platform.v1"
DEVELOPMENT = f"{PLATFORM}.DevelopmentService"


@cache
def services(package: str) -> tuple[str, ...]:
    """Full names, sorted. Raises LookupError for a package that no contract describes."""
    try:
        found = import_module(package)
    except ModuleNotFoundError as error:
        raise LookupError(f"no contract describes {package}") from error
    names: list[str] = []
    for module in pkgutil.iter_modules(found.__path__):
        if module.name.endswith("_pb2"):
            file = import_module(f"{package}.{module.name}").DESCRIPTOR
            names += [service.full_name for service in file.services_by_name.values()]
    return tuple(sorted(names))
