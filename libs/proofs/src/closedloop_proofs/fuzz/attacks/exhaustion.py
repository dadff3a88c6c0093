"""Callers who want all of it: ten thousand silent streams, answers nobody reads, messages and headers without end.

What is too much is refused early; meanwhile others are served, and memory stays within bounds.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import psutil

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop_proofs.fuzz.ground import Finding, Ground, Target, busy
from closedloop_proofs.fuzz.slowclient import H2Error, SlowClient

NAME = "exhaustion"
STREAMS = 10_000
CONNECTIONS = 500
CROWD = 1000
PER_CONNECTION = 250
ALONE = [("grpc.use_local_subchannel_pool", 1)]
# By how much all of it may make a process grow.
MOST_GROWTH = 400 * 1024**2
# While it lasts, others are served within this, on a machine of their own.
SERVED_SECONDS = 2.0
COME_AGAIN_SECONDS = 0.3
QUIET = "closedloop.platform.v1.EventService.GetEventBacklog"
COMPUTED = "closedloop.platform.v1.RulebookService.GetRulebook"
LARGE = "closedloop.platform.v1.RulebookService.ListRulebooks"


async def attack(ground: Ground, streams: int = STREAMS) -> list[Finding]:
    service = ground.services[0]
    found = await giants(ground, service)
    for name, fought in (("crowd", crowd), ("silent", silent), ("unread", unread), ("halves", halves)):
        before, began = memory(ground, service), time.monotonic()
        found += await fought(ground, service, streams)
        grown = memory(ground, service) - before
        ground.measured[f"{name}: MiB grown"] = round(grown / 2**20, 1)
        ground.measured[f"{name}: seconds"] = round(time.monotonic() - began, 1)
        if grown > MOST_GROWTH:
            found.append(Finding(NAME, f"{service} {name}", f"grew by {grown // 2**20} MiB"))
    found += await _served(ground, service, "after all")
    return found


async def giants(ground: Ground, service: str) -> list[Finding]:
    """A message and metadata beyond any limit: gRPC itself refuses them, before they are ours."""
    target, found = _target(ground, service, QUIET), []
    token = ("authorization", f"Bearer {ground.token('OPS-1', 'operations')}")
    for name, payload, metadata in (
        ("a message of 33 MiB", bytes(33 * 2**20), (token,)),
        ("a header of 1 MiB", b"", (token, ("x-flood", "x" * 2**20))),
        ("a thousand headers", b"", (token, *((f"x-{number}", "x" * 100) for number in range(1000)))),
    ):
        answer = await ground.ask_with(target, payload, metadata)
        # The connection may be cut before the status gets through.
        if answer.code not in ("RESOURCE_EXHAUSTED", "UNAVAILABLE"):
            found.append(Finding(NAME, str(target), f"{name}: {answer.code} {answer.words[:100]}"))
    return found + await _served(ground, service, "after giants")


async def crowd(ground: Ground, service: str, streams: int) -> list[Finding]:
    """A thousand at once who ask for what is computed: each is served, or told that it is too many, and when to return."""
    target = _target(ground, service, COMPUTED)
    token = (("authorization", f"Bearer {ground.token('E-1', 'operations')}"),)
    request = pb.GetRulebookRequest(name="platform.calendars").SerializeToString()
    async with AsyncExitStack() as held:
        calls: list[Any] = []
        for _ in range(CROWD // PER_CONNECTION):
            # A connection of its own each: a server lets one have only so many calls.
            channel: Any = grpc.aio.insecure_channel(ground.platform.address(service), options=ALONE)
            ask = (await held.enter_async_context(channel)).unary_unary(target.method.path)
            calls += [asyncio.ensure_future(_code(ask(request, metadata=token))) for _ in range(PER_CONNECTION)]
        found = await _served(ground, service, f"a crowd of {len(calls)}")
        said = Counter(await asyncio.gather(*calls))
    wrong = said.keys() - {"OK", "RESOURCE_EXHAUSTED"}
    return [*found, Finding(NAME, str(target), f"of a crowd: {dict(said)}")] if wrong else found


async def silent(ground: Ground, service: str, streams: int) -> list[Finding]:
    """Streams that send their headers and nothing more, without and with a token."""
    target, address = _target(ground, service, QUIET), ground.platform.address(service)
    token = ground.token("E-1", "operations")
    async with AsyncExitStack() as held:
        opened = 0
        while opened < streams:
            client = await held.enter_async_context(SlowClient(address))
            for number in range(min(client.allowed, streams - opened)):
                try:
                    client.open(target.method.path, token if number % 2 else "")
                except H2Error:
                    break
                opened += 1
            await asyncio.sleep(0)
        return await _served(ground, service, f"{opened} silent streams")


async def unread(ground: Ground, service: str, streams: int) -> list[Finding]:
    """Calls whose answers are never read (a window of 0)."""
    target, address = _target(ground, service, LARGE), ground.platform.address(service)
    token = ground.token("E-1", "operations")
    async with AsyncExitStack() as held:
        opened = 0
        for _ in range(max(streams // 500, 1)):
            client = await held.enter_async_context(SlowClient(address, window=0))
            for _ in range(min(client.allowed, 500, streams - opened)):
                try:
                    client.open(target.method.path, token, b"")
                except H2Error:
                    break
                opened += 1
            await asyncio.sleep(0.05)
        return await _served(ground, service, f"{opened} answers unread")


async def _code(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as refusal:
        return refusal.code().name
    return "OK"


async def halves(ground: Ground, service: str, streams: int) -> list[Finding]:
    """Connections that say half a greeting and stay."""
    host, _, port = ground.platform.address(service).rpartition(":")
    writers = []
    for _ in range(min(CONNECTIONS, streams)):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM")
        writers.append(writer)
    try:
        return await _served(ground, service, f"{len(writers)} half connections")
    finally:
        for writer in writers:
            writer.close()


async def _served(ground: Ground, service: str, name: str) -> list[Finding]:
    """Somebody else, on a connection of their own, is served in time."""
    target, found = _target(ground, service, QUIET), []
    for _ in range(3):
        began = time.monotonic()
        answer = await ground.ask(target, b"", "OPS-1", "operations")
        # Who comes in the middle of a crowd may be told to come again, and does.
        while answer.code == "RESOURCE_EXHAUSTED" and time.monotonic() - began < SERVED_SECONDS * busy():
            await asyncio.sleep(COME_AGAIN_SECONDS)
            answer = await ground.ask(target, b"", "OPS-1", "operations")
        took = time.monotonic() - began
        if answer.code != "OK" or took > SERVED_SECONDS * busy():
            found.append(Finding(NAME, str(target), f"{name}: {answer.code} {answer.words[:100]} after {took:.1f} s"))
    return found


def memory(ground: Ground, service: str) -> int:
    """Of the api process, resident, in bytes."""
    pid = ground.platform.processes[f"{service}.api"].state.pid
    return int(psutil.Process(pid).memory_info().rss) if pid else 0


def _target(ground: Ground, service: str, name: str) -> Target:
    return next(one for one in ground.targets if one.service == service and one.method.full_name == name)
