"""What a service is made of.

A service is a name, a list of slices and a folder of migrations. A slice is a capability: RPC handlers (`Rpcs`),
reactions to events and clocks (`Reactions`), and the rulebooks it reads (`Rules`). Every service has one module
`service.py` that puts its slices together and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from closedloop_chassis import contract

if TYPE_CHECKING:
    from closedloop_chassis.clocks.due import Due, Rung
    from closedloop_chassis.figures.declared import Figures
    from closedloop_chassis.rulebook.rules import Rules
    from closedloop_chassis.work import Call, Heard, Work

Told = TypeVar("Told", bound=Message)

# Bytes are a message that is encoded already.
RpcHandler = Callable[[Any, "Call"], Awaitable[Message | bytes]]
StreamHandler = Callable[[Any, "Call"], AsyncIterator[Message]]
EventHandler = Callable[["Heard[Any]", "Work"], Awaitable[None]]
EventsHandler = Callable[["Sequence[Heard[Any]]", "Work"], Awaitable[None]]
ClockHandler = Callable[["list[Due]", "Work"], Awaitable[None]]
TimerHandler = Callable[["list[Rung]", "Work"], Awaitable[None]]

RpcFunction = TypeVar("RpcFunction", bound=RpcHandler)
StreamFunction = TypeVar("StreamFunction", bound=StreamHandler)
EventFunction = TypeVar("EventFunction", bound=EventHandler)
EventsFunction = TypeVar("EventsFunction", bound=EventsHandler)
ClockFunction = TypeVar("ClockFunction", bound=ClockHandler)
TimerFunction = TypeVar("TimerFunction", bound=TimerHandler)


class Rpcs:
    """The handlers of one gRPC service; a function `publish_plan` serves the RPC `PublishPlan`."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.unary: dict[str, RpcHandler] = {}
        self.streams: dict[str, StreamHandler] = {}
        self._known = {method.name: method for method in contract.methods(service)}

    def method(self, function: RpcFunction) -> RpcFunction:
        self.unary[self._rpc(function.__name__, streams=False)] = function
        return function

    def stream(self, function: StreamFunction) -> StreamFunction:
        self.streams[self._rpc(function.__name__, streams=True)] = function
        return function

    def _rpc(self, name: str, *, streams: bool) -> str:
        rpc = re.sub(r"(?:^|_)([a-z0-9])", lambda match: match[1].upper(), name)
        if rpc not in self._known or self._known[rpc].streams is not streams:
            raise LookupError(f"{self.service} has no {'streaming ' if streams else ''}RPC {rpc}")
        return rpc


@dataclass(frozen=True, slots=True)
class Single:
    """A reaction to one event."""

    function: EventHandler


@dataclass(frozen=True, slots=True)
class Batch:
    """A reaction to all events of its type that are applied together."""

    function: EventsHandler


Reaction = Single | Batch


class Reactions:
    """What a slice does when something happened elsewhere, or when time is up."""

    def __init__(self) -> None:
        self.events: dict[str, tuple[type[Message], list[Reaction]]] = {}
        self.clocks: dict[str, ClockHandler] = {}
        self.timers: dict[str, TimerHandler] = {}

    def on(self, message: type[Message]) -> Callable[[EventFunction], EventFunction]:
        """The decorated `async (event: Heard[message], work)` runs once per event, in one transaction with its effects."""

        def register(function: EventFunction) -> EventFunction:
            self._register(message, Single(function))
            return function

        return register

    def batch(self, message: type[Message]) -> Callable[[EventsFunction], EventsFunction]:
        """The decorated `async (events: Sequence[Heard[message]], work)` gets many events at once, in one transaction
        with their effects: write set-based SQL. Events of one subject stand in their order and may be several; a batch
        that raises is applied again in halves, down to the guilty event alone."""

        def register(function: EventsFunction) -> EventsFunction:
            self._register(message, Batch(function))
            return function

        return register

    def _register(self, message: type[Message], reaction: Reaction) -> None:
        self.events.setdefault(contract.route(message).type, (message, []))[1].append(reaction)

    def clock(self, kind: str) -> Callable[[ClockFunction], ClockFunction]:
        """The decorated `async (due: list[Due], work)` gets all due clocks of the kind of one sweep: write set-based SQL."""

        def register(function: ClockFunction) -> ClockFunction:
            if kind in self.clocks:
                raise LookupError(f"two handlers for clock {kind}")
            self.clocks[kind] = function
            return function

        return register

    def timer(self, kind: str) -> Callable[[TimerFunction], TimerFunction]:
        """The decorated `async (rung: list[Rung], work)` gets all timers of the kind that ring in one sweep."""

        def register(function: TimerFunction) -> TimerFunction:
            if kind in self.timers:
                raise LookupError(f"two handlers for timer {kind}")
            self.timers[kind] = function
            return function

        return register


@dataclass(frozen=True)
class Slice:
    """One capability of a service; `figures` are what it shows, for the catalogue of metrics."""

    name: str
    rpcs: tuple[Rpcs, ...] = ()
    reactions: Reactions = field(default_factory=Reactions)
    rules: tuple[type[Rules], ...] = ()
    figures: Figures | None = None


@dataclass(frozen=True)
class Service:
    """One deployable service.

    `package` is the contract's ("closedloop.targets.v1"): every gRPC service of it is served, and an RPC no slice
    handles answers UNIMPLEMENTED. A module `courier` beside it, never imported by the api, has the PARTS its courier
    runs besides carrying events: pollers, webhooks, deliveries.
    """

    name: str
    package: str
    slices: tuple[Slice, ...]
    migrations: Path
