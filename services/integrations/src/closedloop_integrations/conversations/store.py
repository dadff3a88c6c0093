"""Conversations and the messages of chats in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_integrations.conversations.rules import Written


@dataclass(slots=True)
class Entry:
    """One conversation; the fields are the columns."""

    id: str
    source: str
    source_id: str
    kind: str
    started_at: datetime
    document: bytes
    sides: list[dict[str, str]]
    person_ids: list[str]
    contact_ids: list[str]
    phones: list[str]
    mails: list[str]
    handles: list[str]
    owner_id: str
    unit_id: str
    account_id: str | None
    opportunity_id: str | None
    created_at: datetime
    version: int = 1
    linked_by: str = ""
    # What a person said of it: account_id, contact_id, opportunity_id.
    linked: dict[str, str] = field(default_factory=dict)
    # Somebody of it asked to be forgotten: it grows no more.
    erased: bool = False


@dataclass(slots=True)
class Seen(Entry):
    """A conversation and whose customer's it is."""

    account_owner_id: str = ""
    account_unit_id: str = ""
    participant_ids: list[str] = field(default_factory=list)

    @property
    def involved(self) -> set[str]:
        """Who took part, and who works on the customer."""
        return {*self.person_ids, *self.participant_ids, self.account_owner_id} - {""}


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat, as its platform calls it."""

    source: str
    chat: str


NAMES = rows.columns(Entry)
COLUMNS = rows.listed(Entry, "c")
# One at a time: of two who bring the same conversation, the second finds it.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('conversations'))"
KNOWN = f"""
SELECT {COLUMNS} FROM conversation c
  JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS wanted (source, source_id) USING (source, source_id)
"""
KEPT_ONCE = {"id", "source", "source_id", "created_at"}
PUT = f"""
{rows.insert("conversation", Entry)}
ON CONFLICT (source, source_id) DO UPDATE
   SET {", ".join(f"{name} = excluded.{name}" for name in NAMES if name not in KEPT_ONCE)}
"""
# Contacts who are reached that way, where only one is.
WHO = """
WITH wanted AS MATERIALIZED (
    SELECT at, side, key
      FROM jsonb_to_recordset(%(rows)s) AS w (at int, side int, phones text[], mails text[], handles text[]),
           unnest(reach_keys(w.phones, w.mails, w.handles)) AS key
)
SELECT wanted.at, wanted.side, min(c.id::text) AS contact_id, min(c.account_id::text) AS account_id
  FROM wanted JOIN contact c ON c.reach @> ARRAY[wanted.key]
 WHERE c.state = 'current' GROUP BY wanted.at, wanted.side HAVING count(DISTINCT c.id) = 1
"""
CONTACTS = "SELECT id, account_id FROM contact WHERE id = ANY(%(ids)s::uuid[])"
ACCOUNTS = "SELECT id, owner_id, unit_id, participant_ids FROM account WHERE id = ANY(%(ids)s::uuid[])"
# Conversations nobody knows the customer of, with somebody who is reached like this contact.
WAITING = f"""
SELECT {COLUMNS} FROM conversation c
 WHERE c.account_id IS NULL
   AND c.reach && (SELECT reach FROM contact WHERE id = %(contact)s AND state = 'current')
 ORDER BY c.id FOR UPDATE
"""
OF_CONTACTS = f"SELECT {COLUMNS} FROM conversation c WHERE c.contact_ids && %(ids)s::uuid[] ORDER BY c.id FOR UPDATE"
# Of a customer that was merged it is the other one's.
NOW = ", ".join(
    "coalesce(a.now_id, c.account_id) AS account_id" if name == "account_id" else f"c.{name}" for name in NAMES
)
SEEN = f"""
{NOW}, coalesce(a.owner_id, '') AS account_owner_id, coalesce(a.unit_id, '') AS account_unit_id,
       coalesce(a.participant_ids, '{{}}') AS participant_ids
  FROM conversation c LEFT JOIN account_now a ON a.id = c.account_id
"""
GET = f"SELECT {SEEN} WHERE c.id = %(id)s"
HOLD = f"{GET} FOR UPDATE OF c"
LIST = f"""
SELECT {SEEN}
 WHERE (c.started_at, c.id) < (%(started)s::timestamptz, %(id)s::uuid)
   AND (%(scope_company)s OR c.person_ids @> ARRAY[%(scope_owner)s] OR c.unit_id = ANY(%(scope_units)s)
        OR a.owner_id = %(scope_owner)s OR a.unit_id = ANY(%(scope_units)s) OR a.participant_ids @> ARRAY[%(scope_owner)s])
   AND (%(kind)s = '' OR c.kind = %(kind)s)
   AND (%(person_id)s = '' OR c.person_ids @> ARRAY[%(person_id)s])
   AND (%(contact_id)s::uuid IS NULL OR c.contact_ids @> ARRAY[%(contact_id)s::uuid])
   AND (%(account_id)s::uuid IS NULL OR c.account_id IN (SELECT id FROM account WHERE %(account_id)s IN (id, merged_into_id)))
   AND (%(opportunity_id)s::uuid IS NULL OR c.opportunity_id = %(opportunity_id)s)
   AND (%(source)s = '' OR c.source = %(source)s)
   AND (NOT %(unlinked)s OR c.account_id IS NULL)
   AND (%(begin)s::timestamptz IS NULL OR c.started_at >= %(begin)s)
   AND (%(end)s::timestamptz IS NULL OR c.started_at < %(end)s)
 ORDER BY c.started_at DESC, c.id DESC LIMIT %(limit)s
