"""Callbacks and feeds of talk; chats that have gone quiet; customers that become known later than their talk (S68)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors, ids
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import posted, quarantine
from closedloop_integrations.conversations import chats, dingtalk, intake, store, wecom
from closedloop_integrations.conversations.rules import (
    Announced,
    ConversationRules,
    Recorded,
    Unreadable,
    Written,
    begun,
)
from closedloop_integrations.conversations.store import Chat
from closedloop_integrations.feeds import FeedRules

reactions = Reactions()

FEED, ARCHIVE, MEETING = "conversations", "wecom_archive", "wecom_meeting"
QUIET = "integrations.chat_quiet"

Talk = Written | Recorded | Announced | None
READERS: dict[str, Callable[[str, ConversationRules], Talk]] = {
    wecom.SOURCE: wecom.called_back,
    dingtalk.SOURCE: dingtalk.called_back,
}
ROWS: dict[str, Callable[[dict[str, Any]], Talk]] = {ARCHIVE: wecom.archived, MEETING: wecom.held}


@reactions.batch(events.CallbackFetched)
async def called_back(heard: Sequence[Heard[events.CallbackFetched]], work: Work) -> None:
    rules = work.rules(ConversationRules)
    talks: list[Talk] = []
    for message in (each.message for each in heard):
        try:
            talks.append(_begun(READERS[message.platform](message.message, rules), work))
        except (Unreadable, errors.InvalidArgument) as error:
            where = {"source": message.platform, "kind": "callback", "key": message.application}
            _set_aside(work, f"CALLBACK_UNREADABLE: {error}", message.message, **where)
    await _take(work, talks)


@reactions.on(events.FeedFetched)
async def fed(event: Heard[events.FeedFetched], work: Work) -> None:
    items = list(event.message.items)
    if event.message.feed == FEED:
        source = work.rules(FeedRules).conversation_source
        for position, reason in (await take(work, items, source)).items():
            _set_aside(work, reason, items[position], source=source, kind="conversation", key=FEED)
    elif event.message.feed in ROWS:
        talks: list[Talk] = []
        for item in items:
            try:
                talks.append(_begun(ROWS[event.message.feed](json.loads(item)), work))
            except Unreadable as error:
                where = {"source": wecom.SOURCE, "kind": event.message.feed, "key": event.message.feed}
                _set_aside(work, f"ITEM_UNREADABLE: {error}", item, **where)
        await _take(work, talks)


@reactions.timer(QUIET)
async def gone_quiet(rung: list[Rung], work: Work) -> None:
    """Nobody has written for a while: what the chat has come to is taken in."""
    found = await store.unread(work.tx, [Chat(each.attributes["source"], each.attributes["chat"]) for each in rung])
    made = [talk for messages in found.values() for talk in chats.of_messages(messages)]
    await intake.take_in(work, [(at, conversation) for at, (conversation, _) in enumerate(made)])
    read = [(each, talk.provenance.source_id) for talk, messages in made for each in messages]
    store.read(work.tx, read)


@reactions.on(customers.ContactChanged)
async def contact_known(event: Heard[customers.ContactChanged], work: Work) -> None:
    await intake.resolve(work, await store.waiting(work.tx, event.message.contact_id))


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    gone = {record.id for record in event.message.records if ids.is_id(record.id)}
    bared = [intake.bare(entry, gone) for entry in await store.of_contacts(work.tx, sorted(gone))]
    if bared:
        store.put(work.tx, [entry for entry, _ in bared])
        store.forget(work.tx, [user for _, users in bared for user in users])


@quarantine.reader("callback")
async def callback_again(work: Work, item: quarantine.Item) -> str:
    try:
        await _take(work, [_begun(READERS[item.source](item.raw, work.rules(ConversationRules)), work)])
    except (Unreadable, errors.InvalidArgument) as error:
        return f"CALLBACK_UNREADABLE: {error}"
    return ""


@quarantine.reader(ARCHIVE)
@quarantine.reader(MEETING)
async def row_again(work: Work, item: quarantine.Item) -> str:
    try:
        row = json.loads(item.raw)
        await _take(work, [_begun(ROWS[item.key](row if isinstance(row, dict) else {}), work)])
    except ValueError as error:
        return f"ITEM_UNREADABLE: {error}"
    return ""


@quarantine.reader("conversation")
async def conversation_again(work: Work, item: quarantine.Item) -> str:
    return (await take(work, [item.raw], item.source)).get(0, "")


async def take(work: Work, texts: list[str], source: str) -> dict[int, str]:
    """Takes in what can be read; answers "REASON: message" of the others, by position. An item is a Conversation in the
    JSON of the contract with `provenance.source_id`, by which it is known when it comes again."""

    def complete(conversation: pb.Conversation) -> None:
        conversation.provenance.source = conversation.provenance.source or source

    read, broken = posted.read(texts, pb.Conversation, complete)
    outcome = await intake.take_in(work, read)
    return broken | {fault.row: f"{fault.reason}: {fault.message}" for fault in outcome.refused}


async def _take(work: Work, talks: Sequence[Talk]) -> None:
    """Records at once; messages are kept, and their chats read when they have gone quiet."""
    records = [chats.of_record(talk) for talk in talks if isinstance(talk, Recorded)]
    if records:
        await intake.take_in(work, list(enumerate(records)))
    store.want(work.tx, [talk.id for talk in talks if isinstance(talk, Announced)], work.now)
    rules = work.rules(ConversationRules)
    quiet, longest = timedelta(minutes=rules.quiet_minutes), timedelta(hours=rules.longest_hours)
    written = [talk for talk in talks if isinstance(talk, Written)]
    for chat, since in (await store.add_messages(work.tx, written, work.now)).items():
        subject = f"{chat.source}/{chat.chat}"
        work.timers.cancel(QUIET, subject)
        told = {"source": chat.source, "chat": chat.chat}
        work.timers.set(QUIET, subject, min(work.now + quiet, since + longest), told)


def _begun(talk: Talk, work: Work) -> Talk:
    """Raises Unreadable."""
    if talk is not None and not begun(talk, work.now, work.rules(ConversationRules)):
        raise Unreadable("it has not begun yet")
    return talk


def _set_aside(work: Work, reason: str, raw: str, *, source: str, kind: str, key: str) -> None:
    name, _, message = reason.partition(": ")
    quarantine.set_aside(work.tx, work.now, source=source, kind=kind, key=key, reason=name, message=message, raw=raw)
