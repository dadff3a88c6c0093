"""Callers who want all of it: ten thousand silent streams, answers nobody reads, messages and headers without end.

What is too much is refused early; meanwhile others are served, and memory stays within bounds.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import psutil

from closedloop_proofs.fuzz.ground import Finding, Ground, Target, busy
from closedloop_proofs.fuzz.slowclient import H2Error, SlowClient

NAME = "exhaustion"
STREAMS = 10_000
CONNECTIONS = 500
# By how much all of it may make a process grow.
MOST_GROWTH = 400 * 1024**2
# While it lasts, others are served within this, on a machine of their own.
SERVED_SECONDS = 2.0
QUIET = "closedloop.platform.v1.EventService.GetEventBacklog"
LARGE = "closedloop.platform.v1.RulebookService.ListRulebooks"


async def attack(ground: Ground, streams: int = STREAMS) -> list[Finding]:
    service = ground.services[0]
    found = await giants(ground, service)
    for name, fought in (("silent", silent), ("unread", unread), ("halves", halves)):
        before = memory(ground, service)
        found += await fought(ground, service, streams)
        if (grown := memory(ground, service) - before) > MOST_GROWTH:
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
