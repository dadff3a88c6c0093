"""Every RPC, asked by somebody who may: nothing, bytes that are no message, broken rules, and then what keeps them all.

Whatever comes, the answer is proper: never UNKNOWN or INTERNAL, never an inner word, never after the cap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from typing import Any

import protovalidate
from google.protobuf.message import Message

from closedloop_proofs.fuzz.ground import AT_ONCE, ROLES, Finding, Ground, Target
from closedloop_proofs.fuzz.requests import hostile, plausible
from closedloop_proofs.fuzz.wire import MUTATIONS

NAME = "calls"
CALLER = "OPS-1"


async def attack(ground: Ground, seconds: float) -> list[Finding]:
    """The three fixed rounds once, then plausible requests until `seconds` are over."""
    until = time.monotonic() + seconds
    found: list[Finding] = []
    for fought in (empty, broken_rules, broken_bytes):
        found += await fought(ground)
    number = 0
    while time.monotonic() < until:
        found += await well_formed(ground, number, until)
        number += 1
    return found


async def empty(ground: Ground) -> list[Finding]:
    async def one(target: Target) -> Finding | None:
        answer = await ground.ask(target, b"", CALLER, *ROLES)
        fault = answer.fault
        if not fault and target.method.mutates and answer.code == "OK":
            fault = "an empty mutation was served"
        if not fault and answer.code == "INVALID_ARGUMENT" and target.method.mutates and not answer.violations:
            fault = "names no field"
        return Finding(NAME, str(target), f"empty: {fault}") if fault else None

    return await all_of(one(target) for target in ground.targets)


async def broken_rules(ground: Ground) -> list[Finding]:
    async def one(target: Target, name: str, message: Message) -> Finding | None:
        payload = message.SerializeToString()
        answer = await ground.ask(target, payload, CALLER, *ROLES)
        # A request without fields, with flags alone or with words alone may have nothing that this could spoil.
        broken = bool(protovalidate.collect_violations(message))
        served = broken and answer.code == "OK" and target.method.mutates and not answer.all_rows_refused
        fault = answer.fault or ("was served" if served and name != "many" else "")
        return Finding(NAME, str(target), f"{name}: {fault}", payload.hex()) if fault else None

    return await all_of(
        one(target, name, message) for target in ground.served for name, message in hostile(target.method.request)
    )


async def broken_bytes(ground: Ground, mutations: int = len(MUTATIONS)) -> list[Finding]:
    """Each RPC meets `mutations` of the ways in which bytes can be wrong."""

    async def one(target: Target, name: str, payload: bytes) -> Finding | None:
        answer = await ground.ask(target, payload, CALLER, *ROLES)
        return Finding(NAME, str(target), f"{name}: {answer.fault}", payload.hex()) if answer.fault else None

    def payloads() -> Iterable[tuple[Target, str, bytes]]:
        for target in ground.served:
            draw = ground.draw("bytes", target)
            descriptor: Any = target.method.request.DESCRIPTOR
            base = plausible(target.method, ground.records, draw).SerializeToString()
            for name in draw.sample(list(MUTATIONS), mutations):
                yield target, name, MUTATIONS[name](base, descriptor, draw)

    return await all_of(one(*each) for each in payloads())


async def well_formed(ground: Ground, number: int, until: float) -> list[Finding]:
    """Round `number`: one request of each RPC, in an order of its own."""

    async def one(target: Target) -> Finding | None:
        if time.monotonic() > until:
            return None
        # Drawn as late as can be: by then more records are known.
        payload = plausible(target.method, ground.records, ground.draw("plausible", target, number)).SerializeToString()
        answer = await ground.ask(target, payload, CALLER, *ROLES)
        return Finding(NAME, f"{target} #{number}", answer.fault, payload.hex()) if answer.fault else None

    targets = ground.served
    ground.draw("order", number).shuffle(targets)
    return await all_of(one(target) for target in targets)


async def all_of(checks: Iterable[Coroutine[Any, Any, Finding | None]]) -> list[Finding]:
    """A dozen at a time, so that what is asked is made when its turn comes."""
    waiting = iter(checks)

    async def worker() -> list[Finding]:
        return [finding for check in waiting if (finding := await check) is not None]

    return [finding for found in await asyncio.gather(*(worker() for _ in range(AT_ONCE))) for finding in found]
