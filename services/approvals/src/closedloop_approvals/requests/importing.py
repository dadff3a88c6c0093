"""ImportRequests: what a former system decided, shown and counted here, clearing nothing (S67, U14)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from closedloop.approvals.v1 import policies_pb2
from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop.common.v1.common_pb2 import Provenance, RowError
from closedloop_approvals import routing
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.requests import standing, store, trail
from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.route import OPEN, Route, State
from closedloop_approvals.requests.store import Request, Written
from closedloop_approvals.requests.submission import as_dict, own_matter
from closedloop_approvals.requests.trail import Entry
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call

Rows = list[tuple[int, pb.ImportedRequest]]

# After so many rows others get their turn: a bulk call must not stop the calls beside it.
BREATH = 200

# Two imports of one source at once wait for each other, or both would create.
ONE_AT_A_TIME = """
SELECT pg_advisory_xact_lock(hashtext('approval import'), h)
  FROM (SELECT DISTINCT hashtext(s) AS h FROM unnest(%(sources)s::text[]) s ORDER BY 1) in_order
"""
THERE = """
SELECT r.provenance ->> 'source' AS source, r.provenance ->> 'source_id' AS source_id, r.state, r.closed_at, r.decided_by
  FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS given (source, source_id)
  JOIN approval_request r ON r.imported AND r.provenance ->> 'source' = given.source
                         AND r.provenance ->> 'source_id' = given.source_id
