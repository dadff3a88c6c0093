"""What the attacks have left behind: processes that fell, events nobody could apply, tracebacks and secrets in logs."""

from __future__ import annotations

import asyncio

from closedloop.platform.v1 import platform_pb2
from closedloop_proofs.fuzz import logs, secrets
from closedloop_proofs.fuzz.ground import Finding, Ground

NAME = "aftermath"
SETTLE_SECONDS = 60.0


async def attack(ground: Ground) -> list[Finding]:
    found = fallen(ground) + await parked(ground)
    return found + await asyncio.to_thread(in_logs, ground)


def in_logs(ground: Ground) -> list[Finding]:
    folder = ground.platform.home.logs
    hidden = ground.secrets | dict.fromkeys(ground.tokens, "a token") | secrets.of_platform(ground.platform)
    lines = logs.tracebacks(folder, ground.lived) + logs.leaks(folder, hidden)
    return [Finding(NAME, "log", line) for line in lines]


def fallen(ground: Ground) -> list[Finding]:
    return [
        Finding(NAME, name, f"fell {process.crashes} times, is {process.condition}")
        for name, process in ground.platform.processes.items()
        if process.crashes or not process.pid
    ]


async def parked(ground: Ground) -> list[Finding]:
    """Everything that was told is applied; what had to be set aside says with what error."""
    found = []
    targets = {target.service: target for target in ground.targets if target.method.name == "ListParkedEvents"}
    backlogs = {target.service: target for target in ground.targets if target.method.name == "GetEventBacklog"}
    for service, target in targets.items():
        for _ in range(int(SETTLE_SECONDS / 0.5)):
            waiting = await ground.ask(backlogs[service], b"", "OPS-1", "operations", "admin")
            if not isinstance(waiting.message, platform_pb2.GetEventBacklogResponse) or not waiting.message.inbox:
                break
            await asyncio.sleep(0.5)
        answer = await ground.ask(target, b"", "OPS-1", "operations", "admin")
        if isinstance(answer.message, platform_pb2.ListParkedEventsResponse):
            found += [
                Finding(NAME, f"{service} inbox", f"{event.type} of {event.subject} parked: {event.error[:300]}")
                for event in answer.message.events
            ]
    return found
