"""What is already there: every list of every service is read once, so that later requests name what exists."""

from __future__ import annotations

from closedloop_proofs.fuzz.attacks.calls import all_of
from closedloop_proofs.fuzz.ground import ROLES, Finding, Ground, Target


async def harvest(ground: Ground) -> None:
    async def one(target: Target) -> Finding | None:
        await ground.ask(target, b"", "OPS-1", *ROLES)
        return None

    await all_of(one(target) for target in ground.targets if target.method.name.startswith("List"))
