"""Leads in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis import errors
from closedloop_chassis.data import places, rows
from closedloop_chassis.data.gathering import Rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Scope, Work
from closedloop_customers import custom_fields, records
from closedloop_customers.leads.rules import Lead

COLUMNS = """id, profile, stage, closed_from, outcome, close_reason, owner_id, unit_id, assignment_rule, priority,
       account_id,
       contact_id, opportunity_id, provenance, received_at, response_due_at, alarm_at, responded_at, responded_in_time,
       escalation_level, response_light, last_interaction_at, paused_until, pauses, converted_at, closed_at,
       merged_into_id,
       historical, created_at, updated_at, version"""

# A merged lead answers its survivor.
GET = f"SELECT {COLUMNS} FROM lead WHERE id = (SELECT coalesce(merged_into_id, id) FROM lead WHERE id = %(id)s)"
# Kept beside the lead as everybody knows it: asked for seldom.
ERASED = "UPDATE lead SET erased_at = %(now)s WHERE id = ANY(%(ids)s::uuid[])"
IS_ERASED = "SELECT erased_at IS NOT NULL FROM lead WHERE id = %(id)s"
GET_BY_SOURCE = f"""
SELECT {COLUMNS} FROM lead
 WHERE id = (SELECT coalesce(l.merged_into_id, l.id) FROM lead_submission s JOIN lead l ON l.id = s.lead_id
              WHERE s.source = %(source)s AND s.source_id = %(source_id)s)
"""
LOCK = f"SELECT {COLUMNS} FROM lead WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
# An inquiry claims keys, in their order, and then holds the lead that has them; who gives keys up holds them first, too.
LOCK_KEYS = "SELECT key FROM lead_key WHERE lead_id = ANY(%(ids)s::uuid[]) ORDER BY key FOR UPDATE"
# A merged lead's opportunity is its survivor's.
OF_OPPORTUNITY = """
       stage <> 'closed'
   AND (id = (SELECT coalesce(merged_into_id, id) FROM lead WHERE id = %(lead_id)s::uuid)
        OR opportunity_id = %(opportunity_id)s::uuid)
"""
LOCK_KEYS_OF_OPPORTUNITY = f"""
SELECT key FROM lead_key WHERE lead_id IN (SELECT id FROM lead WHERE {OF_OPPORTUNITY}) ORDER BY key FOR UPDATE
"""
LOCK_OF_OPPORTUNITY = f"SELECT {COLUMNS} FROM lead WHERE {OF_OPPORTUNITY} ORDER BY id FOR UPDATE"
FIRST_ANSWERS = """
SELECT lead_id, min(occurred_at) AS at FROM interaction
 WHERE lead_id = ANY(%(ids)s::uuid[]) AND effective AND action = 'response' GROUP BY lead_id
"""
# A clock that ran out and was not answered since is still owed.
OWING = """
SELECT DISTINCT subject FROM clock
 WHERE kind = %(kind)s AND subject = ANY(%(ids)s) AND (state IN ('open', 'paused')
    OR state = 'breached' AND answered_at IS NULL)
