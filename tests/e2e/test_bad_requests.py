"""Every RPC of the five running services, asked what nobody should ask: a proper refusal, whoever asks whatever."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.options.v1 import options_pb2
from closedloop_chassis import client, contract, packages
from closedloop_chassis.contract import Method
from closedloop_proofs.loop import Stage, say

from . import requests_out_of_contracts as made

ROLES = tuple(name.removeprefix("ROLE_").lower() for name in options_pb2.Role.keys()[1:])
PROPER = {
    "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION", "ABORTED", "ALREADY_EXISTS",
    "RESOURCE_EXHAUSTED", "UNIMPLEMENTED",
}  # fmt: skip
GARBAGE = b"\xff\xff\xff\xff"
AT_ONCE = 12
PLAUSIBLE_TRIES = 8
# It would move the time of the platform that all tests share.
MOVES_TIME = "closedloop.platform.v1.DevelopmentService.SetTime"

pytestmark = pytest.mark.timeout(240)


class Answer:
    """Code, ErrorInfo and field violations of one call; code "OK" where it was served."""

    def __init__(self, error: grpc.aio.AioRpcError | None = None, rejected: bool = False) -> None:
        self.code = error.code().name if error else "OK"
        self.words = (error.details() or "") if error else ""
        info = client.info(error) if error else None
        self.reason = info.reason if info else ""
        self.domain = info.domain if info else ""
        # A bulk call was served, and refused its rows one by one.
        self.rejected = rejected
        self.violations = bool(client.violations(error)) if error else False

    def fault(self, service: str, *, served: bool = False) -> str:
        """What is not proper about it; empty when all is."""
        if self.code == "OK":
            return "" if served or self.rejected else "was served"
        if self.code not in PROPER:
            return f"{self.code}: {self.words[:200]}"
        if "Traceback" in self.words or 'File "' in self.words:
            return "sends a traceback"
        if not self.reason or self.domain != f"closedloop.{service}":
            return f"{self.code} with ErrorInfo {self.reason!r} of {self.domain!r}"
        return ""


class Asker:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.methods = [
            (service, method)
            for service in stage.services
            for package in (f"closedloop.{service}.v1", packages.PLATFORM)
            for name in packages.services(package)
            for method in contract.methods(name)
        ]

    async def ask(self, service: str, method: Method, payload: bytes, *roles: str) -> Answer:
        metadata = self.stage.bearer("E-1" if roles == ("rep",) else "OPS-1", *roles) if roles else ()
        channel = self.stage.channel(service)
        async with self._turn:
            try:
                if method.streams:
                    stream: Any = channel.unary_stream(method.path, *_RAW)(payload, timeout=30, metadata=metadata)
                    await _first(stream)
                    stream.cancel()
                else:
                    raw = await channel.unary_unary(method.path, *_RAW)(payload, timeout=30, metadata=metadata)
                    return Answer(rejected=_all_rejected(method.response.FromString(raw)))
            except grpc.aio.AioRpcError as error:
                return Answer(error)
        return Answer()


def _same(value: bytes) -> bytes:
    return value


_RAW = (_same, _same)


def _all_rejected(answer: Any) -> bool:
    """A bulk answer that says so of every row; some carry their summary beside ids."""
    summary = answer.summary if "summary" in answer.DESCRIPTOR.fields_by_name else answer
    return isinstance(summary, BulkSummary) and summary.read == summary.rejected == len(summary.errors) > 0


async def _first(stream: AsyncIterator[bytes]) -> None:
    """A stream that has something to say, or nothing for a moment, was let in."""
    try:
        async with asyncio.timeout(1.0):
            async for _ in stream:
                return
    except TimeoutError:
        return


@pytest.fixture
def asker(over_redis: Stage) -> Asker:
    return Asker(over_redis)


async def test_without_a_token(asker: Asker) -> None:
    async def one(service: str, method: Method) -> str:
        answer = await asker.ask(service, method, b"")
        proper = answer.code == "UNAUTHENTICATED" and answer.reason
        return "" if proper else f"{service} {method.full_name}: {answer.code} {answer.reason}"

    await _none(one(service, method) for service, method in asker.methods)


async def test_every_role_against_the_declared_table(asker: Asker) -> None:
    """Garbage tells who is let in: those without a grant are denied before anybody reads what they sent."""

    async def one(service: str, method: Method, role: str) -> str:
        answer = await asker.ask(service, method, GARBAGE, role)
        granted = role in {name for name, _ in method.grants}
        expected = ("INVALID_ARGUMENT", "UNIMPLEMENTED") if granted else ("PERMISSION_DENIED",)
        proper = answer.code in expected and not answer.fault(service)
        return (
            "" if proper else f"{service} {method.full_name} for {role}: {answer.code} {answer.reason} {answer.words}"
        )

    await _none(one(service, method, role) for service, method in asker.methods for role in ROLES)


async def test_empty_requests(asker: Asker) -> None:
    async def one(service: str, method: Method) -> str:
        answer = await asker.ask(service, method, b"", *ROLES)
        fault = answer.fault(service, served=not method.mutates)
        if not fault and answer.code == "INVALID_ARGUMENT" and method.mutates and not answer.violations:
            fault = "names no field"
        return f"{service} {method.full_name}: {fault}" if fault else ""

    await _none(one(service, method) for service, method in asker.methods)


async def test_hostile_requests(asker: Asker) -> None:
    async def one(service: str, method: Method, name: str, payload: bytes) -> str:
        answer = await asker.ask(service, method, payload, *ROLES)
        # A request without fields, or with flags alone, has nothing to spoil.
        fault = answer.fault(service, served=not method.mutates)
        return f"{service} {method.full_name} ({name}): {fault}" if fault else ""

    await _none(
        one(service, method, name, message.SerializeToString())
        for service, method in asker.methods
        for name, message in made.hostile(method.request)
    )


async def test_plausible_requests_about_nothing(asker: Asker) -> None:
    """They pass the declared rules, so that the slices themselves must know what to say."""
    # A seed of its own choice finds new faults; the usual one keeps a run repeatable.
    seed = int(os.environ.get("CLOSEDLOOP_FUZZ_SEED", "20260105"))
    say(f"requests of seed {seed}")
    codes: Counter[str] = Counter()

    async def one(service: str, method: Method, payload: bytes) -> str:
        answer = await asker.ask(service, method, payload, *ROLES)
        codes[answer.code] += 1
        fault = answer.fault(service, served=True)
        return f"{service} {method.full_name}: {fault}; the request was {payload.hex()[:400]}" if fault else ""

    draw = random.Random(seed)
    await _none(
        one(service, method, made.plausible(method.request, draw).SerializeToString())
        for service, method in asker.methods
        if method.full_name != MOVES_TIME
        for _ in range(PLAUSIBLE_TRIES)
    )
    say(dict(codes))
    # Not all of them may have stopped at the door.
    assert sum(codes[code] for code in ("OK", "NOT_FOUND", "FAILED_PRECONDITION")) > 50


async def test_violations_name_their_fields(asker: Asker) -> None:
    """BadRequest names each wrong field by its path."""
    [(service, method)] = [
        (service, method) for service, method in asker.methods if method.full_name.endswith(".LeadService.IntakeLead")
    ]
    payload = next(iter(made.hostile(method.request)))[1].SerializeToString()
    channel = asker.stage.channel(service)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_unary(method.path, *_RAW)(payload, metadata=asker.stage.bearer("OPS-1", *ROLES))
    fields = client.violations(refused.value)
    assert "profile.company_name" in fields
    assert BadRequest.DESCRIPTOR.full_name in {any_.TypeName() for any_ in client.status(refused.value).details}


async def _none(checks: Iterable[Any]) -> None:
    faults = [line for line in await asyncio.gather(*checks) if line]
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:60])
