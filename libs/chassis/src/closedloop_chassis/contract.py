"""Reads what the contracts declare: the rule of every RPC, the route of every event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from closedloop.options.v1 import options_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC as its contract declares it."""

    service: str
    name: str
    path: str
    request: type[Message]
    response: type[Message]
    streams: bool
    grants: tuple[tuple[str, str], ...]
    mutates: bool
    deadline: float
    latency_p99: float
    availability: float

    @property
    def full_name(self) -> str:
        return f"{self.service}.{self.name}"


@dataclass(frozen=True, slots=True)
class EventRoute:
    """Where an event goes: its CloudEvents type and who receives it; `offered_as` is what it tells subscribers outside,
    empty where they cannot have it."""

    type: str
    consumers: tuple[str, ...]
    offered_as: str = ""

    @property
    def owner(self) -> str:
        """The service in whose contract it stands."""
        return self.type.split(".")[1]

    def may_come_from(self, source: str) -> bool:
        """What a service tells others, nobody else may tell, and what is offered outside is such a fact; what is addressed
        to its owner anybody may say, each in their own name (a request for approval, an observation from outside)."""
        return (self.owner in self.consumers and not self.offered_as) or source == self.owner


def method(descriptor: MethodDescriptor) -> Method:
    """Raises LookupError where the contract lacks its rule."""
    options = descriptor.GetOptions()
    if not options.HasExtension(options_pb2.rule):
        raise LookupError(f"{descriptor.full_name} declares no (closedloop.options.v1.rule)")
    rule = options.Extensions[options_pb2.rule]
    return Method(
        service=descriptor.containing_service.full_name,
        name=descriptor.name,
        path=f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        request=message_factory.GetMessageClass(descriptor.input_type),
        response=message_factory.GetMessageClass(descriptor.output_type),
        streams=bool(descriptor.server_streaming),
        grants=tuple(
            (
                options_pb2.Role.Name(grant.role).removeprefix("ROLE_").lower(),
                options_pb2.Reach.Name(grant.reach).removeprefix("REACH_").lower(),
            )
            for grant in rule.grants
        ),
        mutates=rule.mutates,
        deadline=rule.deadline_ms / 1000,
        latency_p99=rule.slo.latency_p99_ms / 1000,
        availability=rule.slo.availability_bp / 10_000,
    )


def service(full_name: str) -> ServiceDescriptor:
    """The gRPC service of that name; its generated module must have been imported."""
    return descriptor_pool.Default().FindServiceByName(full_name)


def methods(full_name: str) -> Iterator[Method]:
    for descriptor in service(full_name).methods:
        yield method(descriptor)


_routes: dict[str, EventRoute] = {}


def route(message: type[Message]) -> EventRoute:
    """Raises LookupError for a message that is not an event."""
    name = message.DESCRIPTOR.full_name
    if name not in _routes:
        _routes[name] = _route(message)
    return _routes[name]


def _route(message: type[Message]) -> EventRoute:
    options = message.DESCRIPTOR.GetOptions()
    if not options.HasExtension(options_pb2.event):
        raise LookupError(f"{message.DESCRIPTOR.full_name} declares no (closedloop.options.v1.event)")
    event = options.Extensions[options_pb2.event]
    return EventRoute(event.type, tuple(event.consumers), event.offered_as)


def is_personal(field: FieldDescriptor) -> bool:
    options: Any = field.GetOptions()
    return bool(options.Extensions[options_pb2.personal])
