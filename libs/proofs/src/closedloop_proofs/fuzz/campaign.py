"""All attacks in order, each with its share of the time, and what they found, as JSON for machines and lines for people."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from closedloop_devstack.files import write_whole
from closedloop_proofs.fuzz import parsers
from closedloop_proofs.fuzz.attacks import (
    aftermath,
    authority,
    calls,
    exhaustion,
    injection,
    reach,
    tokens,
    webhooks,
)
from closedloop_proofs.fuzz.ground import Finding, Ground
from closedloop_proofs.fuzz.harvest import harvest
from closedloop_proofs.fuzz.secrets import seed_persons

Attack = Callable[[Ground], Awaitable[list[Finding]]]
Say = Callable[[str], None]

# What of the time goes to searches that could go on for ever; the other attacks take what they take (about a minute).
CALLS_SHARE, PARSERS_SHARE = 0.6, 0.4


@dataclass
class Outcome:
    """How one attack went."""

    name: str
    seconds: float
    findings: list[Finding]


@dataclass
class Campaign:
    """`webhook_secret`: the one the platform was given."""

    ground: Ground
    webhook_secret: str
    seconds: float
    say: Say
    outcomes: list[Outcome] = field(default_factory=list)

    async def fight(self, only: frozenset[str] = frozenset()) -> list[Finding]:
        ground = self.ground
        await seed_persons(ground)
        await harvest(ground)
        for name, attack in self._attacks().items():
            if not only or name in only or name == aftermath.NAME:
                await self._one(name, attack)
        return [finding for outcome in self.outcomes for finding in outcome.findings]

    def _attacks(self) -> Mapping[str, Attack]:
        """The gentle ones first: what is changed by the later ones is no longer ordinary."""
        seconds = self.seconds
        return {
            tokens.NAME: tokens.attack,
            authority.NAME: authority.attack,
            reach.NAME: reach.attack,
            parsers.NAME: lambda ground: self._parsers(seconds * PARSERS_SHARE),
            injection.NAME: injection.attack,
            webhooks.NAME: lambda ground: webhooks.attack(ground, self.webhook_secret),
            calls.NAME: lambda ground: calls.attack(ground, seconds * CALLS_SHARE),
            exhaustion.NAME: exhaustion.attack,
            aftermath.NAME: aftermath.attack,
        }

    async def _parsers(self, seconds: float) -> list[Finding]:
        found: list[Finding] = []
        for parser in parsers.PARSERS:
            share = seconds / len(parsers.PARSERS)
            found += await asyncio.to_thread(parsers.search, parser, self.ground.seed, examples=100, seconds=share)
        return found

    async def _one(self, name: str, attack: Attack) -> None:
        began = time.monotonic()
        findings = await attack(self.ground)
        self.outcomes.append(Outcome(name, round(time.monotonic() - began, 1), findings))
        self.say(f"{name}: {len(findings)} findings in {self.outcomes[-1].seconds} s")
        for finding in findings[:20]:
            self.say(f"  {finding}")

    def write(self, path: Path) -> None:
        ground = self.ground
        slowest = sorted(ground.slowest.items(), key=lambda one: -one[1])[:20]
        document = {
            "ok": not any(outcome.findings for outcome in self.outcomes),
            "seed": ground.seed,
            "rpcs": len(ground.targets),
            "reach": {"grants": len(ground.reached), "told": sum(ground.reached.values())},
            "measured": ground.measured,
            "calls": sum(ground.codes.values()),
            "codes": dict(ground.codes),
            "slowest": {name: round(seconds, 3) for name, seconds in slowest},
            "attacks": [
                {"name": one.name, "seconds": one.seconds, "findings": [asdict(finding) for finding in one.findings]}
                for one in self.outcomes
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(document, ensure_ascii=False, indent=1), mode=0o644)
