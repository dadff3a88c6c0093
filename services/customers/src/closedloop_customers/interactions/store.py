"""Interactions in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction

COLUMNS = """id, account_id, contact_id, lead_id, opportunity_id, channel, direction, action, occurred_at,
       duration, person_id,
       summary, product_ids, effective, rule, provenance, source, source_id, version"""

# A source's later telling replaces its earlier one; the same again changes nothing and answers nothing.
PUT = f"""
INSERT INTO interaction ({COLUMNS})
SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::interaction, %(rows)s) ORDER BY source, source_id
ON CONFLICT (source, source_id) DO UPDATE
   SET account_id = excluded.account_id, contact_id = excluded.contact_id, lead_id = excluded.lead_id,
       opportunity_id = excluded.opportunity_id, channel = excluded.channel, direction = excluded.direction,
       action = excluded.action, occurred_at = excluded.occurred_at, duration = excluded.duration,
       person_id = excluded.person_id, summary = excluded.summary, product_ids = excluded.product_ids,
       effective = excluded.effective, rule = excluded.rule, version = excluded.version
 WHERE interaction.version < excluded.version
RETURNING id, account_id, contact_id, lead_id, direction, effective, occurred_at, source, source_id, xmax = 0 AS fresh
"""

# The last effective touch, counted anew, because one may have been found false.
LAST_TOUCH = """
UPDATE {table} r SET last_interaction_at = found.at
  FROM (SELECT asked.id, (SELECT max(i.occurred_at) FROM interaction i WHERE i.{column} = asked.id
         AND i.effective) AS at
          FROM unnest(%(ids)s::uuid[]) AS asked (id)) AS found
 WHERE r.id = found.id AND r.last_interaction_at IS DISTINCT FROM found.at
"""
TOUCH_CONTACTS = LAST_TOUCH.format(table="contact", column="contact_id")
TOUCH_ACCOUNTS = LAST_TOUCH.format(table="account", column="account_id")
TOUCH_LEADS = LAST_TOUCH.format(table="lead", column="lead_id")
RETURNING_ACCOUNTS = (
    " RETURNING r.id, r.owner_id, r.unit_id, r.status NOT IN ('retired', 'merged') AS open, r.last_interaction_at"
)
# A converted lead is listened to through its account.
RETURNING_LEADS = """
 RETURNING r.id, r.owner_id, r.unit_id, r.stage <> 'closed' AND r.converted_at IS NULL AS open, r.last_interaction_at
"""

# What was said with a lead was said with whom it turned out to be.
TAKE_ALONG = """
UPDATE interaction SET account_id = coalesce(account_id, %(account_id)s::uuid),
                       contact_id = coalesce(contact_id, %(contact_id)s::uuid)
 WHERE lead_id = %(lead_id)s::uuid AND (account_id IS NULL OR contact_id IS NULL)
   AND (account_id IS NULL OR account_id = %(account_id)s::uuid)
"""

LIST = """
SELECT i.id, i.account_id, i.contact_id, i.lead_id, i.opportunity_id, i.channel, i.direction, i.action,
       i.occurred_at, i.duration,
       i.person_id, i.summary, i.product_ids, i.effective, i.rule, i.provenance, i.source, i.source_id, i.version
  FROM interaction i
 WHERE (%(account_id)s::uuid IS NULL OR i.account_id = %(account_id)s)
   AND (%(contact_id)s::uuid IS NULL OR i.contact_id = %(contact_id)s)
   AND (%(lead_id)s::uuid IS NULL OR i.lead_id = %(lead_id)s)
   AND (%(channels)s::text[] IS NULL OR i.channel = ANY(%(channels)s))
   AND (%(sources)s::text[] IS NULL OR i.source = ANY(%(sources)s))
   AND (%(effective)s::boolean IS NULL OR i.effective = %(effective)s)
   AND i.occurred_at >= coalesce(%(start)s::timestamptz, '-infinity')
          AND i.occurred_at < coalesce(%(end)s::timestamptz, 'infinity')
   AND (i.occurred_at, i.id) < (%(before)s::timestamptz, %(before_id)s::uuid)
 ORDER BY i.occurred_at DESC, i.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Interaction:
    id: str
    account_id: str | None
    contact_id: str | None
    lead_id: str | None
    opportunity_id: str | None
    channel: str
    direction: str
    action: str
    occurred_at: datetime
    duration: timedelta | None
    person_id: str
    summary: str
    product_ids: list[str]
    effective: bool
    rule: dict[str, Any]
    provenance: dict[str, Any]
    source: str
    source_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Noted:
    """A touch that was new, or told anew."""

    id: str
    account_id: str | None
    contact_id: str | None
    lead_id: str | None
    direction: str
    effective: bool
    occurred_at: datetime
    source: str
    source_id: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """A record whose last effective touch is another one now; `open`: still worth being reminded of."""

    id: str
    owner_id: str
    unit_id: str
    open: bool
    last_interaction_at: datetime | None


async def put(tx: Transaction, interactions: Sequence[Interaction]) -> list[Noted]:
    return await tx.all(PUT, {"rows": rows.pack(interactions)}, into=Noted)


async def take_along(tx: Transaction, lead_id: str, account_id: str, contact_id: str | None) -> list[Touched]:
    """The touches of a lead as those of its account and contact; answers the account if its last one moved. One round
    trip."""
    tx.do(TAKE_ALONG, {"lead_id": lead_id, "account_id": account_id, "contact_id": contact_id})
    tx.do(TOUCH_CONTACTS, {"ids": [contact_id] if contact_id else []})
    return await tx.all(TOUCH_ACCOUNTS + RETURNING_ACCOUNTS, {"ids": [account_id]}, into=Touched)


async def touch(tx: Transaction, noted: Sequence[Noted]) -> tuple[list[Touched], list[Touched]]:
    """Accounts and leads whose last effective touch moved."""
    ids = {
        name: sorted({id_ for row in noted if (id_ := getattr(row, name)) is not None})
        for name in ("account_id", "contact_id", "lead_id")
    }
    if ids["contact_id"]:
        tx.do(TOUCH_CONTACTS, {"ids": ids["contact_id"]})
    accounts = (
        await tx.all(TOUCH_ACCOUNTS + RETURNING_ACCOUNTS, {"ids": ids["account_id"]}, into=Touched)
        if ids["account_id"]
        else []
    )
    leads = await tx.all(TOUCH_LEADS + RETURNING_LEADS, {"ids": ids["lead_id"]}, into=Touched) if ids["lead_id"] else []
    return accounts, leads


async def page(reader: Reader, params: dict[str, Any]) -> list[Interaction]:
    return await reader.all(LIST, params, into=Interaction)
