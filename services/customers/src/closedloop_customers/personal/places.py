"""Where something of a person is kept: the one list that an export reads and an erasure empties.

A test walks the schema and fails on a column that names a contact or lead and stands neither here nor in `IMPERSONAL`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction

DELETE = "DELETE FROM {table} WHERE {column} = ANY(%(ids)s::uuid[]) AND {only}"
EMPTY = "UPDATE {table} SET {empty} WHERE {column} = ANY(%(ids)s::uuid[]) AND {only}"


@dataclass(frozen=True, slots=True)
class Place:
    """Rows of `table` whose `column` names a contact or lead. `fields` are shown; `empty` is the SET that erases them,
    "" deletes the row, None leaves it to who owns the record."""

    name: str
    table: str
    column: str
    message: str
    fields: tuple[str, ...]
    empty: str | None
    only: str = "true"
    key: str = "id::text"
    time: str = "NULL::timestamptz"
    provenance: str = "NULL::jsonb"


_ANSWERED = "record_type IN ('contact', 'lead')"

PLACES: tuple[Place, ...] = (
    Place(
        "contact", "contact", "id", "ContactProfile", ("profile", "employments", "closed_channels"), None,
        time="updated_at", provenance="provenances->0",
    ),
    Place("lead", "lead", "id", "LeadProfile", ("profile",), None, time="updated_at", provenance="provenance"),
    Place(
        "inquiry", "lead_submission", "lead_id", "LeadSubmission", ("profile", "payload", "consents"),
        "profile = '{}', payload = NULL", key="source || ' ' || source_id", time="received_at", provenance="provenance",
    ),
    Place(
        "interaction", "interaction", "contact_id", "Interaction", ("channel", "summary"), "summary = ''",
        time="occurred_at", provenance="provenance",
    ),
    Place(
        "interaction", "interaction", "lead_id", "Interaction", ("channel", "summary"), "summary = ''",
        only="contact_id IS NULL", time="occurred_at", provenance="provenance",
    ),
    Place(
        "suggestion", "suggestion", "record_id", "Suggestion", ("changes", "summary", "quote"),
        "changes = '[]', summary = '', quote = ''", only=_ANSWERED, time="created_at", provenance="provenance",
    ),
    Place(
        "suggestion", "suggestion", "created_contact_id", "Suggestion", ("changes", "summary", "quote"),
        "changes = '[]', summary = '', quote = ''", time="created_at", provenance="provenance",
    ),
    Place(
        "opportunity_point", "opportunity_point", "contact_id", "OpportunityPoint", ("need", "quote"),
        "need = '', quote = '', contact_id = NULL", time="created_at", provenance="provenance",
    ),
    Place("ticket", "ticket", "contact_id", "Ticket", ("title",), "title = ''", key="id", time="opened_at"),
    Place(
        "concern", "concern", "contact_id", "Concern", ("text", "quote", "answer"),
        "text = '', quote = '', answer = ''", time="raised_at", provenance="provenance",
    ),
    Place(
        "chain_member", "chain_member", "contact_id", "ChainMember", ("role", "stance", "influence"), "",
        key="account_id::text || ' ' || opportunity_id",
    ),
    Place(
        "wake_up", "wake_up", "contact_id", "WakeUpMessage", ("topic", "plan", "behaviours"),
        "plan = '{}', behaviours = '[]'", time="started_at",
    ),
    Place(
        "wake_up", "wake_up", "record_id", "WakeUpMessage", ("topic", "plan", "behaviours"),
        "plan = '{}', behaviours = '[]'", only="record_type = 'lead'", time="started_at",
    ),
    Place(
        "reminder", "reminder", "record_id", "Reminder", ("title", "end_note"), "title = '', end_note = ''",
        only=_ANSWERED, time="created_at", provenance="provenance",
    ),
    Place(
        "playbook_step", "playbook_step", "record_id", "PlaybookStep", ("answers", "note"), "answers = '{}', note = ''",
        only="record_type = 'lead' AND state <> 'open'", key="playbook || ' ' || step", time="completed_at",
    ),
    Place(
        "consent", "consent", "record_id", "Consent", ("purpose", "channel", "granted", "text_version"), None,
        time="effective_at", provenance="provenance",
    ),
    Place(
        "opt_out", "opt_out", "contact_id", "Consent", ("address", "channel", "topic", "allowed"), "",
        key="address || ' ' || channel || ' ' || topic", time="told_at",
    ),
    Place("key", "contact_key", "contact_id", "ContactProfile", ("key",), "", key="key"),
    Place("key", "lead_key", "lead_id", "LeadProfile", ("key",), "", key="key"),
)  # fmt: skip
# What names a contact or lead and says nothing of the person.
IMPERSONAL = frozenset(
    {
        "assignment.record_id", "contact.merged_into_id", "contact_provenance.contact_id", "finding.record_id",
        "lead.contact_id", "lead.merged_into_id", "lead_transition.lead_id", "personal_access.record_id",
        "personal_request_record.record_id", "pool_entry.record_id",
    }
)  # fmt: skip

SHOW = """
SELECT {key} AS key, jsonb_build_object({pairs}) AS fields, {provenance} AS provenance, {time} AS time
  FROM {table} WHERE {column} = ANY(%(ids)s::uuid[]) AND {only} ORDER BY 1
