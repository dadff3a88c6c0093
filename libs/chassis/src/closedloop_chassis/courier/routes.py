"""Which event types a service receives, read out of the contracts."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
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
    packages = {found.parts[-3] for root in closedloop.__path__ for found in Path(root).glob("*/v1/events_pb2.py")}
    for package in sorted(packages):
        yield importlib.import_module(f"closedloop.{package}.v1.events_pb2")
