"""Who may call what: every RPC, every role, against the table in the contract; and whose records a caller reaches.

Bytes that are no message tell who is let in: who has no grant is refused before anybody reads what they sent.
"""

from __future__ import annotations

from closedloop_proofs.fuzz.attacks.calls import all_of
from closedloop_proofs.fuzz.ground import ROLES, Finding, Ground, Target

NAME = "authority"
GARBAGE = b"\xff\xff\xff\xff"


async def attack(ground: Ground) -> list[Finding]:
    found = await without_token(ground)
    found += await every_role(ground)
    return found


async def without_token(ground: Ground) -> list[Finding]:
    async def one(target: Target) -> Finding | None:
        answer = await ground.ask_with(target, b"")
        proper = answer.code == "UNAUTHENTICATED" and not answer.fault
        return None if proper else Finding(NAME, str(target), f"without a token: {answer.code} {answer.fault}")

    return await all_of(one(target) for target in ground.targets)


async def every_role(ground: Ground) -> list[Finding]:
    async def one(target: Target, role: str) -> Finding | None:
        answer = await ground.ask(target, GARBAGE, "E-1" if role == "rep" else "OPS-1", role)
        granted = role in {name for name, _ in target.method.grants}
        expected = ("INVALID_ARGUMENT", "UNIMPLEMENTED") if granted else ("PERMISSION_DENIED",)
        if answer.code in expected and not answer.fault:
            return None
        return Finding(NAME, str(target), f"for {role}: {answer.code} {answer.reason} {answer.fault}")

    roles = (*ROLES, "no_such_role", "")
    return await all_of(one(target, role) for target in ground.targets for role in roles)
