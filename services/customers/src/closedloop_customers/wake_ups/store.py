"""Wake-ups in SQL, and the facts they are made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records
from closedloop_customers.wake_ups.rules import Interest

COLUMNS = """id, record_type, record_id, contact_id, owner_id, unit_id, state, topic, control, behaviours, rule,
       last_interaction_at,
       started_at, next_message_at, ended_at, end_reason, plan, version"""
MESSAGE = """wake_up_id, step, dedupe_key, channel, template, subject_line, body, sent_at, delivered_at, opened_at,
       clicked_at,
       replied_at, failure"""

ADD = f"""
INSERT INTO wake_up ({COLUMNS}) SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::wake_up, %(rows)s)
ON CONFLICT (record_type, record_id) WHERE state = 'running' DO NOTHING
RETURNING id
"""
ADD_MESSAGES = f"""
INSERT INTO wake_up_message ({MESSAGE})
SELECT {MESSAGE} FROM jsonb_populate_recordset(NULL::wake_up_message, %(rows)s)
"""
GET = f"SELECT {COLUMNS} FROM wake_up WHERE id = %(id)s"
LOCK = f"SELECT {COLUMNS} FROM wake_up WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
RUNNING = "SELECT id FROM wake_up WHERE record_type = %(type)s AND record_id = %(id)s AND state = 'running'"
MESSAGES = f"SELECT {MESSAGE} FROM wake_up_message WHERE wake_up_id = ANY(%(ids)s::uuid[]) ORDER BY wake_up_id, step"
LIST = f"""
SELECT {COLUMNS} FROM wake_up
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (%(record_id)s::uuid IS NULL OR record_id = %(record_id)s AND record_type = %(record_type)s)
   AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
   AND (%(topic)s = '' OR topic = %(topic)s)
   AND started_at >= coalesce(%(start)s::timestamptz, '-infinity') AND started_at < coalesce(%(end)s::timestamptz,
          'infinity')
   AND id < %(before_id)s::uuid
 ORDER BY id DESC LIMIT %(limit)s
"""
END = f"""
UPDATE wake_up SET state = %(state)s, ended_at = %(now)s, end_reason = %(reason)s, next_message_at = NULL,
       version = version + 1
 WHERE id = ANY(%(ids)s::uuid[]) AND state = 'running'
RETURNING {COLUMNS}
"""
END_OF_RECORDS = f"""
UPDATE wake_up SET state = %(state)s, ended_at = %(now)s, end_reason = %(reason)s, next_message_at = NULL,
       version = version + 1
 WHERE record_id = ANY(%(ids)s::uuid[]) AND state = 'running'
RETURNING {COLUMNS}
"""
END_OF_CONTACTS = f"""
UPDATE wake_up SET state = 'stopped', ended_at = %(now)s, end_reason = %(reason)s, next_message_at = NULL,
       version = version + 1
 WHERE contact_id = ANY(%(ids)s::uuid[]) AND state = 'running'
RETURNING {COLUMNS}
"""
NEXT = "UPDATE wake_up SET next_message_at = %(at)s, version = version + 1 WHERE id = ANY(%(ids)s::uuid[])"
HAND_OVER = """
UPDATE wake_up w SET owner_id = r.owner_id, unit_id = r.unit_id, plan = r.plan, version = w.version + 1
  FROM jsonb_populate_recordset(NULL::wake_up, %(rows)s) AS r WHERE w.id = r.id
"""
# The first telling of each holds, in whichever order they come.
REPORT = """
UPDATE wake_up_message
   SET sent_at = least(sent_at, %(sent_at)s), delivered_at = least(delivered_at, %(delivered_at)s),
       opened_at = least(opened_at, %(opened_at)s), clicked_at = least(clicked_at, %(clicked_at)s),
       replied_at = least(replied_at, %(replied_at)s),
       failure = CASE WHEN failure = '' THEN %(failure)s ELSE failure END
 WHERE dedupe_key = %(dedupe_key)s
RETURNING wake_up_id, (SELECT bool_and(m.failure <> '' OR m.step = wake_up_message.step)
                         FROM wake_up_message m WHERE m.wake_up_id = wake_up_message.wake_up_id) AS all_others_failed
"""

# An opt-out is the last message's doing.
TOPICS = f"""
SELECT w.topic, w.control, count(*) AS sent, count(m.delivered_at) AS delivered, count(m.opened_at) AS opened,
       count(m.clicked_at) AS clicked, count(m.replied_at) AS replied,
       count(*) FILTER (WHERE w.state = 'opted_out' AND NOT EXISTS (
           SELECT FROM wake_up_message later WHERE later.wake_up_id = m.wake_up_id AND later.step > m.step))
           AS opted_out
  FROM wake_up_message m JOIN (SELECT * FROM wake_up WHERE {Scope.SQL}) AS w ON w.id = m.wake_up_id
 WHERE m.sent_at >= %(start)s AND m.sent_at < %(end)s
   AND (%(units)s::text[] IS NULL OR w.unit_id = ANY(%(units)s))
   AND (%(topics)s::text[] IS NULL OR w.topic = ANY(%(topics)s))
   AND (%(channel)s = '' OR m.channel = %(channel)s)
 GROUP BY w.topic, w.control
