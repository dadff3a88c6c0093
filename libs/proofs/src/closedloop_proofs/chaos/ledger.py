"""What was acknowledged: every answer to a call that changes something, and who waits for what to follow from it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from closedloop_devstack.platform import Platform
from closedloop_proofs.loop import WORTH_RETRYING, Stage

# Longer than all faults together may keep a client waiting, events told again included.
PATIENCE_SECONDS = 300.0
# Refusals a client of ours expects: it read a state that has moved on since.
FORESEEN = {grpc.StatusCode.ABORTED, grpc.StatusCode.NOT_FOUND}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One call and the answer it got; the same call must get the same answer for ever."""

    service: str
    make: Callable[[Any], Any]
    rpc: str
    request: Message
    caller: str
    answer: Message


class Ledger(Stage):
    """A stage that writes down what it gets acknowledged, and how long it was left without an answer."""

    def __init__(self, platform: Platform, doors: Mapping[str, str] | None = None) -> None:
        super().__init__(platform, doors)
        self.patience = self.endurance = PATIENCE_SECONDS
        self.acknowledged: list[Acknowledged] = []
        self.repeats: Counter[str] = Counter()
        self.surprises: Counter[str] = Counter()
        # Seconds, and whose they were.
        self.longest_wait = (0.0, "")

    async def ask(self, make: Callable[[Any], Any], rpc: str, request: Message, person: str, service: str = "") -> Any:
        began = time.monotonic()
        met: Counter[str] = Counter()
        while True:
            try:
                answer = await self.once(make, rpc, request, person, service)
                break
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if code not in WORTH_RETRYING or time.monotonic() - began > self.patience:
                    if code not in FORESEEN:
                        self.surprises[f"{rpc}: {code.name}: {error.details()}"] += 1
                    raise
                self.repeats[code.name] += 1
                met[f"{code.name} {error.details()}"] += 1
            await asyncio.sleep(0.2)
        met_most = ", ".join(f"{what} ({number})" for what, number in met.most_common(4))
        self.longest_wait = max(
            self.longest_wait,
            (time.monotonic() - began, f"{service or make.__module__.split('.')[1]} {rpc}: {met_most}"),
        )
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            named = service or make.__module__.split(".")[1]
            self.acknowledged.append(Acknowledged(named, make, rpc, request, person, answer))
        return answer

    async def again(self, one: Acknowledged) -> Message:
        """The same call once more; nothing is written down."""
        answer: Message = await super().ask(one.make, one.rpc, one.request, one.caller, one.service)
        return answer
