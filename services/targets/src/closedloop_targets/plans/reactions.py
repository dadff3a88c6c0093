"""What comes back from approvals, from the funnel, and from the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2
from closedloop.common.v1.common_pb2 import Light
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import enums, errors, protos
from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.data import rows
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets.book.exceptions import KIND, ORIGIN, Exemption
from closedloop_targets.book.model import Plan, Version
from closedloop_targets.plans import circumstances, store, version_api

reactions = Reactions()

# Newer versions win; a reopened deal comes back with its own OpportunityChanged.
PUT_DEALS = """
INSERT INTO pipeline_deal (id, owner_id, unit_id, minor, currency, probability, close_date, open, version)
SELECT id, owner_id, unit_id, minor, currency, probability, close_date, open, version
  FROM jsonb_populate_recordset(NULL::pipeline_deal, %(rows)s) ORDER BY id
ON CONFLICT (id) DO UPDATE
   SET owner_id = excluded.owner_id, unit_id = excluded.unit_id, minor = excluded.minor, currency = excluded.currency,
       probability = excluded.probability, close_date = excluded.close_date, open = excluded.open,
           version = excluded.version
 WHERE pipeline_deal.version < excluded.version
"""
# Won and lost share their counter with the changes; an older change that comes later finds the deal closed.
CLOSE_DEALS = """
INSERT INTO pipeline_deal (id, owner_id, unit_id, minor, currency, probability, close_date, open, version)
SELECT key, '', '', 0, %(currency)s, 0, NULL, false, value::bigint FROM jsonb_each_text(%(versions)s) ORDER BY key
ON CONFLICT (id) DO UPDATE SET open = false, version = excluded.version WHERE pipeline_deal.version <= excluded.version
"""
DUE = """
SELECT p.* FROM plan p JOIN plan_version v ON v.plan_id = p.id
 WHERE v.state = 'scheduled' AND v.plan_id::text || ':' || v.number = ANY(%(subjects)s)
 ORDER BY v.effective_date, v.number FOR UPDATE OF p
"""
SCHEDULED = """
SELECT * FROM plan_version
 WHERE state = 'scheduled' AND plan_id::text || ':' || number = ANY(%(subjects)s)
 ORDER BY effective_date, number
