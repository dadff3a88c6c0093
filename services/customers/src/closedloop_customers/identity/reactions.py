"""Looks for duplicates by itself, as often as the rulebook says (U11)."""

from __future__ import annotations

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers.identity import finding
from closedloop_customers.identity.rules import IdentityRules

reactions = Reactions()

SCAN = "customers.duplicate_scan"


@reactions.on(targets.OrgUnitChanged)
async def company_known(event: Heard[targets.OrgUnitChanged], work: Work) -> None:
    """From the first unit on there is a company whose records are looked through; a running clock goes on."""
    for kind in work.rules(IdentityRules).types:
        work.clocks.start(SCAN, kind, work.rules(IdentityRules).scan_every)


@reactions.clock(SCAN)
async def look_through(due: list[Due], work: Work) -> None:
    for clock in due:
        if clock.phase == "due":
            await finding.scan(work, clock.subject)  # type: ignore[arg-type]
            work.clocks.rearm(clock, work.rules(IdentityRules).scan_every)
