"""Where the story is played: the running platform, reached through its public contract alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

import grpc

from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import client, ids, protos
from closedloop_devstack.demo.company import Company
from closedloop_devstack.demo.outside import Outside
from closedloop_devstack.demo.watch import Watch
from closedloop_devstack.platform import Platform

Stub = TypeVar("Stub")
Found = TypeVar("Found")

# How long an outcome may take that follows by itself, through events, clocks and pollers.
# What is there is shown at once; a busy machine may take its time.
PATIENCE_SECONDS = 100.0
LOOK_EVERY_SECONDS = 0.15
CALL_SECONDS = 30.0
ADMIN, OPERATIONS, PROGRAM = "admin", "OPS-1", "integration:website"
OUTSIDERS = {ADMIN: ("admin", "auditor"), PROGRAM: ("integration",)}


class Unverified(Exception):
    """What the story said would happen cannot be read back."""


@dataclass
class Refusal:
    """How a call was refused; filled when the block of `refused` ends."""

    code: str = ""
    reason: str = ""
    message: str = ""
    metadata: dict[str, str] | None = None


class Stage:
    """Callers are people of the company, `ADMIN` or the outside `PROGRAM`; roles follow from who they are."""

    def __init__(self, platform: Platform, outside: Outside, company: Company, watch: Watch) -> None:
        self.company = company
        self.outside = outside
        self.platform = platform
        self._watch = watch
        self._channels: dict[tuple[str, str], grpc.Channel] = {}

    @property
    def now(self) -> datetime:
        return self._watch.now()

    def stub(self, make: Callable[[grpc.Channel], Stub], person: str, service: str = "") -> Stub:
        """`stage.stub(PlanServiceStub, "OPS-1")`; the service follows from the stub, except for the platform's own."""
        service = service or make.__module__.split(".")[1]
        if (service, person) not in self._channels:
            roles = OUTSIDERS.get(person) or self.company.person[person].roles
            bearer = _Bearer(self.platform.token(person, *roles))
            channel = grpc.insecure_channel(self.platform.address(service))
            self._channels[service, person] = grpc.intercept_channel(channel, bearer)
        return make(self._channels[service, person])

    def move_to(self, moment: datetime) -> None:
        """All five services and the outside at that moment, which lies ahead."""
        for service in self.services:
            development = self.stub(platform_pb2_grpc.DevelopmentServiceStub, ADMIN, service)
            development.SetTime(platform_pb2.SetTimeRequest(request_id=ids.new_id(), time=protos.timestamp(moment)))
        self._watch.set(moment)

    def later(self, **span: float) -> None:
        """`later(minutes=5)`: `move_to` from the present."""
        self.move_to(self.now + timedelta(**span))

    def settle(self) -> None:
        """Until every service has told and applied all its events. Raises Unverified."""
        self.until("all events to arrive", lambda: all(self.backlog(service) == 0 for service in self.services))

    def backlog(self, service: str) -> int:
        events = self.stub(platform_pb2_grpc.EventServiceStub, OPERATIONS, service)
        found = events.GetEventBacklog(platform_pb2.GetEventBacklogRequest())
        return int(found.outbox + found.inbox)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(process.service for process in self.platform.processes.values()))

    def until(
        self,
        what: str,
        ask: Callable[[], Found | None],
        seconds: float = PATIENCE_SECONDS,
        seen: Callable[[], str] = lambda: "",
    ) -> Found:
        """The first answer that is not None or empty. Raises Unverified, with what was `seen`, when none comes in time."""
        give_up = time.monotonic() + seconds
        refusal = ""
        while True:
            try:
                if found := ask():
                    return found
                refusal = ""
            except grpc.RpcError as error:
                # A record that is still on its way is not found yet.
                if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                    raise
                refusal = f" ({error.details()})"
            if time.monotonic() > give_up:
                raise Unverified(
                    f"waited {seconds:.0f} s for {what}{refusal}{f'; last seen: {seen()}' if seen() else ''}"
                )
            time.sleep(LOOK_EVERY_SECONDS)

    @contextmanager
    def refused(self, code: str, *reasons: str) -> Iterator[Refusal]:
        """The block must end in this gRPC code and, if any are named, one of these `ErrorInfo.reason`."""
        refusal = Refusal()
        try:
            yield refusal
        except grpc.RpcError as error:
            info = client.info(cast(Any, error))
            refusal.code, refusal.reason = error.code().name, info.reason
            refusal.message, refusal.metadata = error.details() or "", dict(info.metadata)
            if refusal.code != code or (reasons and refusal.reason not in reasons):
                raise
            return
        raise Unverified(f"this should have been refused with {code} {'/'.join(reasons)}")

    def clocks(self, service: str, kind: str, subject: str) -> list[platform_pb2.Clock]:
        """Clocks of a record, the one that fell due first in front."""
        asked = platform_pb2.ListClocksRequest(kind=kind, subject=subject)
        return list(self.stub(platform_pb2_grpc.ClockServiceStub, OPERATIONS, service).ListClocks(asked).clocks)

    def rulebook_version(self, service: str, name: str) -> int:
        rulebooks = self.stub(platform_pb2_grpc.RulebookServiceStub, OPERATIONS, service)
        return int(rulebooks.GetRulebook(platform_pb2.GetRulebookRequest(name=name)).version)

    def doors(self) -> list[str]:
        """Where everything answers, and an administrator's token, in lines."""
        services = [f"{service:<14}{self.platform.address(service)}" for service in self.services]
        outside = [f"{type(server).__name__:<16}{server.url}" for server in self.outside.servers]
        return [*services, *outside, f"export CLOSEDLOOP_TOKEN={self.platform.token(ADMIN, *OUTSIDERS[ADMIN])}"]

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    """Every call carries the caller's token and ends in time."""

    def __init__(self, token: str) -> None:
        self._authorization = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = (*(details.metadata or ()), self._authorization)
        sent = _Details(details.method, details.timeout or CALL_SECONDS, metadata)
        return continuation(sent, request)


@dataclass
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float
    metadata: tuple[tuple[str, str | bytes], ...]
    credentials: None = None
    wait_for_ready: bool = True
    compression: None = None
