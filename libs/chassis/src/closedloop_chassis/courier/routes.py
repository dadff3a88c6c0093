"""Which event types a service receives, read out of the contracts."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from closedloop.options.v1 import options_pb2


def consumed_types(service: str) -> frozenset[str]:
    """CloudEvents types of every event message that names `service` among its consumers."""
    return frozenset(event.type for event in _events() if service in event.consumers)


def _events() -> Iterator[Any]:
    for module in _event_modules():
        for message in module.DESCRIPTOR.message_types_by_name.values():
            options = message.GetOptions()
            if options.HasExtension(options_pb2.event):
                yield options.Extensions[options_pb2.event]


def _event_modules() -> Iterator[Any]:
    import closedloop

    # Only these modules: their neighbours may come with grpcio.
    for package in pkgutil.iter_modules(closedloop.__path__):
        try:
            yield importlib.import_module(f"closedloop.{package.name}.v1.events_pb2")
        except ModuleNotFoundError as missing:
            if not (missing.name or "").startswith(f"closedloop.{package.name}.v1"):
                raise
