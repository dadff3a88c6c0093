"""What other slices may ask of wake-ups: to let sleepers be, because they woke or are gone."""

from __future__ import annotations

from collections.abc import Collection

from closedloop_chassis.work import Work
from closedloop_customers.wake_ups import silence, store
from closedloop_customers.wake_ups.rules import WakeUpRules

STEP = "customers.wake_up"


async def awakened(work: Work, record_ids: Collection[str], reason: str) -> None:
    """These records were heard from. One round trip."""
    await ended(work, record_ids, "awakened", reason)


async def ended(work: Work, record_ids: Collection[str], state: str, reason: str) -> None:
    """No further message to these records. One round trip."""
    for wake_up in await store.end(work.tx, record_ids, state, reason, work.now, of_records=True):
        close(work, wake_up)


async def person_gone(work: Work, contact_ids: Collection[str], reason: str) -> None:
    """No further message to these people; their record stays, and after a rest it is listened for again. One round
    trip."""
    if not contact_ids:
        return
    rest = work.rules(WakeUpRules).rest
    for wake_up in await store.end_of_contacts(work.tx, contact_ids, reason, work.now):
        close(work, wake_up)
        silence.watch(work, wake_up.record_type, [(wake_up.record_id, wake_up.owner_id, wake_up.unit_id)], rest)


def close(work: Work, wake_up: store.WakeUp) -> None:
    """Queues the clock's end and the trail of a wake-up that has just ended."""
    work.clocks.meet(STEP, wake_up.id) if wake_up.state == "awakened" else work.clocks.cancel(STEP, wake_up.id)
    work.audit(
        wake_up.id, wake_up.state, {"state": "running"}, {"state": wake_up.state, "end_reason": wake_up.end_reason}
    )
