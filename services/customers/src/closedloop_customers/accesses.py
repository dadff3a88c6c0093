"""Who looked at a person's data, when and by which call (PIPL)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import Message

from closedloop.customers.v1 import accounts_pb2
from closedloop_chassis.work import Call

Answer = TypeVar("Answer", bound=Message)

NOTE = """
INSERT INTO personal_access (record_id, actor_id, on_behalf_of, method, minute)
SELECT DISTINCT id, %(actor)s, %(for)s, %(method)s, %(minute)s::timestamptz FROM unnest(%(ids)s::uuid[]) AS id
ON CONFLICT DO NOTHING
"""
MOST = 100_000
# Fields that name a contact or a lead, beside references to a record of these types.
NAMING = frozenset({"contact_id", "contact_ids", "created_contact_id", "lead_id"})
PEOPLE = frozenset({accounts_pb2.RECORD_TYPE_CONTACT, accounts_pb2.RECORD_TYPE_LEAD})


class _Noted:
    """What this process has written down in the present minute, so that a hot read asks the database once."""

    def __init__(self) -> None:
        self._minute: datetime | None = None
        self._looks: set[tuple[str, str, str, str]] = set()

    def at(self, minute: datetime) -> set[tuple[str, str, str, str]]:
        if minute != self._minute or len(self._looks) > MOST:
            self._minute, self._looks = minute, set()
        return self._looks


_noted = _Noted()


async def note(call: Call, ids: Iterable[str]) -> None:
    """Contacts and leads whose personal fields this answer shows, noted before it leaves; the same look within one
    minute is one row. A round trip at most."""
    minute = call.now.replace(second=0, microsecond=0)
    who = (call.actor, call.on_behalf_of, call.method.name)
    seen = _noted.at(minute)
    fresh = [id_ for id_ in ids if id_ and (*who, id_) not in seen]
    if fresh:
        params = {"actor": who[0], "for": who[1], "method": who[2], "minute": minute}
        await call.db.all(NOTE, {**params, "ids": fresh})
        seen.update((*who, id_) for id_ in fresh)


async def shown(call: Call, answer: Answer) -> Answer:
    """The answer, with whoever it speaks of noted. A round trip at most."""
    await note(call, set(_spoken_of(answer)))
    return answer


def _spoken_of(message: Message) -> Iterator[str]:
    if isinstance(message, accounts_pb2.RecordReference):
        if message.type in PEOPLE:
            yield message.id
        return
    for field, value in message.ListFields():
        if field.name in NAMING:
            yield from value if field.is_repeated else (value,)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in value if field.is_repeated else (value,):
                yield from _spoken_of(part)
