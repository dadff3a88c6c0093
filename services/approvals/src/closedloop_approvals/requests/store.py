"""Requests, their steps, signers and trails in SQL; every write is set-based, one request or a thousand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_approvals import standing_in
from closedloop_approvals.requests import moving
from closedloop_approvals.requests.copies import made
from closedloop_approvals.requests.route import Route, Signer, State, Step
from closedloop_approvals.requests.trail import Sealed
from closedloop_approvals.standing_in import StandIn
from closedloop_chassis import errors
from closedloop_chassis.data import places, rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.data.wire import Statement


@dataclass(frozen=True)
class Request:
    """A request as it is kept; jsonb columns are dicts and lists. `route` holds its state and steps.

    Without slots, so that it is copied as one dict: there are more than forty fields, and a decision copies it twice.
    """

    id: str
    origin: str
    kind: str
    subject_id: str
    subject_version: int
    digest: str
    title: str
    summary: str
    opportunity_id: str | None
    facts: dict[str, Any]
    account_id: str | None
    amount_minor: int | None
    currency: str
    base_minor: int | None
    discount_ratio: float | None
    submitter_id: str
    opened_by: str
    owner_id: str
    unit_id: str
    participants: list[str]
    reason: str
    attachments: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    policies: list[str]
    accumulated_ids: list[str]
    not_required: bool
    decision: dict[str, Any]
    on_overdue: str
    silence: str
    opened_at: datetime
    # When its present content came; None: as it was opened.
    submitted_at: datetime | None
    due_at: datetime | None
    closed_at: datetime | None
    running_since: datetime | None
    elapsed: timedelta
    escalation_level: int
    conditions: str
    decided_by: str
    decided_for: str
    provenance: dict[str, Any]
    version: int
    trail_length: int
    trail_hash: str
    # Decided in a former system: it clears nothing.
    imported: bool
    route: Route
    # The rule of each step by its number.
    step_rules: dict[int, dict[str, Any]]

    @property
    def state(self) -> State:
        return self.route.state

    @property
    def parties(self) -> frozenset[str]:
        """Who may not decide it."""
        return frozenset({self.submitter_id, self.opened_by, self.owner_id} - {""})

    @property
    def subject(self) -> dict[str, Any]:
        names = ("origin", "kind", "digest", "title", "summary")
        return {name: getattr(self, name) for name in names} | {
            "id": self.subject_id,
            "version": self.subject_version,
            "opportunity_id": self.opportunity_id or "",
        }


COLUMNS = [field.name for field in fields(Request) if field.name not in ("route", "step_rules")]
SELECT = ", ".join(f"r.{name}" for name in [*COLUMNS, "state", "decided_step"])

# As text, which PostgreSQL writes once: jsonb is built first and written then.
ROUTE = """
 coalesce((SELECT json_agg(s ORDER BY s.number) FROM approval_step s WHERE s.request_id = r.id), '[]') AS steps,
 coalesce((SELECT json_agg(g ORDER BY g.step, g.position)
             FROM approval_signer g WHERE g.request_id = r.id), '[]') AS signers
"""

# Whoever holds the request's row holds its steps and signers; they are read by a statement after the lock.
LOCK = "SELECT FROM approval_request WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"

STAND_INS = f"""
({standing_in.IN_FORCE} AND (delegate_id = %(person)s
    OR delegator_id IN (SELECT person_id FROM approval_signer w WHERE w.request_id = r.id))) AS stand_ins
"""
READ = f"SELECT {SELECT}, {ROUTE}, {STAND_INS} FROM approval_request r WHERE r.id = ANY(%(ids)s::uuid[])"
# One, as most are: PostgreSQL keeps a plan for a key and makes one for an array at every call.
LOCK_ONE = "SELECT FROM approval_request WHERE id = %(id)s::uuid FOR UPDATE"
READ_ONE = f"SELECT {SELECT}, {ROUTE}, {STAND_INS} FROM approval_request r WHERE r.id = %(id)s::uuid"
# Several, each as another person sees it at an instant of his own; each is looked up by its key (OFFSET 0), however small
# the table was when that was planned.
READ_EACH = f"""
SELECT {SELECT}, {ROUTE}, {STAND_INS.replace("%(person)s", "a.person").replace("%(now)s", "a.now")}, a.place
  FROM {{asked}} CROSS JOIN LATERAL (SELECT * FROM approval_request WHERE id = a.id OFFSET 0) r