"""


# Of two ends at one moment.
ENDS = ("signed", "refused", "lapsed")


@reactions.on(approvals.RequestOpened)
async def exception_on_its_way(event: Heard[approvals.RequestOpened], work: Work) -> None:
    if _ours(event.message.subject):
        work.tx.do(store.OPENED, {"id": event.message.subject.id, "request_id": event.message.request_id})


@reactions.on(approvals.RequestDecided)
async def exception_decided(event: Heard[approvals.RequestDecided], work: Work) -> None:
    decided = event.message
    if _ours(decided.subject):
        state = "signed" if decided.state == requests_pb2.REQUEST_STATE_APPROVED else "refused"
        time = protos.instant(decided.decide_time) if decided.HasField("decide_time") else event.time
        await _settle(work, decided.subject, state, decided.decided_by, time, decided.comment, decided.request_id)


@reactions.on(approvals.RequestReturned)
async def exception_returned(event: Heard[approvals.RequestReturned], work: Work) -> None:
    """Nothing of it can be mended, it is asked anew; in approvals it would wait for its submitter for ever."""
    back = event.message
    if not _ours(back.subject):
        return
    await _settle(work, back.subject, "refused", back.returned_by, event.time, back.comment, back.request_id)
    if back.request_id:
        taken = approvals.ApprovalWithdrawn(
            origin=ORIGIN, kind=KIND, subject_id=back.subject.id, version=back.subject.version, reason="asked anew"
        )
        work.tell(taken, back.subject.id)


@reactions.on(approvals.RequestRecalled)
async def exception_recalled(event: Heard[approvals.RequestRecalled], work: Work) -> None:
    recalled = event.message
    if _ours(recalled.subject):
        await _settle(
            work, recalled.subject, "lapsed", recalled.submitter_id, event.time, recalled.reason, recalled.request_id
        )


@reactions.batch(funnel.OpportunityChanged)
async def deals_changed(events: Sequence[Heard[funnel.OpportunityChanged]], work: Work) -> None:
    # One statement may not touch a row twice: the newest version of each.
    deals = newest(events, lambda deal: deal.opportunity_id).values()
    work.tx.do(PUT_DEALS, {"rows": Jsonb([_deal(event.message, work.home.currency) for event in deals])})


@reactions.batch(funnel.OpportunityWon)
async def deals_won(events: Sequence[Heard[funnel.OpportunityWon]], work: Work) -> None:
    _close(events, work)


@reactions.batch(funnel.OpportunityLost)
async def deals_lost(events: Sequence[Heard[funnel.OpportunityLost]], work: Work) -> None:
    _close(events, work)


@reactions.timer(version_api.PLAN_DAY)
# Set as clocks by releases before there were timers.
@reactions.clock(version_api.PLAN_DAY)
async def day_of_version(due: Sequence[Due | Rung], work: Work) -> None:
    """A version published for a later day comes into force."""
    subjects = {"subjects": [one.subject for one in due]}
    plans = {plan.id: plan for plan in await work.tx.all(DUE, subjects, into=Plan)}
    # One by one: two versions of one plan may fall on one day, and the later one supersedes the earlier.
    for version in await work.tx.all(SCHEDULED, subjects, into=Version):
        await version_api.bring_into_force(work, plans[version.plan_id], version.number)
        plans[version.plan_id] = await store.lock_plan(work.tx, version.plan_id)


def _deal(deal: funnel.OpportunityChanged, currency: str) -> dict[str, Any]:
    shown = deal.reporting_amount if deal.HasField("reporting_amount") else deal.amount
    expected = protos.day(deal.expected_close_date).isoformat() if deal.HasField("expected_close_date") else None
    return {
        "id": deal.opportunity_id,
        "owner_id": deal.ownership.owner_id,
        "unit_id": deal.ownership.unit_id,
        "minor": protos.minor_units(shown) if shown.currency_code == currency else 0,
        "currency": currency,
        "probability": deal.probability_ratio,
        "close_date": expected,
        "open": deal.state == opportunities_pb2.OPPORTUNITY_STATE_OPEN and not deal.under_review,
        "version": deal.version,
    }


def _close(events: Sequence[Heard[Any]], work: Work) -> None:
    closed = newest(events, lambda deal: deal.opportunity_id)
    versions = Jsonb({id: event.message.version for id, event in closed.items()})
    work.tx.do(CLOSE_DEALS, {"versions": versions, "currency": work.home.currency})


def _ours(subject: requests_pb2.Subject) -> bool:
    return subject.origin == ORIGIN and subject.kind == KIND


async def _settle(
    work: Work, subject: requests_pb2.Subject, state: str, by: str, at: datetime, comment: str, request_id: str
) -> None:
    """Only for the difference the signers saw. What ended it first counts, whichever is heard first; what ended here
    stays ended."""
    exemption = await work.tx.one(store.LOCK_EXCEPTION, {"id": subject.id}, into=Exemption)
    if exemption is None:
        return
    if exemption.state != "waiting":
        known = exemption.decided_at
        if known is None or (known, ENDS.index(exemption.state)) <= (at, ENDS.index(state)):
            return
    if subject.digest != exemption.digest:
        raise errors.FailedPrecondition("DIGEST_MISMATCH", f"exception {exemption.id} is not what was signed")
    params = {"id": exemption.id, "state": state, "decided_by": by, "decided_at": at, "comment": comment}
    work.tx.do(store.SETTLE_EXCEPTION, {**params, "request_id": request_id})
    work.audit(
        f"target:{exemption.target_id}",
        "settle_exception",
        before={"state": exemption.state},
        after={"state": state, "exception": exemption.id, "decided_by": by},
    )


@reactions.batch(integrations.StockDaysChanged)
async def stock_days_changed(events: Sequence[Heard[integrations.StockDaysChanged]], work: Work) -> None:
    """The newest day stands, and of one day what was told last, whatever comes late."""
    latest: dict[str, dict[str, Any]] = {}
    for event in events:
        told = event.message
        row = {
            "product_id": told.product_id,
            "date": protos.day(told.date),
            "days": told.days if told.HasField("days") else None,
            "light": enums.word(Light, told.light) or "none",
            "told_at": event.time,
        }
        known = latest.get(told.product_id)
        if known is None or _told_before(known) < _told_before(row):
            latest[told.product_id] = row
    work.tx.do(circumstances.PUT_STOCK, {"rows": rows.pack(latest.values())})


def _told_before(row: dict[str, Any]) -> tuple[Any, ...]:
    """The order of two tellings of one product, as the database has it."""
    return row["date"], row["told_at"], inf if row["days"] is None else row["days"], row["light"]