"""


async def bring_in(rows: Sequence[pb.ImportedRequest], call: Call, *, rehearse: bool) -> tuple[int, list[RowError]]:
    """How many were (or would be) created, and the rows refused; what is there already is neither."""
    good, refused = bulk.sift(rows)
    fresh = await _fresh(bulk.distinct(good, refused), refused, call)
    made: list[Request] = []
    for count, (position, row) in enumerate(fresh, 1):
        try:
            made.append(_request(row, call))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
        if count % BREATH == 0:
            await asyncio.sleep(0)
    if not rehearse:
        await _put(made, dict(_comments(fresh)), call)
    return len(made), refused


async def _fresh(given: Rows, refused: list[RowError], call: Call) -> Rows:
    """Rows that are not here yet; one that says something else of what is here is refused, history is not rewritten."""
    if not given:
        return []
    sources = [row.provenance.source for _, row in given]
    call.tx.do(ONE_AT_A_TIME, {"sources": sources})
    keys = {"sources": sources, "source_ids": [row.provenance.source_id for _, row in given]}
    there = {(found["source"], found["source_id"]): found for found in await call.tx.all(THERE, keys)}
    fresh: Rows = []
    for position, row in given:
        found = there.get((row.provenance.source, row.provenance.source_id))
        if found is None:
            fresh.append((position, row))
        elif (found["state"], found["closed_at"], found["decided_by"]) != (
            _state(row),
            protos.instant(row.close_time, "close_time"),
            row.decided_by,
        ):
            error = errors.AlreadyExists("IMPORTED_DIFFERS", "it is here with another end; history is not rewritten")
            refused.append(bulk.refused(position, error))
    return fresh


def _state(row: pb.ImportedRequest) -> State:
    word: State = pb.RequestState.Name(row.state).removeprefix("REQUEST_STATE_").lower()  # type: ignore[assignment]
    return word


def _request(row: pb.ImportedRequest, call: Call) -> Request:
    """Raises PermissionDenied ORIGIN_RESERVED, InvalidArgument STATE_OPEN, PERIOD_INVALID, TIME_IN_FUTURE."""
    own_matter(row.subject.origin, call)
    opened, closed = protos.instant(row.open_time, "open_time"), protos.instant(row.close_time, "close_time")
    state = _state(row)
    if state in OPEN:
        raise errors.InvalidArgument(
            "STATE_OPEN", "only what is decided is history; open the rest anew", {"state": "is open"}
        )
    if closed < opened:
        raise errors.InvalidArgument("PERIOD_INVALID", "it closed before it was opened", {"close_time": "too early"})
    if closed > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it has not happened yet", {"close_time": "in the future"})
    book = call.rules(ApprovalPolicyRules)
    subject, ownership = row.subject, row.facts.ownership
    owner_id = ownership.owner_id or row.submitter_id
    owner = call.org.person(owner_id)
    unit_id = ownership.unit_id or (owner.unit_id if owner else "")
    minor, currency = _amount(row.facts)
    return Request(
        id=new_id(),
        origin=subject.origin,
        kind=subject.kind,
        subject_id=subject.id,
        subject_version=subject.version,
        digest=subject.digest,
        title=subject.title,
        summary=subject.summary,
        opportunity_id=subject.opportunity_id.lower() or None,
        facts=routing.facts_dict(row.facts),
        account_id=row.facts.account_id.lower() or None,
        amount_minor=minor,
        currency=currency,
        # Amounts of the past in other currencies count for nothing: the rate of that day may not be known.
        base_minor=minor if currency == book.base_currency else None,
        discount_ratio=row.facts.discount_ratio if row.facts.HasField("discount_ratio") else None,
        submitter_id=row.submitter_id,
        opened_by=call.caller.subject,
        owner_id=owner_id,
        unit_id=unit_id,
        participants=sorted({row.decided_by} - {""}),
        reason=row.reason,
        attachments=[],
        rules=[],
        policies=[],
        accumulated_ids=[],
        not_required=False,
        decision=book.decision.model_dump(mode="json"),
        on_overdue="escalate",
        silence="",
        opened_at=opened,
        submitted_at=None,
        due_at=None,
        closed_at=closed,
        running_since=None,
        elapsed=_elapsed(opened, closed, unit_id, book, call),
        escalation_level=0,
        conditions="",
        decided_by=row.decided_by,
        decided_for="",
        provenance=as_dict(
            Provenance(
                source=row.provenance.source,
                source_id=row.provenance.source_id,
                brought_by=call.caller.subject,
                observed_time=row.provenance.observed_time if row.provenance.HasField("observed_time") else None,
            )
        ),
        version=1,
        trail_length=1,
        trail_hash="",
        imported=True,
        route=Route(state, ()),
        step_rules={},
    )


def _amount(facts: policies_pb2.Facts) -> tuple[int | None, str]:
    if not facts.HasField("amount"):
        return None, ""
    return protos.minor_units(facts.amount, "facts.amount"), facts.amount.currency_code


def _elapsed(opened: datetime, closed: datetime, unit_id: str, book: ApprovalPolicyRules, call: Call) -> timedelta:
    """On our calendar, so that before and after compare (it took 3.2 days)."""
    return call.calendars.between(opened, closed, book.decision.calendar, unit_id)


def _comments(fresh: Rows) -> list[tuple[tuple[str, str], str]]:
    return [((row.provenance.source, row.provenance.source_id), row.comment) for _, row in fresh]


async def _put(made: list[Request], comments: dict[tuple[str, str], str], call: Call) -> None:
    for begin in range(0, len(made), BREATH):
        written, links = [], []
        for held in made[begin : begin + BREATH]:
            said = comments[held.provenance["source"], held.provenance["source_id"]]
            (link,) = trail.seal(held.id, 0, trail.FIRST, call.now, held.subject_version, [_entry(held, said, call)])
            links.append(link)
            written.append(Written(None, replace(held, trail_hash=link.hash), anew=True))
            told = {"state": held.state, "provenance": held.provenance, "trail_hash": link.hash}
            call.audit(held.id, "import", {}, told)
        store.save(call.tx, written, links)
        await asyncio.sleep(0)


def _entry(held: Request, comment: str, call: Call) -> Entry:
    return Entry(
        action="imported",
        actor_id=call.caller.subject,
        comment=comment,
        person_ids=tuple(held.participants),
        content_hash=trail.content_hash(held.subject, held.facts),
        terms_hash=standing.terms_hash(held),
        state_hash=standing.state_hash(held),
    )