"""
ASKED = {"place": "int", "id": "uuid", "person": "text", "now": "timestamptz"}

OF_SUBJECT = f"""
SELECT {SELECT}, {ROUTE}, '[]'::jsonb AS stand_ins FROM approval_request r
 WHERE r.origin = %(origin)s AND r.kind = %(kind)s AND r.subject_id = %(subject_id)s
   AND NOT r.imported
 ORDER BY r.subject_version DESC, r.opened_at DESC LIMIT 1000
"""
# Submitters of one subject follow each other, also while there is no row to lock yet.
LOCK_SUBJECT = """
SELECT pg_advisory_xact_lock(hashtext('approval_subject'), hashtext(%(origin)s || '/' || %(kind)s || %(subject_id)s))
"""
# Nor do matters that could count together pass each other: two halves told at the same instant would not see each other.
# Whoever holds both an owner and a customer took the owner first.
LOCK_OWNER = """
SELECT pg_advisory_xact_lock(hashtext('approval_owner'), hashtext(%(kind)s || '/' || %(owner_id)s))
"""
LOCK_CUSTOMER = """
SELECT pg_advisory_xact_lock(hashtext('approval_account'),
                             hashtext(%(kind)s || '/' || (account_family(%(account_id)s::uuid))[1]))
"""

LIST = f"""
SELECT {SELECT}, {ROUTE}, '[]'::jsonb AS stand_ins
  FROM approval_request r
 WHERE (%(scope_company)s OR r.owner_id = %(scope_owner)s OR r.unit_id = ANY(%(scope_units)s)
        OR r.submitter_id = %(scope_owner)s OR r.participants @> ARRAY[%(scope_owner)s::text])
   AND (%(states)s::text[] IS NULL OR r.state = ANY(%(states)s))
   AND (%(kind)s = '' OR r.kind = %(kind)s) AND (%(origin)s = '' OR r.origin = %(origin)s)
   AND (%(subject_id)s = '' OR r.subject_id = %(subject_id)s)
   AND (%(account_id)s::uuid IS NULL OR r.account_id = %(account_id)s)
   AND (%(opportunity_id)s::uuid IS NULL OR r.opportunity_id = %(opportunity_id)s)
   AND (%(submitter_id)s = '' OR r.submitter_id = %(submitter_id)s)
   AND (%(signer_id)s = '' OR EXISTS (SELECT FROM approval_signer g WHERE g.request_id = r.id
                                         AND g.person_id = %(signer_id)s AND g.asked_at IS NOT NULL))
   AND (%(unit_ids)s::text[] IS NULL OR r.unit_id = ANY(%(unit_ids)s))
   AND (%(policy)s = '' OR %(policy)s = ANY(r.policies))
   AND r.opened_at >= coalesce(%(opened_from)s::timestamptz, '-infinity')
   AND r.opened_at < coalesce(%(opened_to)s::timestamptz, 'infinity')
   AND (NOT %(overdue)s OR (r.state = 'pending' AND (r.due_at < %(now)s OR r.escalation_level > 0)))
   AND (%(query)s = '' OR strpos(lower(r.title || ' ' || r.reason), lower(%(query)s)) > 0)
   AND (r.opened_at, r.id) < (%(before)s::timestamptz, %(before_id)s::uuid)
 ORDER BY r.opened_at DESC, r.id DESC LIMIT %(limit)s
"""

# What changes in the life of a request; everything else is written once, or anew when it is resubmitted.
WRITTEN = [*COLUMNS, "state", "decided_step"]
PUT = f"""
INSERT INTO approval_request ({", ".join(WRITTEN)})
SELECT {", ".join(WRITTEN)} FROM jsonb_populate_recordset(NULL::approval_request, %(rows)s)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in WRITTEN[1:] if name != "opened_at")}
"""
MOVE = """
UPDATE approval_request r
   SET state = n.state, participants = n.participants, due_at = n.due_at, closed_at = n.closed_at,
       running_since = n.running_since, elapsed = n.elapsed, escalation_level = n.escalation_level,
       conditions = n.conditions, decided_step = n.decided_step,
       decided_by = n.decided_by, decided_for = n.decided_for, version = n.version,
       trail_length = n.trail_length, trail_hash = n.trail_hash
  FROM jsonb_to_recordset(%(rows)s)
       AS n (id uuid, state text, participants text[], due_at timestamptz, closed_at timestamptz,
             running_since timestamptz, elapsed interval, escalation_level integer, conditions text,
             decided_step integer, decided_by text, decided_for text, version bigint, trail_length bigint, trail_hash text)
 WHERE r.id = n.id AND jsonb_build_array(r.version, r.trail_length) = %(read)s::jsonb -> r.id::text
