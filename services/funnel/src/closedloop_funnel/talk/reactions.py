"""Conversations that integrations brought are read as they come (S68, S48)."""

from __future__ import annotations

from closedloop.integrations.v1 import conversations_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import ids, protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.activities.rules import ActivityRules, check_times
from closedloop_funnel.talk import store, taking
from closedloop_funnel.talk.listening import Said
from closedloop_funnel.talk.store import Transcript
from closedloop_funnel.talk.taking import Brought
from closedloop_funnel.words import word

reactions = Reactions()

# The conversation's own id finds it again.
SOURCE = "conversation"


@reactions.on(integrations.ConversationReceived)
async def conversation_received(event: Heard[integrations.ConversationReceived], work: Work) -> None:
    """Words may come later than the talk, more of them later than some, links later than the words: the newest version counts.

    One that has not begun yet is no contact: it fails, and waits among the parked events for whoever mends that clock.
    """
    talk = event.message.conversation
    # What names no deal or account of ours by id is linked later, or never.
    account_id, opportunity_id = (one if ids.is_id(one) else "" for one in (talk.account_id, talk.opportunity_id))
    around = await store.around(work.tx, account_id, opportunity_id)
    deal = around.opportunity
    account = account_id or (deal["account_id"] if deal else None)
    source = {"source": SOURCE, "source_id": talk.id}
    before = await work.tx.one(store.OF_SOURCE, source, into=Transcript)
    if before is not None and before.source_version >= talk.version:
        return
    started = protos.instant(talk.start_time)
    check_times(work.rules(ActivityRules), started, None, work.now)
    said, speakers = _said(talk)
    if not any(one.side == "seller" for one in said):
        if before is None:
            return
        # A version that only links: the words stay.
        said, speakers = taking.words(before)
    person = work.org.person(talk.ownership.owner_id)
    if person is None:
        return
    brought = Brought(
        owner_id=person.id,
        unit_id=person.unit_id,
        **source,
        source_version=talk.version,
        channel=word(conversations_pb2.ConversationKind, talk.kind),
        account_id=account or None,
        opportunity_id=deal["id"] if deal else None,
        activity_id=None,
        contact_ids=[one.contact_id for one in talk.participants if ids.is_id(one.contact_id)],
        started=started,
        language=talk.language,
        said=said,
        speakers=speakers,
    )
    if before is None:
        await taking.take(work, brought, around, talk.provenance.brought_by or work.actor)
    else:
        await taking.again(work, before, brought, around)


def _said(talk: conversations_pb2.Conversation) -> tuple[list[Said], list[str]]:
    """In the order of time; colleagues speak for us, whoever else takes part for the customer."""
    said: list[tuple[Said, str]] = []
    for turn in talk.turns:
        if not turn.text or not 0 <= turn.participant < len(talk.participants):
            continue
        speaker = talk.participants[turn.participant]
        start = protos.span(turn.offset)
        end = start + protos.span(turn.duration)
        side = "seller" if speaker.person_id else "customer"
        said.append((Said(side, turn.text, *(round(at.total_seconds() * 1000) for at in (start, end))), speaker.name))
    said.sort(key=lambda one: one[0].start_ms)
    return [one for one, _ in said], [speaker for _, speaker in said]
