"""From one station of a message's life to another, with step and audit."""

from __future__ import annotations

from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries import store, wire
from closedloop_integrations.deliveries.store import Delivery


def move(work: Work, delivery: Delivery, state: str, reason: str, detail: str) -> None:
    store.step(work.tx, work.now, [change(work, delivery, state, reason, detail)])
    store.move(work.tx, [delivery])


def change(work: Work, delivery: Delivery, state: str, reason: str, detail: str) -> tuple[str, str, str]:
    """The delivery is changed, not yet written; answers the step."""
    before = {"state": delivery.state, "reason": delivery.reason}
    delivery.state, delivery.reason = state, reason
    delivery.version += 1
    if state in delivery_rules.FINAL:
        delivery.ended_at = work.now
    work.audit(delivery.id, "deliver", before=before, after={"state": state, "reason": reason})
    return delivery.id, state, detail or reason


async def follow(work: Work, digest: Delivery) -> None:
    """What went out in a digest fares as it does."""
    if digest.subject_type != wire.DIGEST:
        return
    members = await store.members(work.tx, digest.id)
    steps = []
    for each in members:
        each.sent_at = digest.sent_at
        steps.append(change(work, each, digest.state, digest.reason or "digest", ""))
    store.step(work.tx, work.now, steps)
    store.move(work.tx, members)
    for each in members:
        wire.report(work, each)