"""
# All of them as they were read; who was overtaken is undone, and begins again.
MOVE = f"WITH moved AS ({MOVE} RETURNING 1) SELECT presumed(count(*) = %(count)s) FROM moved"
FORGET_ROUTE = (
    "DELETE FROM approval_signer WHERE request_id = ANY(%(ids)s::uuid[])",
    "DELETE FROM approval_step WHERE request_id = ANY(%(ids)s::uuid[])",
)
PUT_STEPS = """
INSERT INTO approval_step SELECT * FROM jsonb_populate_recordset(NULL::approval_step, %(rows)s)
ON CONFLICT (request_id, number) DO UPDATE SET started_at = excluded.started_at, ended_at = excluded.ended_at
"""
PUT_SIGNERS = """
INSERT INTO approval_signer SELECT * FROM jsonb_populate_recordset(NULL::approval_signer, %(rows)s)
ON CONFLICT (request_id, step, position) DO UPDATE
   SET state = excluded.state, waits_for = excluded.waits_for, signed_by = excluded.signed_by,
       asked_at = excluded.asked_at, answered_at = excluded.answered_at, comment = excluded.comment
"""
APPEND = """
INSERT INTO approval_trail (request_id, sequence, content, previous_hash, hash)
SELECT request_id, sequence, content, previous_hash, hash FROM jsonb_populate_recordset(NULL::approval_trail, %(rows)s)
"""

TRAIL = """
SELECT request_id, sequence, content, previous_hash, hash FROM approval_trail
 WHERE request_id = %(id)s AND sequence > %(after)s ORDER BY sequence LIMIT %(limit)s
"""
TRAILS = """
SELECT request_id, sequence, content, previous_hash, hash FROM approval_trail
 WHERE request_id = ANY(%(ids)s::uuid[]) ORDER BY request_id, sequence
"""
CHAINS = f"""
SELECT {SELECT}, {ROUTE}, '[]'::jsonb AS stand_ins FROM approval_request r
 WHERE (cardinality(%(ids)s::uuid[]) = 0 OR r.id = ANY(%(ids)s::uuid[])) AND r.id > %(after)s::uuid
   AND r.opened_at >= coalesce(%(opened_from)s::timestamptz, '-infinity')
   AND r.opened_at < coalesce(%(opened_to)s::timestamptz, 'infinity')
 ORDER BY r.id LIMIT %(limit)s
"""
# After each act the audit trail kept the hash that the chain then ended with.
AUDITED = """
SELECT subject AS id, array_agg(changes -> 'trail_hash' ->> 1 ORDER BY id) AS hashes FROM audit_entry
 WHERE subject = ANY(%(ids)s) AND changes ? 'trail_hash' GROUP BY subject
"""
# A chain that is gone whole cannot say so; that it was begun stands in the audit trail as well.
GONE = """
SELECT DISTINCT a.subject AS id FROM audit_entry a
 WHERE a.action IN ('open', 'import') AND a.time >= coalesce(%(opened_from)s::timestamptz, '-infinity')
   AND a.time < coalesce(%(opened_to)s::timestamptz, 'infinity')
   AND NOT EXISTS (SELECT FROM approval_request r
                    WHERE r.id = CASE WHEN a.subject ~ '^[0-9a-f-]{36}$' THEN a.subject::uuid END)
 ORDER BY 1 LIMIT 1000
"""
OPEN_FOR = """
SELECT DISTINCT g.request_id AS id, g.person_id FROM approval_signer g JOIN approval_request r ON r.id = g.request_id
 WHERE g.person_id = ANY(%(people)s) AND g.state IN ('asked', 'waiting', 'returned') AND r.state IN ('pending', 'returned')
   AND (g.person_id = ANY(%(gone)s) OR starts_with(g.reason, 'role:'))
 ORDER BY 1, 2
