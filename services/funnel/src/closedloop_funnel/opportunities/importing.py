"""BulkImportOpportunities: ten thousand deals of another system in a few statements, each row standing for itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from closedloop.common.v1.common_pb2 import RowError
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop_chassis import bulk, errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Work
from closedloop_funnel.copies import rates as rates_told
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.opportunities import papers, store, telling
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.opportunities.incoming import Desk, Incoming, digest
from closedloop_funnel.opportunities.known import Known
from closedloop_funnel.opportunities.opening import DWELL, plain_opportunity
from closedloop_funnel.opportunities.record import Opportunity, Seen
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.opportunities.steps import leave_stage
from closedloop_funnel.pipelines.rules import PipelineRules

rpcs = Rpcs("closedloop.funnel.v1.OpportunityService")

Rows = list[tuple[int, pb.OpportunityRow]]

# After so many rows others get their turn: a bulk call must not stop the calls beside it.
BREATH = 200

# Two imports of one source at once wait for each other, or both would create.
ONE_AT_A_TIME = """
SELECT pg_advisory_xact_lock(hashtext('opportunity import'), hashtext(source))
  FROM unnest(%(sources)s::text[]) AS source
"""
DIGESTS = """
SELECT o.source, o.source_id, o.id, o.import_digest
  FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS given (source, source_id)
  JOIN opportunity o ON o.source = given.source AND o.source_id = given.source_id AND o.source_id <> ''
"""
EARLIER = f"""
SELECT {rows.listed(Opportunity, "o")}, coalesce(a.name, '') AS account_name
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE o.id = ANY(%(ids)s::uuid[]) FOR UPDATE OF o
"""
FIRST_WINS = """
SELECT account_id, min(close_date) AS day FROM opportunity
 WHERE account_id = ANY(%(ids)s::uuid[]) AND state = 'won' GROUP BY account_id