"""
PUT = f"""
INSERT INTO lead ({COLUMNS}, search)
SELECT {COLUMNS}, search FROM jsonb_populate_recordset(NULL::lead, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET profile = excluded.profile, search = excluded.search, stage = excluded.stage, closed_from = excluded.closed_from,
       outcome = excluded.outcome, close_reason = excluded.close_reason, owner_id = excluded.owner_id,
       unit_id = excluded.unit_id,
       assignment_rule = excluded.assignment_rule, priority = excluded.priority, account_id = excluded.account_id,
       contact_id = excluded.contact_id, opportunity_id = excluded.opportunity_id,
       response_due_at = excluded.response_due_at,
       alarm_at = excluded.alarm_at, responded_at = excluded.responded_at,
       responded_in_time = excluded.responded_in_time,
       escalation_level = excluded.escalation_level, response_light = excluded.response_light,
       paused_until = excluded.paused_until, pauses = excluded.pauses, converted_at = excluded.converted_at,
       closed_at = excluded.closed_at, merged_into_id = excluded.merged_into_id, updated_at = excluded.updated_at,
       version = excluded.version
"""
ADD = f"""
INSERT INTO lead ({COLUMNS}, search)
SELECT {COLUMNS}, search FROM jsonb_populate_recordset(NULL::lead, %(rows)s)
"""
# One that is new, as most are that come in.
ADD_ONE = rows.insert_one("lead", (*rows.columns(Lead), "search"))

OF_OWNER_ELSEWHERE = """
UPDATE lead SET unit_id = %(unit_id)s, version = version + 1, updated_at = %(now)s
 WHERE owner_id = %(owner_id)s AND unit_id <> %(unit_id)s AND stage <> 'closed'
RETURNING id
"""

SUBMISSION = "source, source_id, lead_id, provenance, profile, payload, consents, received_at"
# Known sources answer the lead they made; who brings the same one at once waits here.
CLAIM_SOURCES = f"""
INSERT INTO lead_submission ({SUBMISSION})
SELECT {SUBMISSION} FROM jsonb_populate_recordset(NULL::lead_submission, %(rows)s) ORDER BY source, source_id
ON CONFLICT (source, source_id) DO UPDATE SET source = excluded.source
RETURNING source, source_id, lead_id, xmax = 0 AS fresh
"""
# Whose key it is now: ours, or that of the open lead which has it already; and the customers these keys belong to.
CLAIM_KEYS = """
WITH claimed AS (
    INSERT INTO lead_key (key, lead_id)
    SELECT * FROM unnest(%(keys)s::text[], %(lead_ids)s::uuid[]) AS k (key, lead_id) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET lead_id = lead_key.lead_id
    RETURNING key, lead_id
)
SELECT key, lead_id, NULL::uuid AS contact_id, NULL::uuid AS account_id, '' AS owner_id FROM claimed
UNION ALL
SELECT k.key, NULL, c.id, c.account_id, a.owner_id
  FROM contact_key k JOIN contact c ON c.id = k.contact_id JOIN account a ON a.id = c.account_id
 WHERE k.key = ANY(%(keys)s::text[]) AND c.state IN ('current', 'job_changed') AND a.status NOT IN ('merged', 'retired')
UNION ALL
SELECT k.key, NULL, NULL, a.id, a.owner_id
  FROM account_key k JOIN account a ON a.id = k.account_id
 WHERE k.key = ANY(%(names)s::text[]) AND a.status NOT IN ('merged', 'retired')
"""
# Both for a single inquiry, whose keys are claimed only if nobody knows it.
CLAIM_ONE = f"""
WITH submitted AS (
    INSERT INTO lead_submission ({SUBMISSION})
    VALUES (%(source)s, %(source_id)s, %(lead_id)s, %(provenance)s, %(profile)s, %(payload)s, %(consents)s,
            %(received_at)s)
    ON CONFLICT (source, source_id) DO UPDATE SET source = excluded.source
    RETURNING lead_id, xmax = 0 AS fresh
), claimed AS (
    INSERT INTO lead_key (key, lead_id)
    SELECT key, lead_id FROM submitted, unnest(%(keys)s::text[]) AS key WHERE fresh ORDER BY key
    ON CONFLICT (key) DO UPDATE SET lead_id = lead_key.lead_id
    RETURNING key, lead_id
)
SELECT '' AS key, lead_id, NULL::uuid AS contact_id, NULL::uuid AS account_id, '' AS owner_id, fresh FROM submitted
UNION ALL
SELECT key, lead_id, NULL, NULL, '', NULL FROM claimed
UNION ALL
SELECT k.key, NULL, c.id, c.account_id, a.owner_id, NULL
  FROM contact_key k JOIN contact c ON c.id = k.contact_id JOIN account a ON a.id = c.account_id
 WHERE k.key = ANY(%(keys)s::text[]) AND c.state IN ('current', 'job_changed') AND a.status NOT IN ('merged', 'retired')
UNION ALL
SELECT k.key, NULL, NULL, a.id, a.owner_id, NULL
  FROM account_key k JOIN account a ON a.id = k.account_id
 WHERE k.key = %(name)s AND a.status NOT IN ('merged', 'retired')
"""
# What inquiries meet that come on their own: the lead of one with the same source, whose its ways to answer are, and the
# customers they belong to. Nothing is claimed; each is looked up by its keys (OFFSET 0), however small the tables were
# when that was planned.
LOOK_EACH = """
WITH asked AS (SELECT * FROM {asked}),
     keyed AS (SELECT place, key FROM asked, unnest(keys) AS key)
SELECT place, '' AS key, s.lead_id, NULL::uuid AS contact_id, NULL::uuid AS account_id, '' AS owner_id
  FROM asked a
 CROSS JOIN LATERAL (SELECT lead_id FROM lead_submission
                      WHERE source = a.source AND source_id = a.source_id OFFSET 0) s
UNION ALL
SELECT place, key, l.lead_id, NULL, NULL, ''
  FROM keyed CROSS JOIN LATERAL (SELECT lead_id FROM lead_key k WHERE k.key = keyed.key OFFSET 0) l
UNION ALL
SELECT place, key, NULL, c.id, c.account_id, c.owner_id
  FROM keyed CROSS JOIN LATERAL (
       SELECT c.id, c.account_id, a.owner_id
         FROM contact_key k JOIN contact c ON c.id = k.contact_id JOIN account a ON a.id = c.account_id
        WHERE k.key = keyed.key AND c.state IN ('current', 'job_changed') AND a.status NOT IN ('merged', 'retired')
       OFFSET 0) c
UNION ALL
SELECT place, name, NULL, NULL, c.id, c.owner_id
  FROM asked CROSS JOIN LATERAL (
       SELECT a.id, a.owner_id FROM account_key k JOIN account a ON a.id = k.account_id
        WHERE k.key = asked.name AND a.status NOT IN ('merged', 'retired') OFFSET 0) c
"""
LOOKED = {"place": "int", "source": "text", "source_id": "text", "keys": "text[]", "name": "text"}
# Of inquiries that met nobody. Who was faster with the same source or the same key has the other begin again.
SUBMIT = f"""
INSERT INTO lead_submission ({SUBMISSION})
SELECT {SUBMISSION} FROM jsonb_populate_recordset(NULL::lead_submission, %(rows)s)
"""
KEEP_KEYS = """
INSERT INTO lead_key (key, lead_id)
SELECT key, lead_id FROM unnest(%(keys)s::text[], %(lead_ids)s::uuid[]) AS k (key, lead_id) ORDER BY key
"""
MET = errors.Overtaken("INQUIRY_MET", "another inquiry of the same person came at the same time; ask again")
GIVE_UP_KEYS = "DELETE FROM lead_key WHERE lead_id = ANY(%(ids)s::uuid[])"
TAKE_KEYS = """
INSERT INTO lead_key (key, lead_id) SELECT key, %(id)s::uuid FROM unnest(%(keys)s::text[]) AS key ORDER BY key
ON CONFLICT (key) DO NOTHING
"""
JOIN_KEYS = """
UPDATE lead_key SET lead_id = j.to_id FROM unnest(%(from_ids)s::uuid[], %(to_ids)s::uuid[]) AS j (from_id, to_id)
 WHERE lead_key.lead_id = j.from_id
"""
JOIN_SUBMISSIONS = """
UPDATE lead_submission SET lead_id = j.to_id FROM unnest(%(from_ids)s::uuid[], %(to_ids)s::uuid[]) AS j (from_id, to_id)
 WHERE lead_submission.lead_id = j.from_id
"""
SUBMISSIONS = f"SELECT {SUBMISSION} FROM lead_submission WHERE lead_id = %(id)s ORDER BY received_at, source_id"
# Each need once, by the inquiry that told it first.
NEEDS = """
SELECT lead_id, text, received_at, provenance, source, source_id FROM (
    SELECT *, row_number() OVER (PARTITION BY lead_id ORDER BY received_at DESC, source, source_id) AS place FROM (
        SELECT DISTINCT ON (lead_id, profile->>'need') lead_id, profile->>'need' AS text, received_at, provenance, source,
               source_id
          FROM lead_submission WHERE lead_id = ANY(%(ids)s::uuid[]) AND profile ? 'need'
         ORDER BY lead_id, profile->>'need', received_at, source, source_id) AS told) AS placed
 WHERE place <= %(most)s ORDER BY lead_id, place
"""
MOST_NEEDS = 20
ADD_TRANSITIONS = """
INSERT INTO lead_transition (id, lead_id, from_stage, to_stage, actor_id, cause, reason, time)
SELECT id, lead_id, from_stage, to_stage, actor_id, cause, reason, time
  FROM jsonb_populate_recordset(NULL::lead_transition, %(rows)s)
"""
ADD_TRANSITION = """
INSERT INTO lead_transition (id, lead_id, from_stage, to_stage, actor_id, cause, reason, time)
VALUES (%(id)s, %(lead_id)s, %(from_stage)s, %(to_stage)s, %(actor_id)s, %(cause)s, %(reason)s, %(time)s)
"""
TRANSITIONS = """
SELECT from_stage, to_stage, actor_id, cause, reason, time FROM lead_transition WHERE lead_id = %(id)s ORDER BY id
"""
LIST = f"""
SELECT {COLUMNS}, ORDER_KEY AS order_key FROM lead
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (search LIKE ALL(%(words)s::text[]) OR id IN (SELECT lead_id FROM lead_key WHERE key = ANY(%(keys)s::text[])))
   AND (%(territory)s::jsonb IS NULL
        OR in_territory(%(territory)s, id, region_code, industry, coalesce(profile->'product_lines', '[]')))
   AND (%(stages)s::text[] IS NULL OR stage = ANY(%(stages)s))
   AND (%(outcomes)s::text[] IS NULL OR outcome = ANY(%(outcomes)s))
   AND (%(sources)s::text[] IS NULL OR source = ANY(%(sources)s))
   AND (%(campaign)s = '' OR campaign = %(campaign)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
   AND (%(responded)s::boolean IS NULL OR (responded_at IS NOT NULL) = %(responded)s)
   AND (%(lights)s::text[] IS NULL OR response_light = ANY(%(lights)s))
   AND received_at >= coalesce(%(start)s::timestamptz, '-infinity')
          AND received_at < coalesce(%(end)s::timestamptz, 'infinity')
   AND (%(updated_since)s::timestamptz IS NULL OR updated_at >= %(updated_since)s) AND CUSTOM_FIELDS
   AND (ORDER_KEY, id) > (%(after_key)s, %(after_id)s::uuid)
 ORDER BY ORDER_KEY, id LIMIT %(limit)s
"""
# Every lead of a span with how long its first answer took; what is history or a duplicate tells nothing of it.
ANSWERED = f"""
SELECT source, unit_id, owner_id, responded_at - received_at AS took, responded_in_time AS in_time,
       converted_at IS NOT NULL OR opportunity_id IS NOT NULL OR outcome = 'won' AS converted, outcome = 'won' AS won,
       alarm_at IS NOT NULL AND alarm_at <= least(%(end)s, coalesce(responded_at, closed_at, %(end)s)) AS alarmed
  FROM lead
 WHERE {Scope.SQL} AND received_at >= %(start)s AND received_at < %(end)s AND merged_into_id IS NULL
   AND outcome NOT IN ('invalid', 'duplicate')
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(sources)s::text[] IS NULL OR source = ANY(%(sources)s))
"""
MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"
LATEST = 2**62
# Unanswered ones by what falls due first, then the others.
URGENCY = f"""coalesce(CASE WHEN stage = 'closed' OR responded_at IS NOT NULL THEN NULL
                           ELSE {MICROSECONDS.format("least(response_due_at, alarm_at)")} END, {LATEST})"""
ORDERS: dict[str, tuple[str, int]] = {
    "": ("0::bigint", -1),
    "most_urgent": (URGENCY, -1),
    "newest_first": ("-" + MICROSECONDS.format("received_at"), -LATEST),
    "priority": ("-priority", -1000),
    "last_interaction_first": (f"coalesce({MICROSECONDS.format('last_interaction_at')}, 0)", -1),
}


@dataclass(frozen=True, slots=True)
class Submission:
    source: str
    source_id: str
    lead_id: str
    provenance: dict[str, Any]
    profile: dict[str, Any]
    payload: dict[str, Any] | None
    consents: list[dict[str, Any]]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Need:
    lead_id: str
    text: str
    received_at: datetime
    provenance: dict[str, Any]
    source: str
    source_id: str


@dataclass(frozen=True, slots=True)
class Transition:
    from_stage: str
    to_stage: str
    actor_id: str
    cause: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A key and the lead that has it now, or a key and a customer of ours it belongs to."""

    key: str
    lead_id: str | None
    contact_id: str | None
    account_id: str | None
    owner_id: str


async def get(reader: Reader | Transaction, id: str) -> Lead | None:
    return await reader.one(GET, {"id": id}, into=Lead)


async def get_by_source(reader: Reader, source: str, source_id: str) -> Lead | None:
    return await reader.one(GET_BY_SOURCE, {"source": source, "source_id": source_id}, into=Lead)


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, Lead]:
    return {row.id: row for row in await tx.all(LOCK, {"ids": list(ids)}, into=Lead)}


