"""The events on offer: what the contract says is, in the order of their types."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from google.protobuf import message_factory
from google.protobuf.message import Message

from closedloop_chassis import contract
from closedloop_chassis.contract import EventRoute

OWNERS = ("targets", "customers", "funnel", "approvals", "integrations")


@cache
def offered() -> dict[str, tuple[EventRoute, type[Message]]]:
    """By type."""
    found = {}
    for owner in OWNERS:
        module = import_module(f"closedloop.{owner}.v1.events_pb2")
        for descriptor in module.DESCRIPTOR.message_types_by_name.values():
            message = message_factory.GetMessageClass(descriptor)
            try:
                route = contract.route(message)
            except LookupError:
                continue
            if route.offered_as:
                found[route.type] = (route, message)
    return dict(sorted(found.items()))
