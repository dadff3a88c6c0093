"""Consents, requests and accesses in SQL; how a person is found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction

CONSENT = "id, record_type, record_id, purpose, channel, granted, text_version, provenance, recorded_by, effective_at"
REQUEST = """id, kind, state, requester, opened_at, due_at, decided_by, decided_at, decision_reason, export_until,
       version"""

ADD_CONSENT = f"INSERT INTO consent ({CONSENT}) SELECT {CONSENT} FROM jsonb_populate_recordset(NULL::consent, %(rows)s)"
# What inquiries brought along stands beside what was recorded; a later word on the same thing takes its place.
CONSENTS = f"""
SELECT {CONSENT} FROM (
    SELECT *, row_number() OVER (PARTITION BY purpose, channel ORDER BY effective_at DESC, id DESC) AS age FROM (
        SELECT {CONSENT} FROM consent WHERE record_id = ANY(%(ids)s::uuid[])
        UNION ALL
        SELECT md5(s.source || ' ' || s.source_id || ' ' || (c->>'purpose'))::uuid, 'lead', s.lead_id,
               coalesce(c->>'purpose', ''), '', true, coalesce(c->>'text_version', ''), s.provenance,
               s.provenance->>'brought_by', (c->>'grant_time')::timestamptz
          FROM lead_submission s, jsonb_array_elements(s.consents) AS c WHERE s.lead_id = ANY(%(ids)s::uuid[])
    ) AS said) AS aged
 WHERE (%(history)s OR age = 1) AND (effective_at, id) < (%(before)s::timestamptz, %(before_id)s::uuid)
 ORDER BY effective_at DESC, id DESC LIMIT %(limit)s
"""
LATER = """
SELECT true FROM consent WHERE record_id = %(record_id)s AND purpose = %(purpose)s AND channel = %(channel)s
   AND effective_at > %(effective_at)s LIMIT 1
"""

PUT_REQUEST = f"""
INSERT INTO personal_request ({REQUEST}) SELECT {REQUEST} FROM jsonb_populate_recordset(NULL::personal_request, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, requester = excluded.requester, decided_by = excluded.decided_by,
       decided_at = excluded.decided_at, decision_reason = excluded.decision_reason,
       export_until = excluded.export_until, version = excluded.version
"""
PUT_RECORDS = """
INSERT INTO personal_request_record (request_id, record_type, record_id)
SELECT %(request_id)s, type, id FROM unnest(%(types)s::text[], %(ids)s::uuid[]) AS r (type, id)
"""
DROP_RECORDS = """
DELETE FROM personal_request_record WHERE request_id = %(request_id)s AND record_id = ANY(%(ids)s::uuid[])
"""
SHOWN = f"""
SELECT {REQUEST}, coalesce((SELECT jsonb_agg(jsonb_build_array(record_type, record_id) ORDER BY record_type, record_id)
                              FROM personal_request_record WHERE request_id = r.id), '[]') AS records
  FROM personal_request r
"""
GET = f"{SHOWN} WHERE id = %(id)s"
LOCK = f"{SHOWN} WHERE id = %(id)s FOR UPDATE"
LIST = f"""
{SHOWN}
 WHERE (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s)) AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
   AND (due_at, id) > (%(after)s::timestamptz, %(after_id)s::uuid)
 ORDER BY due_at, id LIMIT %(limit)s
"""
# Held until the end, so that of two requests for one person at once the second finds the first.
OPEN_FOR = """
SELECT r.id, pg_advisory_xact_lock(hashtext('personal_request')) FROM personal_request r
  JOIN personal_request_record p ON p.request_id = r.id
 WHERE r.kind = %(kind)s AND r.state = 'open' AND p.record_id = ANY(%(ids)s::uuid[]) LIMIT 1
"""
HOLD = "SELECT pg_advisory_xact_lock(hashtext('personal_request'))"

LEADS = """
SELECT id, contact_id, profile FROM lead
 WHERE id = ANY(%(ids)s::uuid[]) OR merged_into_id = ANY(%(ids)s::uuid[]) OR contact_id = ANY(%(contact_ids)s::uuid[])
    OR id IN (SELECT lead_id FROM lead_key WHERE key = ANY(%(keys)s::text[]))
    OR id IN (SELECT id FROM lead WHERE stage = 'closed' AND profile ? 'phone'
                 AND right(regexp_replace(normalize(profile->>'phone', NFKC), '[^0-9]', '', 'g'), 8) = ANY(%(tails)s))
    OR id IN (SELECT id FROM lead WHERE stage = 'closed' AND profile ? 'email_address'
                 AND lower(normalize(profile->>'email_address', NFKC)) = ANY(%(mails)s))