async def lock_with_keys(tx: Transaction, ids: Collection[str]) -> dict[str, Lead]:
    """For whoever gives up their keys. One round trip."""
    tx.do(LOCK_KEYS, {"ids": list(ids)})
    return await lock(tx, ids)


async def lock_of_opportunity(tx: Transaction, opportunity_id: str, lead_id: str) -> list[Lead]:
    params = {"opportunity_id": opportunity_id or None, "lead_id": lead_id or None}
    tx.do(LOCK_KEYS_OF_OPPORTUNITY, params)
    return await tx.all(LOCK_OF_OPPORTUNITY, params, into=Lead)


def add(tx: Transaction, leads: Sequence[Lead]) -> None:
    """Queues leads that are new."""
    if len(leads) == 1:
        tx.write(_adding, leads[0])
    else:
        put(tx, leads)


def put(tx: Transaction, leads: Sequence[Lead]) -> None:
    tx.do(PUT, {"rows": rows.pack(map(_row, leads))})


def _adding(leads: Sequence[Lead]) -> Iterator[Statement]:
    if len(leads) == 1:
        yield ADD_ONE, {**rows.values(leads[0], Lead), "search": leads[0].search}
    else:
        yield ADD, {"rows": rows.pack(map(_row, leads))}


def _row(lead: Lead) -> dict[str, Any]:
    return {**rows.row(lead), "search": lead.search}


