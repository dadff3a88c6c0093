"""Messages of a chat become a conversation, the same whatever order they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop_chassis import protos
from closedloop_integrations.conversations.rules import Recorded, Written

# The contract's own limits.
MOST_PEOPLE, MOST_TURNS, LONGEST, LONGEST_ID = 1000, 10_000, 10_000, 200


def of_messages(messages: Sequence[Written]) -> list[tuple[pb.Conversation, Sequence[Written]]]:
    """What was written in one chat, as a conversation with its messages; as several where it is beyond one."""
    ordered = sorted(messages, key=lambda each: (each.sent_at, each.id))
    return [
        (_of_messages(ordered[at : at + MOST_TURNS]), ordered[at : at + MOST_TURNS])
        for at in range(0, len(ordered), MOST_TURNS)
    ]


def _of_messages(ordered: Sequence[Written]) -> pb.Conversation:
    first = ordered[0]
    names: dict[str, str] = {}
    for each in ordered:
        names[each.sender] = max(names.get(each.sender, ""), each.name)
    for each in ordered:
        for recipient in each.recipients:
            names.setdefault(recipient, "")
    users = list(names)[:MOST_PEOPLE]
    made = pb.Conversation(
        kind=pb.CONVERSATION_KIND_CHAT,
        start_time=protos.timestamp(first.sent_at),
        duration=protos.duration(ordered[-1].sent_at - first.sent_at),
        participants=[pb.Participant(source_user_id=user[:200], name=names[user][:200]) for user in users],
        answered=len({each.sender for each in ordered}) > 1,
        subject=max(each.title for each in ordered)[:500],
    )
    for each in ordered:
        if each.sender in users:
            made.turns.add(
                participant=users.index(each.sender),
                offset=protos.duration(each.sent_at - first.sent_at),
                text=each.text[:LONGEST],
            )
    made.provenance.source, made.provenance.source_id = first.source, _name(f"{first.chat}/{first.id}")
    return made


def of_record(held: Recorded) -> pb.Conversation:
    """A call or meeting without words."""
    made = pb.Conversation(
        kind=pb.ConversationKind.Value(f"CONVERSATION_KIND_{held.kind.upper()}"),
        start_time=protos.timestamp(held.started_at),
        participants=[
            pb.Participant(source_user_id=user[:200], name=name[:200]) for user, name in held.users[:MOST_PEOPLE]
        ],
        subject=held.subject[:500],
        answered=bool(held.length),
    )
    if held.length is not None:
        made.duration.FromTimedelta(max(held.length, timedelta(0)))
    made.provenance.source, made.provenance.source_id = held.source, _name(held.source_id)
    return made


def _name(id: str) -> str:
    """Cut, two of them could become one."""
    return id if len(id) <= LONGEST_ID else hashlib.sha256(id.encode()).hexdigest()