"""
# Drawn relations name a contact as "contact:<id>"; what was sent is text; pairs and merges keep what was compared.
BESIDES = (
    "DELETE FROM relation WHERE from_end = ANY(%(ends)s) OR to_end = ANY(%(ends)s)",
    """UPDATE wake_up_message SET subject_line = '', body = '' WHERE wake_up_id IN (
           SELECT id FROM wake_up WHERE contact_id = ANY(%(ids)s::uuid[])
              OR record_type = 'lead' AND record_id = ANY(%(ids)s::uuid[]))""",
    "DELETE FROM duplicate_pair WHERE left_id = ANY(%(ids)s::uuid[]) OR right_id = ANY(%(ids)s::uuid[])",
    "DELETE FROM merge WHERE survivor_id = ANY(%(ids)s::uuid[]) OR absorbed_ids && %(ids)s::uuid[]",
    "DELETE FROM opt_out WHERE address = ANY(%(keys)s)",
)


@dataclass(frozen=True, slots=True)
class Item:
    """One field of one row, by the name of its place."""

    place: Place
    key: str
    field: str
    value: Any
    provenance: dict[str, Any] | None
    time: Any


async def kept(reader: Reader | Transaction, ids: Collection[str]) -> list[Item]:
    """All that is kept of these contacts and leads, in the order of the list."""
    found = []
    for place in PLACES:
        pairs = ", ".join(f"'{field}', {field}" for field in place.fields)
        for row in await reader.all(_sql(SHOW, place, pairs=pairs), {"ids": list(ids)}):
            for field, value in row["fields"].items():
                if value not in ("", None, [], {}):
                    found.append(Item(place, row["key"], field, value, row["provenance"], row["time"]))
    return found


def empty(tx: Transaction, ids: Collection[str], keys: Collection[str]) -> None:
    """Queues that every place forgets; profiles are erased by who owns contacts and leads. `keys`: ways to reach them."""
    params = {"ids": list(ids), "ends": [f"contact:{id_}" for id_ in ids], "keys": list(keys)}
    for statement in BESIDES:
        tx.do(statement, params)
    for place in PLACES:
        if place.empty is not None:
            tx.do(_sql(EMPTY if place.empty else DELETE, place, empty=place.empty), params)


def _sql(statement: str, place: Place, **more: str) -> str:
    return statement.format(
        table=place.table,
        column=place.column,
        only=place.only,
        key=place.key,
        time=place.time,
        provenance=place.provenance,
        **more,
    )
