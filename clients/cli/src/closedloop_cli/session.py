"""One run of a command: its connection, its screen, its calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, cast

import grpc
import grpc.aio
import typer
from google.protobuf.message import Message

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import org_pb2, org_pb2_grpc
from closedloop_chassis import client
from closedloop_cli import connection
from closedloop_cli.connection import Choices, Connection
from closedloop_cli.failures import Failure
from closedloop_cli.screen import Screen
from closedloop_cli.words import Words

Stub = TypeVar("Stub")
Answer = TypeVar("Answer")
LARGEST_PAGE = 1000
# Nothing was done: a deadlock was lost, a server is full or leaving. The same request may be sent again.
NOTHING_DONE = frozenset({"CONFLICT", "OVERLOADED", "RATE_EXCEEDED", "DRAINING"})
INSIST_SECONDS = 60.0


class Session:
    """Calls look synchronous here: a command does one thing after the other. Connects at the first call."""

    def __init__(self, choices: Choices, screen: Screen) -> None:
        self.screen = screen
        self.choices = choices
        self._found: Connection | None = None
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._runner = asyncio.Runner()
        # Of services asked together with others.
        self.failed: list[Failure] = []

    @property
    def words(self) -> Words:
        return self.screen.words

    @property
    def connection(self) -> Connection:
        if self._found is None:
            self._found = connection.find(self.choices)
            if self.choices.person and not self.choices.roles:
                peers, authority = self._found.peers, self._found.authority
                token = connection.minted(self.choices.person, self.roles_of(self.choices.person))
                self._found = Connection(peers, token, authority)
        return self._found

    def stub(self, service: str, make: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """`session.stub("customers", LeadServiceStub)`"""
        # Found before the loop runs, since finding may itself take a call.
        _ = self.connection
        return self.run(self._stub(service, make))

    def call(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """Raises grpc.aio.AioRpcError; the deadline is the contract's. What only reads is asked once more where it ran out."""
        token = self.connection.token
        try:
            return self.run(self._call(method, request, token))
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED or "request_id" in request.DESCRIPTOR.fields_by_name:
                raise
        return self.run(self._call(method, request, token))

    def insist(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """`call`, again and again for a minute where nothing was done; for long work that others disturb."""
        give_up, pause = time.monotonic() + INSIST_SECONDS, 0.1
        while True:
            try:
                return self.call(method, request)
            except grpc.aio.AioRpcError as error:
                if client.info(error).reason not in NOTHING_DONE or time.monotonic() > give_up:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 3.0)

    def run(self, work: Awaitable[Answer]) -> Answer:
        async def all_of_it() -> Answer:
            return await work

        return self._runner.run(all_of_it())

    def pages(self, method: Callable[..., Awaitable[Any]], request: Any, field: str, limit: int = 0) -> Iterator[Any]:
        """Records of a list, page by page; `limit` 0 is all of them. Where there are more, a remark says so."""
        given = 0
        while True:
            request.page_size = min(limit - given, LARGEST_PAGE) if limit else LARGEST_PAGE
            answer = self.call(method, request)
            found = list(getattr(answer, field))
            yield from found
            given += len(found)
            if not answer.next_page_token:
                return
            if limit and given >= limit:
                self.screen.note("list_cut", count=given)
                return
            request.page_token = answer.next_page_token

    def roles_of(self, person: str) -> tuple[str, ...]:
        """Those the organisation has for the person; on a development machine, where we may look as anybody."""
        peers, authority = self.choices.peers, self.choices.authority
        found = connection.find(Choices(peers, person=connection.OPERATOR, roles=("operations",), authority=authority))
        before, self._found = self._found, found
        try:
            org = self.stub("targets", org_pb2_grpc.OrgServiceStub)
            answer = self.call(org.GetPerson, org_pb2.GetPersonRequest(person_id=person))
        finally:
            self._found = before
        return tuple(options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in answer.roles)

    def channel(self, service: str) -> grpc.aio.Channel:
        """To be used inside the event loop."""
        if service not in self._channels:
            authority = self.connection.authority
            credentials = grpc.ssl_channel_credentials(authority.read_bytes()) if authority else None
            target = self.connection.target(service)
            self._channels[service] = client.channel(target, f"closedloop.{service}.v1", credentials=credentials)
        return self._channels[service]

    def close(self) -> None:
        for channel in self._channels.values():
            self.run(channel.close(None))
        self._runner.close()

    async def _stub(self, service: str, make: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        return make(self.channel(service))

    async def _call(self, method: Callable[..., Awaitable[Answer]], request: Message, token: str) -> Answer:
        return await method(request, metadata=(("authorization", f"Bearer {token}"),))


def session(ctx: typer.Context) -> Session:
    """The session of this run, made by the root command."""
    return cast(Session, ctx.find_root().obj)