"""
CONTACTS = """
WITH named AS (
    SELECT unnest(%(ids)s::uuid[]) AS id
    UNION SELECT contact_id FROM contact_key WHERE key = ANY(%(keys)s::text[])
), survivors AS (
    SELECT coalesce(c.merged_into_id, c.id) AS id FROM contact c JOIN named USING (id)
)
SELECT c.id, c.profile FROM contact c
 WHERE (c.id IN (SELECT id FROM survivors) OR c.id IN (SELECT id FROM named)
        OR c.merged_into_id IN (SELECT id FROM survivors)) AND c.state <> 'erased'
"""
# Deals are kept by law: leads that were won lately, and who they were with.
DUTY = """
SELECT 'lead' AS type, id FROM lead
 WHERE id = ANY(%(ids)s::uuid[]) AND outcome = 'won' AND closed_at > %(since)s
UNION
SELECT 'contact', contact_id FROM lead
 WHERE contact_id = ANY(%(ids)s::uuid[]) AND outcome = 'won' AND closed_at > %(since)s
"""
PAST_RETENTION = """
(SELECT 'lead' AS type, id FROM lead
  WHERE stage = 'closed' AND closed_at < %(leads_before)s::timestamptz AND profile ?| %(personal)s
    AND NOT (outcome = 'won' AND closed_at > %(duty)s) LIMIT %(most)s)
UNION ALL
(SELECT 'contact', id FROM contact c
  WHERE state = 'left' AND greatest(updated_at, last_interaction_at) < %(contacts_before)s::timestamptz
    AND NOT EXISTS (SELECT FROM lead l WHERE l.contact_id = c.id AND l.outcome = 'won' AND l.closed_at > %(duty)s)
  LIMIT %(most)s)
"""
ACCESSES = """
SELECT actor_id, on_behalf_of, method, minute FROM personal_access
 WHERE record_id = %(id)s AND minute >= coalesce(%(start)s::timestamptz, '-infinity')
   AND minute < coalesce(%(end)s::timestamptz, 'infinity')
   AND (minute, actor_id, method, on_behalf_of) < (%(minute)s::timestamptz, %(actor)s, %(method)s, %(for)s)
 ORDER BY minute DESC, actor_id DESC, method DESC, on_behalf_of DESC LIMIT %(limit)s
"""
FORGET_ACCESSES = "DELETE FROM personal_access WHERE minute < %(before)s"


@dataclass(frozen=True, slots=True)
class Consent:
    id: str
    record_type: str
    record_id: str
    purpose: str
    channel: str
    granted: bool
    text_version: str
    provenance: dict[str, Any]
    recorded_by: str
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """`records`: [type, id] of contacts and leads."""

    id: str
    kind: str
    state: str
    requester: str
    opened_at: datetime
    due_at: datetime
    decided_by: str
    decided_at: datetime | None
    decision_reason: str
    export_until: datetime | None
    version: int
    records: list[list[str]]

    def ids(self, type_: str = "") -> list[str]:
        return [id_ for kind, id_ in self.records if type_ in ("", kind)]


@dataclass(frozen=True, slots=True)
class Found:
    id: str
    profile: dict[str, Any]
    contact_id: str | None = None


def add_consents(tx: Transaction, consents: Sequence[Consent]) -> None:
    if consents:
        tx.do(ADD_CONSENT, {"rows": rows.pack(consents)})


def put(tx: Transaction, request: Request) -> None:
    tx.do(PUT_REQUEST, {"rows": rows.pack([request], "records")})


def put_records(tx: Transaction, request: Request) -> None:
    types = [type_ for type_, _ in request.records]
    tx.do(PUT_RECORDS, {"request_id": request.id, "types": types, "ids": request.ids()})


async def get(reader: Reader, id: str) -> Request | None:
    return await reader.one(GET, {"id": id}, into=Request)


async def lock(tx: Transaction, id: str) -> Request | None:
    return await tx.one(LOCK, {"id": id}, into=Request)


async def leads(
    tx: Transaction, ids: Collection[str], contact_ids: Collection[str], keys: Collection[str]
) -> list[Found]:
    """By id, contact or way to answer; of closed ones more than are meant, which the caller compares."""
    values = {kind: [key.partition(":")[2] for key in keys if key.startswith(kind)] for kind in ("phone:", "mail:")}
    params = {
        "ids": list(ids),
        "contact_ids": list(contact_ids),
        "keys": list(keys),
        "tails": [number.lstrip("+")[-8:] for number in values["phone:"]],
        "mails": values["mail:"],
    }
    return await tx.all(LEADS, params, into=Found)


async def contacts(tx: Transaction, ids: Collection[str], keys: Collection[str]) -> list[Found]:
    """By id or way to reach them, with all that were merged into one with them."""
    return await tx.all(CONTACTS, {"ids": list(ids), "keys": list(keys)}, into=Found)
