"""Where an attack is fought: a running platform, its callers, the records it is known to hold, and what was found."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any, Self

import grpc.aio

from closedloop.options.v1 import options_pb2
from closedloop_chassis import contract, packages
from closedloop_chassis.contract import Method
from closedloop_devstack.platform import Platform
from closedloop_proofs.fuzz.answers import Answer, judged
from closedloop_proofs.fuzz.records import Records, personal

ROLES = tuple(name.removeprefix("ROLE_").lower() for name in options_pb2.Role.keys()[1:])
# It would move the time of a platform that others may share.
MOVES_TIME = "closedloop.platform.v1.DevelopmentService.SetTime"
AT_ONCE = 12
# So many times in a row too late is no accident.
LATE = 3
# Longer than any deadline cap of a unary call: that it is kept is what we want to see.
PATIENCE_SECONDS = 60.0
STREAM_SECONDS = 1.0
SECRETS_KEPT = 5000


@dataclass(frozen=True, slots=True)
class Finding:
    """What was not as it should be; `payload` is the request in hex, where one request shows it."""

    attack: str
    where: str
    what: str
    payload: str = ""

    def __str__(self) -> str:
        shown = f"; the request was {self.payload[:400]}" if self.payload else ""
        return f"[{self.attack}] {self.where}: {self.what}{shown}"


@dataclass(frozen=True, slots=True)
class Target:
    """One RPC of one running service."""

    service: str
    method: Method

    def __str__(self) -> str:
        return f"{self.service} {self.method.full_name}"


@dataclass
class Ground:
    """Everything is drawn from `seed`. `secrets`: what no log may hold, what it is by what it says. `lived`: how long
    the logs were when the attacks began."""

    platform: Platform
    seed: int
    records: Records = field(default_factory=Records)
    codes: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    lived: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        # Drawn in the contract, not served by this release: the gate has answered once, more there is not.
        self.unserved: set[Target] = set()
        # Whose reach was put to the test: (RPC, role) to whether any answer told.
        self.reached: dict[tuple[str, str], bool] = {}
        self.measured: dict[str, float] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._tokens: dict[tuple[str, ...], str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    @property
    def services(self) -> tuple[str, ...]:
        return self.platform.options.services

    @cached_property
    def targets(self) -> list[Target]:
        """Every RPC of every service, the platform's own in each."""
        return [
            Target(service, method)
            for service in self.services
            for package in (f"closedloop.{service}.v1", packages.PLATFORM)
            for name in packages.services(package)
            for method in contract.methods(name)
        ]

    def draw(self, *what: object) -> Random:
        """Chance that depends on the seed and on what it is for, not on what was drawn before."""
        return Random(":".join(map(str, (self.seed, *what))))

    def token(self, person: str, *roles: str) -> str:
        key = (person, *roles)
        if key not in self._tokens:
            self._tokens[key] = self.platform.token(person, *roles)
        return self._tokens[key]

    @property
    def tokens(self) -> list[str]:
        """All that were used."""
        return list(self._tokens.values())

    def channel(self, service: str) -> grpc.aio.Channel:
        # A plain channel: ours would end the call at the cap by itself, and repeat what was refused.
        if service not in self._channels:
            options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
            self._channels[service] = grpc.aio.insecure_channel(self.platform.address(service), options=options)
        return self._channels[service]

    @property
    def served(self) -> list[Target]:
        """The RPCs that are worth more than one question, but for the one that moves time."""
        return [one for one in self.targets if one not in self.unserved and one.method.full_name != MOVES_TIME]

    async def ask(self, target: Target, payload: bytes, person: str, *roles: str) -> Answer:
        """What was not done in time is asked again: a question that takes too long does so each time, a machine that has
        much to do does not."""
        bearer = (("authorization", f"Bearer {self.token(person, *roles)}"),)
        late = 0
        for _ in range(50):
            answer = await self.ask_with(target, payload, bearer)
            late += answer.code == "DEADLINE_EXCEEDED"
            if answer.reason != "RATE_EXCEEDED" and not (answer.code == "DEADLINE_EXCEEDED" and late < LATE):
                break
            await asyncio.sleep(0.1)
        return answer

    async def ask_with(self, target: Target, payload: bytes, metadata: Any = ()) -> Answer:
        """The answer, judged against the contract: proper or not, in time or not."""
        method, channel = target.method, self.channel(target.service)
        async with self._turn:
            began = time.monotonic()
            try:
                if method.streams:
                    stream: Any = channel.unary_stream(method.path, *_BYTES)(
                        payload, timeout=PATIENCE_SECONDS, metadata=metadata
                    )
                    raw = await _first(stream)
                    stream.cancel()
                else:
                    call: Any = channel.unary_unary(method.path, *_BYTES)
                    raw = await call(payload, timeout=PATIENCE_SECONDS, metadata=metadata)
                error = None
            except grpc.aio.AioRpcError as refusal:
                raw, error = b"", refusal
            took = time.monotonic() - began
        answer = judged(target.service, method, payload, raw, error, took, busy())
        self.codes[answer.code] += 1
        if answer.code == "UNIMPLEMENTED":
            self.unserved.add(target)
        if took > self.slowest.get(method.full_name, 0.0):
            self.slowest[method.full_name] = took
        if answer.message is not None:
            self.records.learn(answer.message)
            if len(self.secrets) < SECRETS_KEPT:
                self.secrets.update((secret, what) for what, secret in personal(answer.message))
        return answer


def _same(value: bytes) -> bytes:
    return value


_BYTES = (_same, _same)


def busy() -> float:
    """How much slower than alone this machine may be now: waiting processes per core, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def _first(stream: Any) -> bytes:
    """A stream that has something to say, or nothing for a moment, was let in."""
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            async for message in stream:
                return bytes(message)
    except TimeoutError:
        pass
    return b""