async def claim_sources(tx: Transaction, submissions: Sequence[Submission]) -> dict[tuple[str, str], tuple[str, bool]]:
    """By source: the lead it made, and whether that is new."""
    found = await tx.all(CLAIM_SOURCES, {"rows": rows.pack(submissions)})
    return {(row["source"], row["source_id"]): (row["lead_id"], row["fresh"]) for row in found}


async def claim_keys(tx: Transaction, keys: Mapping[str, str], names: Collection[str]) -> list[Claim]:
    """`keys` to the lead that wants them; `names` are keys of company names that only look for a customer."""
    params = {"keys": list(keys), "lead_ids": list(keys.values()), "names": list(names)}
    return await tx.all(CLAIM_KEYS, params, into=Claim)


@dataclass(frozen=True, slots=True)
class Look:
    """What an inquiry is to be known by; `loads` asks who could get it."""

    source: str
    source_id: str
    keys: Sequence[str]
    name: str
    loads: Statement | None


@dataclass(frozen=True, slots=True)
class Met:
    """`known`: there is a lead of this source; `loads`: the rows of that question."""

    known: bool
    claims: list[Claim]
    loads: Rows


async def met(db: Reader, look: Look) -> Met:
    """One round trip of all who look at once. What it finds nobody of is still to be claimed by `submit`."""
    return await db.together(_met, look)


