"""Looks for duplicates by itself, as often as the rulebook says (U11)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import rounds
from closedloop_customers.identity import finding
from closedloop_customers.identity.rules import IdentityRules

reactions = Reactions()

SCAN = "customers.duplicate_scan"


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    """From the first unit on there is a company whose records are looked through; a timer that is set stays."""
    for kind in work.rules(IdentityRules).types:
        rounds.following(work, SCAN, work.rules(IdentityRules).scan_every, kind)


@reactions.timer(SCAN)
async def look_through(rung: list[Rung], work: Work) -> None:
    """What changed since the last look, and a little before; all against all by ScanDuplicates."""
    every = work.rules(IdentityRules).scan_every
    span = work.calendars.budget(every, "")
    for timer in rung:
        await finding.scan(work, timer.subject, work.now - 2 * span)  # type: ignore[arg-type]
        rounds.following(work, SCAN, every, timer.subject)