"""

TAKEN = errors.AlreadyExists(
    "ALREADY_OPEN", "a request on this subject was opened a moment ago; read it and go on from there"
)


@dataclass(frozen=True, slots=True)
class Held:
    """A request as it was read, and who stands in for its signers, or for whom the person who acts stands in."""

    request: Request
    stand_ins: list[StandIn]


async def lock(tx: Transaction, ids: Sequence[str], person: str, now: datetime) -> dict[str, Held]:
    """By id, in one round trip; unknown ids are absent."""
    if len(ids) == 1:
        tx.do(LOCK_ONE, {"id": ids[0]})
        row = await tx.one(READ_ONE, {"id": ids[0], "person": person, "now": now})
        return {} if row is None else {row["id"]: _held(row)}
    tx.do(LOCK, {"ids": list(ids)})
    rows = await tx.all(READ, {"ids": list(ids), "person": person, "now": now})
    return {row["id"]: _held(row) for row in rows}


async def read(db: Reader, request_id: str, person: str, now: datetime) -> Held | None:
    """Without a lock: what is saved upon it holds only if nobody was faster. One round trip of all who read at once."""
    return await db.together(_read_each, (request_id, person, now))


async def _read_each(db: Reader, asked: Sequence[tuple[str, str, datetime]]) -> list[Held | None]:
    if len(asked) == 1:
        [(request_id, person, now)] = asked
        row = await db.one(READ_ONE, {"id": request_id, "person": person, "now": now})
        return [None if row is None else _held(row)]
    found = await db.all(*places.among(READ_EACH, ASKED, [(place, *one) for place, one in enumerate(asked)]))
    held = {row.pop("place"): row for row in found}
    return [_held(held[place]) if place in held else None for place in range(len(asked))]


async def of_subject(tx: Transaction | Reader, origin: str, kind: str, subject_id: str) -> list[Request]:
    """Requests on a subject, the newest version first. A transaction holds the subject from here on."""
    params = {"origin": origin, "kind": kind, "subject_id": subject_id}
    if isinstance(tx, Transaction):
        tx.do(LOCK_SUBJECT, params)
    return [_held(row).request for row in await tx.all(OF_SUBJECT, params)]


def hold_neighbours(tx: Transaction, owner_id: str, account_id: str, kind: str) -> None:
    """Queued: from the next read on, no other matter that could count together with this one is on its way in."""
    tx.do(LOCK_OWNER, {"owner_id": owner_id, "kind": kind})
    if account_id:
        tx.do(LOCK_CUSTOMER, {"account_id": account_id, "kind": kind})


async def page(db: Reader, params: Mapping[str, Any]) -> list[Request]:
    return [_held(row).request for row in await db.all(LIST, dict(params))]


async def chains(db: Reader, params: Mapping[str, Any]) -> tuple[list[Request], dict[str, list[Sealed]]]:
    """Requests with their whole trails, to be verified."""
    requests = [_held(row).request for row in await db.all(CHAINS, dict(params))]
    trails: dict[str, list[Sealed]] = {request.id: [] for request in requests}
    for link in await db.all(TRAILS, {"ids": list(trails)}, into=Sealed):
        trails[link.request_id].append(link)
    return requests, trails


async def standing_in_for(tx: Transaction, people: Sequence[str], now: datetime) -> list[StandIn]:
    """Who stands in for any of them now."""
    found = await tx.value(f"{standing_in.IN_FORCE} AND delegator_id = ANY(%(people)s)", {"people": people, "now": now})
    return standing_in.parse(found)


async def audited(db: Reader, ids: Sequence[str]) -> dict[str, list[str]]:
    """By request, the hashes with which its chain ended at some time, as the audit trail has them."""
    return {row["id"]: row["hashes"] for row in await db.all(AUDITED, {"ids": list(ids)})}


async def gone(db: Reader, opened_from: datetime | None, opened_to: datetime | None) -> list[str]:
    """Requests that were opened, or brought in, in this period and are no longer there; the first thousand."""
    return [row["id"] for row in await db.all(GONE, {"opened_from": opened_from, "opened_to": opened_to})]


async def trail(db: Reader, request_id: str, after: int, limit: int) -> list[Sealed]:
    return await db.all(TRAIL, {"id": request_id, "after": after, "limit": limit}, into=Sealed)


async def open_for(tx: Transaction, people: Sequence[str], gone: Sequence[str]) -> dict[str, list[str]]:
    """Open requests that ask one of these people, or will when their step comes, by id; of who is not gone those that
    ask them as one of a department."""
    found: dict[str, list[str]] = {}
    for row in await tx.all(OPEN_FOR, {"people": list(people), "gone": list(gone)}):
        found.setdefault(row["id"], []).append(row["person_id"])
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """A request before (None: there was none) and after; `anew` when its content or its route is another."""

    before: Request | None
    after: Request
    anew: bool


def save(tx: Transaction, changes: Sequence[Written], links: Sequence[Sealed]) -> None:
    """Queues requests as they are after; the ones before tell what need not be written."""
    anew = any(change.anew for change in changes)
    refuse = {"approval_request_version_key": TAKEN, "approval_request_open_key": TAKEN} if anew else None
    tx.write(_saving, (changes, links), touches=[f"request:{change.after.id}" for change in changes], refuse=refuse)


def _saving(saves: Sequence[tuple[Sequence[Written], Sequence[Sealed]]]) -> Iterator[Statement]:
    changes = [change for some, _ in saves for change in some]
    links = [link for _, some in saves for link in some]
    if len(changes) == 1 and (one := _alone(changes[0], links)) is not None:
        yield one
        return
    anew = [change.after for change in changes if change.anew]
    if anew:
        yield PUT, {"rows": rows.pack(map(_row, anew))}
        for statement in FORGET_ROUTE:
            yield statement, {"ids": [request.id for request in anew]}
    moved = [(change.before, change.after) for change in changes if not change.anew]
    if moved:
        read = {before.id: [before.version, before.trail_length] for before, _ in moved if before}
        told = rows.pack(_moved_row(after) for _, after in moved)
        yield MOVE, {"rows": told, "read": Jsonb(read), "count": len(read)}
    steps, signers = [], []
    for change in changes:
        after, old = change.after, {}
        if change.before is not None and not change.anew:
            old = {step.number: step for step in change.before.route.steps}
        for step in after.route.steps:
            before = old.get(step.number)
            if before is None or (before.started_at, before.ended_at) != (step.started_at, step.ended_at):
                steps.append(_step_row(after, step))
            written = set(before.signers) if before else set()
            signers += [_signer_row(after.id, step.number, signer) for signer in step.signers if signer not in written]
    if steps:
        yield PUT_STEPS, {"rows": rows.pack(steps)}
    if signers:
        yield PUT_SIGNERS, {"rows": rows.pack(signers)}
    if links:
        yield APPEND, {"rows": rows.pack(links)}


def _alone(change: Written, links: Sequence[Sealed]) -> Statement | None:
    if change.before is None or change.anew:
        return None
    return moving.statement(change.before, change.after, links)


def _held(row: dict[str, Any]) -> Held:
    steps, signers, stand_ins = row.pop("steps"), row.pop("signers"), row.pop("stand_ins")
    by_step: dict[int, list[Signer]] = {}
    for told in signers:
        number = told.pop("step")
        del told["request_id"]
        by_step.setdefault(number, []).append(made(Signer, _times(told, "asked_at", "answered_at")))
    for told in steps:
        del told["request_id"]
    rules = {told["number"]: told.pop("rule") for told in steps}
    stations = tuple(
        made(Step, {**_times(told, "started_at", "ended_at"), "signers": tuple(by_step.get(told["number"], ()))})
        for told in steps
    )
    route = Route(row.pop("state"), stations, row.pop("decided_step"))
    return Held(made(Request, {**row, "route": route, "step_rules": rules}), standing_in.parse(stand_ins))


def _times(row: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        row[name] = row[name] and datetime.fromisoformat(row[name])
    return row


def _row(request: Request) -> dict[str, Any]:
    return rows.row(request, only=COLUMNS) | {"state": request.state, "decided_step": request.route.decided_step}


def _moved_row(request: Request) -> dict[str, Any]:
    only = [name for name in moving.REQUEST if name not in ("state", "decided_step")]
    told = rows.row(request, only=["id", "participants", *only])
    return told | {"state": request.state, "decided_step": request.route.decided_step}


def _step_row(request: Request, step: Step) -> dict[str, Any]:
    return {
        "request_id": request.id,
        "number": step.number,
        "name": step.name,
        "mode": step.mode,
        "quorum": step.quorum,
        "parallel_group": step.parallel_group,
        "rule": request.step_rules.get(step.number, {}),
        "started_at": step.started_at,
        "ended_at": step.ended_at,
    }


def _signer_row(request_id: str, step: int, signer: Signer) -> dict[str, Any]:
    return {"request_id": request_id, "step": step, **rows.row(signer)}
