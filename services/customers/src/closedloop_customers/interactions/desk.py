"""The one way in which a touch is noted, whichever system saw it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import explanations
from closedloop_customers.health import desk as health
from closedloop_customers.interactions import store
from closedloop_customers.interactions.rules import InteractionRules, Touch, judge
from closedloop_customers.potential import soon
from closedloop_customers.quality import desk as quality
from closedloop_customers.reminders import desk as reminders
from closedloop_customers.wake_ups import desk as wake_ups
from closedloop_customers.wake_ups import silence
from closedloop_customers.wake_ups.rules import WakeUpRules

__all__ = ["Touch", "record"]


async def record(work: Work, touches: Sequence[Touch]) -> list[store.Noted]:
    """Notes touches, one per source and id; answers those that are new or told anew. A handful of round trips.

    Effective ones begin the silence of their account and lead again and wake sleepers."""
    if not touches:
        return []
    noted = await store.put(work.tx, [_judged(work, touch) for touch in touches])
    if not any(row.effective or not row.fresh for row in noted):
        return noted
    accounts, leads = await store.touch(work.tx, noted)
    await quality.relight(work, [row.id for row in accounts])
    touched_accounts = {row.account_id for row in noted if row.account_id}
    # The timers first: a sweep that has one of them writes the health of new accounts, and would wait for ours.
    soon.reconsider(work, touched_accounts)
    health.touched(work, touched_accounts, "interaction")
    last = touches[0].occurred_at if len(touches) == 1 else None
    for record_type, touched in (("account", accounts), ("lead", leads)):
        heard = [row for row in touched if row.open and row.last_interaction_at is not None]
        silence.touched(work, record_type, [(row.id, row.owner_id, row.unit_id) for row in heard], last)
    answered = [
        id_
        for row in noted
        if row.effective and row.direction != "outbound"
        for id_ in (row.account_id, row.lead_id)
        if id_
    ]
    effective = [row for row in noted if row.effective]
    await reminders.touched(
        work,
        [
            (id_, row.occurred_at)
            for row in effective
            for id_ in (row.account_id, row.contact_id, row.lead_id)
            if id_ is not None
        ],
    )
    if answered:
        await wake_ups.awakened(work, answered, "the customer came back")
    if any(row.direction == "outbound" for row in effective):
        # We spoke with them: no message goes on as if nobody had. What an import tells of long ago breaks no silence.
        since = work.now - work.rules(WakeUpRules).silence.budget(timedelta(days=1))
        moved = [*accounts, *leads]
        spoken = [row.id for row in moved if row.last_interaction_at is not None and row.last_interaction_at > since]
        if spoken:
            await wake_ups.ended(work, spoken, "stopped", "somebody of ours spoke with them")
    return noted


async def taken_along(work: Work, lead_id: str, account_id: str, contact_id: str | None) -> None:
    """A lead became a customer: what was said with it is the customer's past, and their silence counts from its last
    touch. A handful of round trips."""
    accounts = await store.take_along(work.tx, lead_id, account_id, contact_id)
    await quality.relight(work, [row.id for row in accounts])
    soon.reconsider(work, {account_id})
    health.touched(work, {account_id}, "interaction")
    for row in accounts:
        if row.open and row.last_interaction_at is not None:
            silence.touched(work, "account", [(row.id, row.owner_id, row.unit_id)], row.last_interaction_at)


def _judged(work: Work, touch: Touch) -> store.Interaction:
    effective, rule, why = judge(touch, work.rules(InteractionRules))
    return store.Interaction(
        id=new_id(),
        account_id=touch.account_id,
        contact_id=touch.contact_id,
        lead_id=touch.lead_id,
        opportunity_id=touch.opportunity_id,
        channel=touch.channel,
        direction=touch.direction,
        action=touch.action,
        occurred_at=touch.occurred_at,
        duration=touch.duration,
        person_id=touch.person_id,
        summary=touch.summary,
        product_ids=touch.product_ids,
        effective=effective,
        rule=explanations.because(work, InteractionRules, rule, why),
        provenance=touch.kept,
        source=touch.kept["source"],
        source_id=touch.kept["source_id"],
        version=touch.version,
    )
