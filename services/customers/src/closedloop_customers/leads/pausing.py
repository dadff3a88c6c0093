"""A lead's clocks stand still because the customer asked so, and run on at the agreed moment (U8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from closedloop_chassis.work import Work
from closedloop_customers.assignment.desk import Choice
from closedloop_customers.leads import desk
from closedloop_customers.leads.rules import Lead
from closedloop_customers.wake_ups import silence

PAUSE = "customers.lead_pause"
CLOCKS = (desk.FIRST_RESPONSE, desk.UNANSWERED, desk.ASKED_AGAIN, silence.KIND)


async def pause(work: Work, old: Lead, until: datetime, reason: str) -> Lead:
    """What is left of each clock is kept on its own calendar. A round trip for each."""
    for kind in CLOCKS:
        await work.clocks.pause(kind, old.id)
    paused = replace(old, paused_until=until, pauses=old.pauses + 1, response_due_at=None, alarm_at=None)
    work.timers.cancel(PAUSE, old.id)
    work.timers.set(PAUSE, old.id, until)
    (after,) = desk.save(work, [(old, paused)], "pause", reason)
    return after


async def pause_again(work: Work, lead: Lead) -> None:
    """The clocks of a lead that comes back within its pause are kept as they were started now. A round trip for each."""
    assert lead.paused_until is not None
    for kind in CLOCKS:
        await work.clocks.pause(kind, lead.id)
    work.timers.set(PAUSE, lead.id, lead.paused_until)


async def resume(work: Work, old: Lead) -> Lead:
    """A first response that another owner owes since is owed from now on. A round trip for each."""
    due = {kind: await work.clocks.resume(kind, old.id) for kind in CLOCKS}
    work.timers.cancel(PAUSE, old.id)
    response_due, alarm = due[desk.FIRST_RESPONSE], due[desk.UNANSWERED]
    running = replace(old, paused_until=None, response_due_at=response_due, alarm_at=alarm)
    if response_due is None and old.owner_id and old.responded_at is None:
        choice = Choice(old.owner_id, old.unit_id, old.assignment_rule or {})
        running = desk.owed(work, running, choice)
        desk.start_response_clocks(work, [running])
    (after,) = desk.save(work, [(old, running)], "resume")
    return after
