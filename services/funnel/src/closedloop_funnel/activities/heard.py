"""Contacts that nobody logged, known from the conversation itself (S42)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from closedloop_chassis.data.rows import row
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.activities import proto, rules, store
from closedloop_funnel.activities.record import Seen
from closedloop_funnel.activities.rules import ActivityRules
from closedloop_funnel.watch.feed import tell_watchers

# Kinds of contacts by the channel of a conversation.
KINDS = {"call": "call", "meeting": "meeting", "visit": "visit", "chat": "message"}
SOURCE = "talk"
# What was said stays out of the trail.
PRIVATE = ("content", "account_name")


def attach(work: Work, activity_id: str, transcript_id: str) -> None:
    """Queues that the conversation belongs to a log."""
    work.tx.do(store.ATTACH_TALK, {"id": activity_id, "transcript": transcript_id, "now": work.now})


def log(
    work: Work,
    *,
    transcript_id: str,
    kind: str,
    owner_id: str,
    unit_id: str,
    actor: str,
    account_id: str | None,
    opportunity_id: str | None,
    contact_ids: list[str],
    started: datetime,
    ended: datetime,
    content: str,
) -> str:
    """Queues the log of a conversation and tells of it; the id. It is no false check-in: what was said is there."""
    made = Seen(
        id=new_id(),
        kind=KINDS[kind],
        state="done",
        owner_id=owner_id,
        unit_id=unit_id,
        source=SOURCE,
        source_id=transcript_id,
        brought_by=actor,
        observed_at=work.now,
        account_id=account_id,
        opportunity_id=opportunity_id,
        contact_ids=contact_ids,
        started_at=started,
        ended_at=ended,
        at=started,
        content=content,
        transcript_id=transcript_id,
        authenticity="genuine",
        logged_at=work.now,
        updated_at=work.now,
    )
    made = replace(made, effective=rules.effective(work.rules(ActivityRules), made))
    store.add(work.tx, made)
    if opportunity_id:
        store.touch(work.tx, opportunity_id, started)
    work.audit(made.id, "hear", after=row(made, *PRIVATE))
    work.tell(proto.logged(made), subject=made.id)
    tell_watchers(work)
    return made.id


async def grow(
    work: Work,
    activity_id: str,
    *,
    account_id: str | None,
    opportunity_id: str | None,
    contact_ids: list[str],
    ended: datetime,
    content: str,
) -> None:
    """The log that was made of a conversation, after a later version of it. What people logged or corrected is theirs."""
    before = await store.lock(work.tx, activity_id, work.now)
    if before.source != SOURCE or await work.tx.value(store.AMENDED, {"id": activity_id}):
        return
    after = replace(
        before,
        account_id=account_id,
        opportunity_id=opportunity_id,
        contact_ids=contact_ids,
        ended_at=ended,
        content=content,
        version=before.version + 1,
        updated_at=work.now,
    )
    after = replace(after, effective=rules.effective(work.rules(ActivityRules), after))
    store.save(work.tx, after)
    if opportunity_id:
        store.touch(work.tx, opportunity_id, after.at)
    work.audit(activity_id, "hear_again", row(before, *PRIVATE), row(after, *PRIVATE))
    work.tell(proto.logged(after), subject=activity_id)
    tell_watchers(work)
