"""BulkImportActivities: ten thousand logs of another system in a few statements, each row standing for itself (S67)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import RowError
from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.data.rows import row as plain_row
from closedloop_chassis.ids import is_id, new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.activities import proto, rules, store
from closedloop_funnel.activities.record import Activity, Seen
from closedloop_funnel.activities.rules import ActivityRules, VisitRules
from closedloop_funnel.copies.conversion import Rates
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.opportunities.known import Known
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.ActivityService")

Rows = list[tuple[int, pb.ActivityRow]]

# After so many rows others get their turn: a bulk call must not stop the calls beside it.
BREATH = 200
# What a later import of the same row may differ in without saying anything new.
OURS = ("id", "version", "brought_by", "observed_at", "updated_at", "authenticity", "effective", "transcript_id")


@dataclass(frozen=True, slots=True)
class Arrived:
    position: int
    log: Activity
    before: Activity | None


@rpcs.method
async def bulk_import_activities(
    request: pb.BulkImportActivitiesRequest, call: Call
) -> pb.BulkImportActivitiesResponse:
    good, refused = bulk.sift(request.rows)
    good = bulk.distinct(good, refused)
    ids = [""] * len(request.rows)
    store.one_import_at_a_time(call.tx, sorted({row.provenance.source for _, row in good}))
    arrived = await _resolve(good, refused, call)
    fresh = [one for one in arrived if one.before is None or _says_something(one)]
    created = [one for one in fresh if one.before is None]
    for one in arrived:
        if one.before is not None or not request.validate_only:
            ids[one.position] = one.log.id
    if not request.validate_only:
        await _write(fresh, call)
    summary = bulk.summary(
        read=len(request.rows), created=len(created), updated=len(fresh) - len(created), refused=refused
    )
    return pb.BulkImportActivitiesResponse(summary=summary, activity_ids=ids)


async def _resolve(given: Rows, refused: list[RowError], call: Call) -> list[Arrived]:
    if not given:
        return []
    known = Known(call.home, Dwell(call.calendars, call.now), Rates(call.home.currency, {}), call.actor)
    await known.look_up(call.tx, [row.account for _, row in given], ())
    deals = await store.deals_named(call.tx, *_split({row.opportunity for _, row in given} - {""}))
    earlier = await store.imported(
        call.tx, [row.provenance.source for _, row in given], [row.provenance.source_id for _, row in given]
    )
    arrived: list[Arrived] = []
    for position, row in given:
        if position % BREATH == 0:
            await asyncio.sleep(0)
        try:
            before = earlier.get((row.provenance.source, row.provenance.source_id))
            log = _log(row, before, known, deals, call)
            call.authorize(log.owner_id, log.unit_id)
            arrived.append(Arrived(position, log, before))
        except errors.DomainError as error:
            named = next(iter(error.violations), "") if isinstance(error, errors.InvalidArgument) else ""
            refused.append(bulk.refused(position, error, named))
    return arrived


def _split(named: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Ids, and sources with their ids there."""
    ids = [name for name in named if is_id(name)]
    pairs = [name.partition("/") for name in named if not is_id(name)]
    return ids, [source for source, _, _ in pairs], [source_id for _, _, source_id in pairs]


def _log(
    row: pb.ActivityRow, before: Activity | None, known: Known, deals: dict[str, dict[str, Any]], call: Call
) -> Activity:
    owner_id, unit_id = known.owner(row.owner)
    account_id = known.account(row.account).id or None
    deal = deals.get(row.opportunity)
    if row.opportunity and deal is None:
        raise errors.InvalidArgument(
            "OPPORTUNITY_UNKNOWN", f"nothing here is {row.opportunity}", {"opportunity": "unknown"}
        )
    begins = protos.instant(row.start_time, "start_time")
    ends = protos.instant(row.end_time, "end_time") if row.HasField("end_time") else None
    state = word(pb.ActivityState, row.state) or "done"
    # Missed is what a plan becomes by itself.
    state = "planned" if state == "missed" else state
    if state == "done":
        rules.check_times(call.rules(ActivityRules), begins, ends, call.now)
    elif ends is not None and ends < begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "it ended before it began", {"end_time": "before start_time"})
    values = plain(row.custom_fields)
    call.rules(FunnelFieldRules).check("activity", values)
    observed = row.provenance.observed_time if row.provenance.HasField("observed_time") else None
    done = state == "done"
    closed = deal["closed_at"] if deal else None
    log = Activity(
        id=before.id if before else new_id(),
        version=before.version + 1 if before else 1,
        kind=word(pb.ActivityKind, row.kind),
        state=state,
        owner_id=owner_id,
        unit_id=unit_id,
        source=row.provenance.source,
        source_id=row.provenance.source_id,
        brought_by=call.actor,
        observed_at=call.now,
        account_id=account_id or (deal["account_id"] if deal else None),
        opportunity_id=deal["id"] if deal else None,
        subject=row.subject,
        planned_from=None if done else begins,
        planned_to=None if done else ends or begins,
        started_at=begins if done else None,
        ended_at=ends if done else None,
        at=begins,
        content=row.content,
        attitude_before=word(pb.Attitude, row.attitude_before),
        attitude_after=word(pb.Attitude, row.attitude_after),
        next_step=row.next_step,
        next_step_date=protos.day(row.next_step_date, "next_step_date") if row.HasField("next_step_date") else None,
        visit=_visit(row, begins, ends or begins, call),
        action_unit_keys=sorted(set(row.action_unit_keys)),
        script_version=row.script_version,
        transcript_id=before.transcript_id if before else None,
        authenticity=before.authenticity if before else "unchecked",
        after_close=closed is not None and closed < begins,
        custom_fields=values,
        # When it was written there: history is not late because it comes in now.
        logged_at=(protos.instant(observed, "provenance.observed_time") if observed else begins) if done else None,
        updated_at=call.now,
    )
    log = replace(log, effective=rules.effective(call.rules(ActivityRules), log))
    claims = [pb.ActionPerformed(action_unit_key=key) for key in log.action_unit_keys]
    return replace(log, actions=proto.actions(claims, log, call.rules(UnitRules)))


def _visit(row: pb.ActivityRow, begins: datetime, ends: datetime, call: Call) -> dict[str, Any] | None:
    if not row.HasField("position"):
        return None
    return proto.visit(pb.VisitEvidence(position=row.position), call.rules(VisitRules), {}, (begins, ends))


def _says_something(one: Arrived) -> bool:
    assert one.before is not None
    return plain_row(one.before, *OURS) != plain_row(one.log, *OURS)


async def _write(arrived: list[Arrived], call: Call) -> None:
    store.keep_quiet(call.tx)
    for begin in range(0, len(arrived), BREATH):
        part = arrived[begin : begin + BREATH]
        store.add_many(call.tx, [one.log for one in part if one.before is None])
        store.save_many(call.tx, [one.log for one in part if one.before is not None])
        for one in part:
            before = plain_row(one.before, *_PRIVATE) if one.before else None
            call.audit(one.log.id, "import", before, plain_row(one.log, *_PRIVATE))
            if one.log.state == "done":
                call.tell(proto.logged(Seen(**plain_row(one.log))), subject=one.log.id)
        # PostgreSQL writes this part while the next one is put together.
        await call.tx.send()
    store.touch_many(call.tx, [one.log for one in arrived if one.log.state == "done" and one.log.opportunity_id])


# What was said stays out of the trail.
_PRIVATE = ("version", "updated_at", "content", "next_step")