async def _met(db: Reader, looks: Sequence[Look]) -> list[Met]:
    asked = [(place, look.source, look.source_id, rows.array(look.keys), look.name) for place, look in enumerate(looks)]
    # Those who could get leads of one kind are the same people.
    kinds = {look.loads[1]["people"]: look.loads for look in looks if look.loads is not None}
    found, *loads = await db.each(places.among(LOOK_EACH, LOOKED, asked), *kinds.values())
    loads_of = dict(zip(kinds, loads, strict=True))
    known: set[int] = set()
    claims: list[list[Claim]] = [[] for _ in looks]
    for row in found:
        if row["key"]:
            claims[row["place"]].append(
                Claim(row["key"], row["lead_id"], row["contact_id"], row["account_id"], row["owner_id"])
            )
        else:
            known.add(row["place"])
    return [
        Met(place in known, claims[place], [] if look.loads is None else loads_of[look.loads[1]["people"]])
        for place, look in enumerate(looks)
    ]


def submit(tx: Transaction, submission: Submission, keys: Sequence[str]) -> None:
    """Queues an inquiry that met nobody, and its keys."""
    touches = [f"inquiry:{submission.source}:{submission.source_id}", *(f"lead_key:{key}" for key in keys)]
    refuse = {"lead_submission_key": MET, "lead_key_key": MET}
    tx.write(_submitting, (submission, keys), touches=touches, refuse=refuse)


