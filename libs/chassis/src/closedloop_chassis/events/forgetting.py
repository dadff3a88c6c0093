"""Forgets events that could not be applied, and answers that are kept to be repeated, where they speak of a person who is
to be forgotten (PIPL).

Such events stand longer than the person does: redriven, they would bring back what was erased. What is applied is forgotten
by its own retention.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from closedloop_chassis.data.records import FORGOTTEN
from closedloop_chassis.traces import Traces

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

_AT_ONCE = 200

STUCK = """
SELECT id, type, subject, data FROM inbox
 WHERE (state = 2 OR state = 0 AND attempts > 0) AND id > %(after)s::uuid ORDER BY id LIMIT %(limit)s
"""
# Its place stays, so that what waits for it goes on; upkeep takes it away with the applied ones.
FORGET = """
UPDATE inbox SET state = 1, applied_at = clock_timestamp(), parked_at = NULL, next_at = NULL, data = '', error = NULL
 WHERE id = ANY(%(ids)s::uuid[])
"""


# Whoever asks again hears that it was done, and nothing of the person.
FORGET_ANSWERS = f"""
UPDATE idempotency SET method = '{FORGOTTEN}', response = ''::bytea
 WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w (word) WHERE position(convert_to(word, 'UTF8') IN response) > 0)
    OR EXISTS (SELECT FROM unnest(%(names)s::text[]) AS w (word) WHERE position(convert_to(word, 'UTF8') IN response) > 0)
   AND EXISTS (SELECT FROM unnest(%(beside)s::text[]) AS w (word) WHERE position(convert_to(word, 'UTF8') IN response) > 0)
"""


def forget_answers(
    work: Work, words: Collection[str], names: Collection[str] = (), beside: Collection[str] = ()
) -> None:
    """Queues that answers which have one of the words (ids, addresses) in them are forgotten, and those with one of the names
    where one of `beside` (the ids of the company) stands too: others are called the same.

    Reads every answer that is kept, half a microsecond a word (200,000 of 324 bytes, 8 words: 1 s): for who asked to be
    forgotten, not for all whose time is over, of whom nobody was answered lately."""
    if words or names:
        work.tx.do(FORGET_ANSWERS, {"words": list(words), "names": list(names), "beside": list(beside)})


async def forget(work: Work, traces: Traces) -> int:
    """Empties parked and failing events that speak of the person; answers how many. Each is noted in the trail."""
    known = {type_: found[0] for part in work.process.slices for type_, found in part.reactions.events.items()}
    forgotten, after = list[str](), "00000000-0000-0000-0000-000000000000"
    while found := await work.tx.all(STUCK, {"after": after, "limit": _AT_ONCE}):
        for row in found:
            if row["subject"] in traces.ids or _speaks(row["data"], known.get(row["type"]), traces):
                forgotten.append(row["id"])
                work.audit(row["id"], "forget", {"state": "stuck"}, {"state": "forgotten"})
        after = found[-1]["id"]
        await asyncio.sleep(0)
    if forgotten:
        work.tx.do(FORGET, {"ids": forgotten})
    return len(forgotten)


def _speaks(data: bytes, message_class: type[Message] | None, traces: Traces) -> bool:
    """Also of a type nobody here reacts to, whose words are looked for among its bytes."""
    words: Iterable[str] = (data.decode(errors="ignore"),)
    if message_class is not None:
        with suppress(DecodeError):
            words = _strings(message_class.FromString(data))
    return any(map(traces.in_text, words))


def _strings(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                yield str(key)
                yield from _strings(item) if isinstance(item, Message) else [str(item)]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in value if field.is_repeated else [value]:
                yield from _strings(item)
        elif field.type == FieldDescriptor.TYPE_STRING:
            yield from value if field.is_repeated else [value]
        elif field.type == FieldDescriptor.TYPE_BYTES:
            yield from (item.decode(errors="ignore") for item in (value if field.is_repeated else [value]))