"""


@rpcs.method
async def bulk_import_opportunities(
    request: pb.BulkImportOpportunitiesRequest, call: Call
) -> pb.BulkImportOpportunitiesResponse:
    ids = [""] * len(request.rows)
    good, refused = bulk.sift(request.rows)
    good = bulk.distinct(good, refused)
    fresh, earlier = await _compare(good, ids, call.tx)
    arrived = await _resolve(fresh, earlier, refused, call)
    created = [one for one in arrived if one.before is None]
    updated = [one for one in arrived if one.before is not None]
    for one in updated if request.validate_only else arrived:
        ids[one.row] = one.deal.id
    if not request.validate_only:
        await _write(created, updated, call)
    summary = bulk.summary(read=len(request.rows), created=len(created), updated=len(updated), refused=refused)
    return pb.BulkImportOpportunitiesResponse(summary=summary, opportunity_ids=ids)


async def _compare(given: Rows, ids: list[str], tx: Transaction) -> tuple[Rows, dict[str, Seen]]:
    """Rows that say something new, and by provenance the deals they said it of; ids of the unchanged are filled in."""
    if not given:
        return [], {}
    tx.do(ONE_AT_A_TIME, {"sources": sorted({row.provenance.source for _, row in given})})
    keys = {
        "sources": [row.provenance.source for _, row in given],
        "source_ids": [row.provenance.source_id for _, row in given],
    }
    there = {(found["source"], found["source_id"]): found for found in await tx.all(DIGESTS, keys)}
    fresh: Rows = []
    for position, row in given:
        found = there.get((row.provenance.source, row.provenance.source_id))
        if found and found["import_digest"] == digest(row):
            ids[position] = found["id"]
        else:
            fresh.append((position, row))
    changed = [key for _, row in fresh if (key := (row.provenance.source, row.provenance.source_id)) in there]
    if not changed:
        return fresh, {}
    deals = await tx.all(EARLIER, {"ids": [there[key]["id"] for key in changed]}, into=Seen)
    return fresh, {f"{deal.source}/{deal.source_id}": deal for deal in deals}


async def _resolve(given: Rows, earlier: dict[str, Seen], refused: list[RowError], call: Call) -> list[Incoming]:
    if not given:
        return []
    into = call.home.currency
    currencies = {row.value.currency_code for _, row in given}
    currencies |= {line.amount.currency_code or line.unit_price.currency_code for _, row in given for line in row.lines}
    rates = await rates_told.spot(call.tx, into, currencies)
    known = Known(call.home, Dwell(call.calendars, call.now), rates, call.actor)
    products = [name for _, row in given for name in (row.product, *(line.product_id for line in row.lines))]
    await known.look_up(call.tx, [row.account for _, row in given], products)
    version = call.process.rulebooks.version(PipelineRules, call.now)
    desk = Desk(known, call.rules(PipelineRules), version, call.rules(FunnelFieldRules))
    arrived: list[Incoming] = []
    for position, row in given:
        if position % BREATH == 0:
            await asyncio.sleep(0)
        try:
            before = earlier.get(f"{row.provenance.source}/{row.provenance.source_id}")
            one = desk.resolve(position, row, before)
            call.authorize(one.deal.owner_id, one.deal.unit_id)
            arrived.append(one)
        except errors.DomainError as error:
            named = next(iter(error.violations), "") if isinstance(error, errors.InvalidArgument) else ""
            refused.append(bulk.refused(position, error, named))
    return await _repurchases(arrived, call.tx)


async def _repurchases(arrived: list[Incoming], tx: Transaction) -> list[Incoming]:
    """Marks deals whose account had bought before (S62), among what is here and what comes."""
    accounts = {one.deal.account_id for one in arrived if one.deal.account_id}
    if not accounts:
        return arrived
    wins = await tx.all(FIRST_WINS, {"ids": list(accounts)})
    first: dict[str, date] = {row["account_id"]: row["day"] for row in wins}
    for one in arrived:
        deal = one.deal
        if deal.state == "won" and deal.account_id and deal.close_date:
            first[deal.account_id] = min(first.get(deal.account_id, deal.close_date), deal.close_date)
    return [_marked(one, first) for one in arrived]


def _marked(one: Incoming, first: dict[str, date]) -> Incoming:
    deal = one.deal
    day = deal.close_date or deal.engage_date or deal.created_at.date()
    bought = bool(deal.account_id) and first.get(deal.account_id or "", date.max) < day
    return replace(one, deal=replace(deal, repurchase=True)) if bought and not deal.repurchase else one


async def _write(created: Sequence[Incoming], updated: Sequence[Incoming], work: Work) -> None:
    arrived = [*created, *updated]
    for begin in range(0, len(arrived), BREATH):
        part = arrived[begin : begin + BREATH]
        store.add(work.tx, [one.deal for one in part if one.before is None])
        store.save(work.tx, [one.deal for one in part if one.before is not None])
        store.add_moves(work.tx, [move for one in part for move in one.moves])
        store.add_date_changes(work.tx, [change for one in part for change in one.date_changes])
        for one in part:
            _record(one, work)
        # PostgreSQL writes this part while the next one is put together.
        await work.tx.send()
    await _papers(updated, work)
    _watch(arrived, work)


def _record(one: Incoming, work: Work) -> None:
    if one.before is not None:
        _tell_change(one.before, one, work)
        work.audit(one.deal.id, "import", plain_opportunity(one.before), plain_opportunity(one.deal))
    else:
        work.audit(one.deal.id, "import", after=_digest_of(one.deal))
    telling.tell(work, one.deal, one.stage, one.deal.account_name)


def _tell_change(before: Seen, one: Incoming, work: Work) -> None:
    if one.moves and before.state == "open":
        leave_stage(before, work)
    if before.state != "open" and one.deal.state == "open":
        work.tell(telling.reopened(before, one.deal, "reopened in its source"), one.deal.id)


async def _papers(updated: Sequence[Incoming], work: Work) -> None:
    """Quotes and contracts under way here know of what the other system did."""
    changed = [(one.before, one.deal) for one in updated if one.before is not None]
    gone = [now.id for was, now in changed if was.state == "open" and now.state == "lost"]
    await papers.lost(work, gone)
    await papers.other_customer(work, [now.id for was, now in changed if was.account_id != now.account_id])
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for was, now in changed:
        if (was.owner_id, was.unit_id) != (now.owner_id, now.unit_id):
            owners[now.owner_id, now.unit_id].append(now.id)
    for (owner_id, unit_id), ids in owners.items():
        await papers.other_owner(work, ids, owner_id, unit_id, "it changed hands in its source")


def _digest_of(deal: Seen) -> dict[str, Any]:
    """What the trail keeps of a deal that came in: where it stood and what it was worth."""
    names = ("source", "source_id", "owner_id", "account_id", "pipeline_id", "stage_key", "amount_minor", "currency")
    return {name: getattr(deal, name) for name in names}


def _watch(arrived: Sequence[Incoming], work: Work) -> None:
    """Imported history starts no clocks, unless the rulebook wants open deals watched from the first day."""
    if not work.rules(OpportunityRules).watch_imported:
        return
    by_stage: dict[tuple[str, str], list[Incoming]] = defaultdict(list)
    for one in arrived:
        if one.deal.state == "open" and one.stage.dwell_clock is not None and one.moves:
            by_stage[one.deal.pipeline_id, one.stage.key].append(one)
    for alike in by_stage.values():
        setting = alike[0].stage.dwell_clock
        if setting is not None:
            subjects: list[tuple[str, str, str, dict[str, Any]]]
            subjects = [(one.deal.id, one.deal.owner_id, one.deal.unit_id, {}) for one in alike]
            work.clocks.start_many(DWELL, setting, subjects)