"""

ADD_MESSAGES = """
INSERT INTO chat_message (source, id, chat, sent_at, received_at, sender, name, recipients, title, text)
SELECT DISTINCT ON (source, id) source, id, chat, sent_at, received_at, sender, name, recipients, title, text
  FROM jsonb_populate_recordset(NULL::chat_message, %(rows)s)
ON CONFLICT DO NOTHING RETURNING source, chat
"""
UNREAD = """
SELECT source, id, chat, sent_at, sender, name, recipients, title, text FROM chat_message
  JOIN jsonb_to_recordset(%(rows)s) AS w (source text, chat text) USING (source, chat)
 WHERE read_in IS NULL ORDER BY source, id FOR UPDATE OF chat_message
"""
UNREAD_SINCE = """
SELECT source, chat, min(received_at) AS since FROM chat_message
  JOIN jsonb_to_recordset(%(rows)s) AS w (source text, chat text) USING (source, chat)
 WHERE read_in IS NULL GROUP BY source, chat
"""
READ = """
UPDATE chat_message m SET read_in = w.read_in
  FROM jsonb_to_recordset(%(rows)s) AS w (source text, id text, read_in text) WHERE m.source = w.source AND m.id = w.id
"""
# Named again it is asked for again: it may have been moved, or ended.
WANT = """
INSERT INTO meeting_wanted (id, due_at) SELECT DISTINCT id, %(now)s::timestamptz FROM unnest(%(ids)s::text[]) AS named (id)
ON CONFLICT (id) DO UPDATE SET due_at = least(meeting_wanted.due_at, excluded.due_at)
"""
# What they wrote and what was written to them. The ids stay, so that nothing of it comes again.
FORGET = """
UPDATE chat_message SET sender = '', name = '', recipients = '{}', title = '', text = ''
 WHERE sender = ANY(%(users)s) OR recipients && %(users)s::text[]
"""


async def known(tx: Transaction, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
    """Those that are here, under (source, source_id)."""
    tx.do(LOCK)
    asked = {"sources": [source for source, _ in keys], "source_ids": [source_id for _, source_id in keys]}
    return {(entry.source, entry.source_id): entry for entry in await tx.all(KNOWN, asked, into=Entry)}


async def who(tx: Transaction, asked: list[dict[str, Any]]) -> dict[tuple[int, int], tuple[str, str]]:
    """Contact and account ("" where it has none) of outsiders, by conversation and side."""
    found = await tx.all(WHO, {"rows": rows.pack(asked)}) if asked else []
    return {(row["at"], row["side"]): (row["contact_id"], row["account_id"] or "") for row in found}


async def employers(tx: Transaction, ids: Iterable[str]) -> dict[str, str]:
    """The account ("" where it has none) of each contact that is known."""
    wanted = sorted(set(ids))
    found = await tx.all(CONTACTS, {"ids": wanted}) if wanted else []
    return {str(row["id"]): str(row["account_id"] or "") for row in found}


async def accounts(tx: Transaction, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Owner, unit and participants of each account that is known."""
    wanted = sorted(set(ids))
    found = await tx.all(ACCOUNTS, {"ids": wanted}) if wanted else []
    return {str(row["id"]): row for row in found}


def put(tx: Transaction, entries: Sequence[Entry]) -> None:
    tx.do(PUT, {"rows": rows.pack(entries, only=NAMES)})


async def waiting(tx: Transaction, contact_id: str) -> list[Entry]:
    return await tx.all(WAITING, {"contact": contact_id}, into=Entry)


async def of_contacts(tx: Transaction, ids: Sequence[str]) -> list[Entry]:
    return await tx.all(OF_CONTACTS, {"ids": list(ids)}, into=Entry) if ids else []


async def get(db: Reader, id: str) -> Seen | None:
    return await db.one(GET, {"id": id}, into=Seen)


async def hold(tx: Transaction, id: str) -> Seen | None:
    return await tx.one(HOLD, {"id": id}, into=Seen)


async def listed(db: Reader, params: dict[str, Any]) -> list[Seen]:
    return await db.all(LIST, params, into=Seen)


async def add_messages(tx: Transaction, given: Sequence[Written], now: datetime) -> dict[Chat, datetime]:
    """Chats that have grown, and since when somebody waits to be read in them."""
    told = [{**rows.row(written), "received_at": now} for written in given]
    grown = await tx.all(ADD_MESSAGES, {"rows": rows.pack(told)}) if told else []
    found = await tx.all(UNREAD_SINCE, {"rows": rows.pack(_distinct(grown))}) if grown else []
    return {Chat(row["source"], row["chat"]): row["since"] for row in found}


async def unread(tx: Transaction, chats: Iterable[Chat]) -> dict[Chat, list[Written]]:
    """Messages nobody has read yet, of these chats."""
    found: dict[Chat, list[Written]] = {}
    for row in await tx.all(UNREAD, {"rows": rows.pack([rows.row(chat) for chat in set(chats)])}):
        written = Written(**{**row, "recipients": tuple(row["recipients"])})
        found.setdefault(Chat(written.source, written.chat), []).append(written)
    return found


def read(tx: Transaction, messages: Iterable[tuple[Written, str]]) -> None:
    """Notes in which conversation each was read."""
    told = [{"source": each.source, "id": each.id, "read_in": read_in} for each, read_in in messages]
    if told:
        tx.do(READ, {"rows": rows.pack(told)})


def _distinct(grown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"source": source, "chat": chat} for source, chat in {(row["source"], row["chat"]) for row in grown}]


def want(tx: Transaction, meeting_ids: Sequence[str], now: datetime) -> None:
    if meeting_ids:
        tx.do(WANT, {"ids": list(meeting_ids), "now": now})


def forget(tx: Transaction, users: Iterable[str]) -> None:
    if wanted := sorted(set(users) - {""}):
        tx.do(FORGET, {"users": wanted})