"""

# Products a customer touched or bought, the latest first; {column} names whose touches.
INTERESTS = """
SELECT owner_of AS record_id, p.id AS product_id, p.name AS product_name, count(*) AS touches, max(at) AS last_at,
       p.changed_at
  FROM (SELECT i.{column} AS owner_of, unnest(i.product_ids) AS product_id, i.occurred_at AS at
          FROM interaction i WHERE i.{column} = ANY(%(ids)s::uuid[]) AND i.occurred_at >= %(since)s
        UNION ALL
        SELECT d.account_id, unnest(d.product_ids), d.closed_on::timestamptz
          FROM account_deal d WHERE d.account_id = ANY(%(ids)s::uuid[]) AND d.state = 'won'
          AND d.closed_on >= %(since)s::date) AS seen
  JOIN product p ON p.id = seen.product_id AND NOT p.retired
 GROUP BY owner_of, p.id ORDER BY owner_of, max(at) DESC, p.id
"""
NEIGHBOURS = """
SELECT a.id AS record_id, count(DISTINCT n.id) AS neighbours
  FROM account a
  JOIN account n ON n.region_code = a.region_code AND n.industry = a.industry AND n.id <> a.id
  JOIN account_deal d ON d.account_id = n.id AND d.state = 'won' AND d.closed_on >= %(since)s::date
 WHERE a.id = ANY(%(ids)s::uuid[]) AND a.region_code <> '' AND a.industry <> ''
 GROUP BY a.id
"""
LINES = """
SELECT id AS record_id, coalesce(profile->'product_lines', '[]') AS lines FROM account
       WHERE id = ANY(%(account_ids)s::uuid[])
UNION ALL
SELECT id, coalesce(profile->'product_lines', '[]') FROM lead WHERE id = ANY(%(lead_ids)s::uuid[])
"""
OPT_OUTS = """
SELECT address, channel, topic, contact_id FROM opt_out
 WHERE NOT allowed AND (address = ANY(%(addresses)s) OR contact_id = ANY(%(contact_ids)s::uuid[]))
"""
LEAD_CONTACTS = """
SELECT id, coalesce(profile->>'contact_name', '') AS name, coalesce(profile->>'email_address', '') AS email,
       coalesce(profile->>'phone', '') AS phone, coalesce(profile->>'language_code', '') AS language,
       coalesce(profile->>'time_zone', '') AS time_zone, coalesce(contact_id::text, '') AS contact_id
  FROM lead WHERE id = ANY(%(ids)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class WakeUp:
    id: str
    record_type: str
    record_id: str
    contact_id: str | None
    owner_id: str
    unit_id: str
    state: str
    topic: str
    control: bool
    behaviours: list[dict[str, Any]]
    rule: dict[str, Any]
    last_interaction_at: datetime | None
    started_at: datetime
    next_message_at: datetime | None
    ended_at: datetime | None
    end_reason: str
    plan: dict[str, Any]
    version: int


@dataclass(frozen=True, slots=True)
class Message:
    wake_up_id: str
    step: int
    dedupe_key: str
    channel: str
    template: str
    subject_line: str
    body: str
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    replied_at: datetime | None = None
    failure: str = ""


async def add(tx: Transaction, wake_ups: Sequence[WakeUp]) -> set[str]:
    """Ids of those that began; a record that is being woken already is left alone."""
    return {row["id"] for row in await tx.all(ADD, {"rows": rows.pack(wake_ups)})}


def hand_over(tx: Transaction, wake_ups: Sequence[WakeUp]) -> None:
    if wake_ups:
        tx.do(HAND_OVER, {"rows": rows.pack(wake_ups)})


def add_messages(tx: Transaction, messages: Sequence[Message]) -> None:
    if messages:
        tx.do(ADD_MESSAGES, {"rows": rows.pack(messages)})


async def get(reader: Reader, id: str) -> WakeUp | None:
    return await reader.one(GET, {"id": id}, into=WakeUp)


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, WakeUp]:
    return {row.id: row for row in await tx.all(LOCK, {"ids": list(ids)}, into=WakeUp)}


async def messages(reader: Reader | Transaction, ids: Collection[str]) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = defaultdict(list)
    for row in await reader.all(MESSAGES, {"ids": list(ids)}, into=Message):
        found[row.wake_up_id].append(row)
    return found


async def end(
    tx: Transaction, ids: Collection[str], state: str, reason: str, now: datetime, *, of_records: bool = False
) -> list[WakeUp]:
    """Those that were running and end now; `of_records`: ids are of the records that were woken."""
    params = {"ids": list(ids), "state": state, "reason": reason[:1000], "now": now}
    return await tx.all(END_OF_RECORDS if of_records else END, params, into=WakeUp)


async def end_of_contacts(tx: Transaction, contact_ids: Collection[str], reason: str, now: datetime) -> list[WakeUp]:
    """Those that were writing to one of these people, stopped."""
    return await tx.all(END_OF_CONTACTS, {"ids": list(contact_ids), "reason": reason[:1000], "now": now}, into=WakeUp)


async def interests(
    reader: Reader | Transaction, type_: str, ids: Collection[str], since: datetime
) -> dict[str, list[Interest]]:
    found: dict[str, list[Interest]] = defaultdict(list)
    column = {"account": "account_id", "lead": "lead_id"}[type_]
    for row in await reader.all(INTERESTS.format(column=column), {"ids": list(ids), "since": since}):
        found[row.pop("record_id")].append(Interest(**row))
    return found


async def neighbours(reader: Reader | Transaction, account_ids: Collection[str], since: datetime) -> dict[str, int]:
    found = await reader.all(NEIGHBOURS, {"ids": list(account_ids), "since": since})
    return {row["record_id"]: row["neighbours"] for row in found}


async def product_lines(
    reader: Reader | Transaction, account_ids: Collection[str], lead_ids: Collection[str]
) -> dict[str, list[str]]:
    found = await reader.all(LINES, {"account_ids": list(account_ids), "lead_ids": list(lead_ids)})
    return {row["record_id"]: row["lines"] for row in found}