def _submitting(made: Sequence[tuple[Submission, Sequence[str]]]) -> Iterator[Statement]:
    yield SUBMIT, {"rows": rows.pack(submission for submission, _ in made)}
    held = [(key, submission.lead_id) for submission, keys in made for key in keys]
    if held:
        keys, lead_ids = zip(*held, strict=True)
        yield KEEP_KEYS, {"keys": rows.array(keys), "lead_ids": rows.array(lead_ids)}


def claim_one(submission: Submission, keys: Collection[str], name: str) -> Statement:
    """Its source and its keys in one statement, whose rows `claimed` takes."""
    row = {column: getattr(submission, column) for column in SUBMISSION.split(", ")}
    for column in ("provenance", "profile", "payload", "consents"):
        row[column] = None if row[column] is None else Jsonb(row[column])
    return CLAIM_ONE, {**row, "keys": list(keys), "name": name}


def claimed(found: Rows) -> tuple[str, bool, list[Claim]]:
    """The lead its inquiry made, whether that is new, and what its keys belong to."""
    (source,) = (row for row in found if row["fresh"] is not None)
    claims = [
        Claim(row["key"], row["lead_id"], row["contact_id"], row["account_id"], row["owner_id"])
        for row in found
        if row["fresh"] is None
    ]
    return source["lead_id"], source["fresh"], claims


def join(tx: Transaction, joined: Mapping[str, str]) -> None:
    """Queues that inquiries and keys of one lead become another's."""
    params = {"from_ids": list(joined), "to_ids": list(joined.values())}
    tx.do(JOIN_SUBMISSIONS, params)
    tx.do(JOIN_KEYS, params)


def give_up_keys(tx: Transaction, ids: Collection[str]) -> None:
    tx.do(GIVE_UP_KEYS, {"ids": list(ids)})


def take_keys(tx: Transaction, id: str, keys: Collection[str]) -> None:
    """Keys another open lead has stay with it."""
    tx.do(TAKE_KEYS, {"id": id, "keys": list(keys)})


def add_transitions(work: Work, steps: Sequence[tuple[str, str, str, str]]) -> None:
    """(lead id, from, to, reason) of this unit of work."""
    packed = [
        {
            "id": new_id(),
            "lead_id": lead_id,
            "from_stage": before,
            "to_stage": after,
            "actor_id": work.actor,
            "cause": work.cause,
            "reason": reason,
            "time": work.now,
        }
        for lead_id, before, after, reason in steps
    ]
    if len(packed) == 1:
        work.tx.write(_stepping, packed[0])
    elif packed:
        work.tx.do(ADD_TRANSITIONS, {"rows": rows.pack(packed)})


def _stepping(steps: Sequence[dict[str, Any]]) -> Iterator[Statement]:
    if len(steps) == 1:
        yield ADD_TRANSITION, steps[0]
    else:
        yield ADD_TRANSITIONS, {"rows": rows.pack(steps)}


async def needs(reader: Reader | Transaction, ids: Collection[str]) -> dict[str, list[Need]]:
    """By lead what was asked for, the newest first. One round trip."""
    found: dict[str, list[Need]] = {}
    if ids:
        for need in await reader.all(NEEDS, {"ids": list(ids), "most": MOST_NEEDS}, into=Need):
            found.setdefault(need.lead_id, []).append(need)
    return found


async def submissions(reader: Reader, id: str) -> list[Submission]:
    return await reader.all(SUBMISSIONS, {"id": id}, into=Submission)


async def transitions(reader: Reader, id: str) -> list[Transition]:
    return await reader.all(TRANSITIONS, {"id": id}, into=Transition)


async def page(reader: Reader, order: str, params: dict[str, Any]) -> list[tuple[Lead, int]]:
    sought = custom_fields.sought(params["custom_fields"])
    found = await reader.all(LIST.replace("ORDER_KEY", ORDERS[order][0]).replace("CUSTOM_FIELDS", sought), params)
    return [(Lead(**{k: v for k, v in row.items() if k != "order_key"}), row["order_key"]) for row in found]
