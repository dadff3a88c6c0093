"""SnapshotService: the funnel as it stood, and what moved between two moments (U3, U4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from closedloop.funnel.v1 import pipelines_pb2
from closedloop.funnel.v1 import snapshots_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.pipelines import removed, scope
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.snapshots import store
from closedloop_funnel.snapshots.record import Cell, Deal, Movement, Snapshot
from closedloop_funnel.snapshots.rules import SnapshotRules, week_began
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.SnapshotService")

NIL = "00000000-0000-0000-0000-000000000000"
LAST = 2**62


@rpcs.method
async def take_snapshot(request: pb.TakeSnapshotRequest, call: Call) -> pb.Snapshot:
    taken = await store.take(call.tx, new_id(), call.now, call.actor, request.note)
    call.audit(taken.id, "take", after={"sequence": taken.sequence, "open_count": taken.open_count})
    return _moment(taken, call)


@rpcs.method
async def list_snapshots(request: pb.ListSnapshotsRequest, call: Call) -> pb.ListSnapshotsResponse:
    if call.by_outsider:
        return pb.ListSnapshotsResponse()
    [after] = pages.after(request, LAST)
    begins, ends = protos.bounds(request.period)
    params = {
        "from": begins,
        "to": ends,
        "after": after,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    page, token = pages.split(found, request, lambda one: [one.sequence])
    return pb.ListSnapshotsResponse(snapshots=[_moment(one, call) for one in page], next_page_token=token)


@rpcs.method
async def get_snapshot(request: pb.GetSnapshotRequest, call: Call) -> pb.Snapshot:
    moment = protos.instant(request.at, "at") if request.HasField("at") else call.now
    taken = await _at(moment, call)
    params = {**scope.params(request.scope, call), "sequence": taken.sequence}
    cells = await store.cells(call.db, params)
    answer = pb.Snapshot(
        id=taken.id,
        time=protos.timestamp(taken.taken_at),
        scope=request.scope,
        open_count=sum(cell.deals for cell in cells),
        open_amount=protos.money(sum(cell.amount_minor for cell in cells), call.home.currency),
        weighted_amount=protos.money(sum(cell.weighted_minor for cell in cells), call.home.currency),
        cells=[_cell(cell, call) for cell in cells],
    )
    if request.include_deals:
        [after] = pages.after(request, NIL)
        found = await store.deals(call.db, {**params, "after": after, "limit": pages.size(request) + 1})
        page, answer.next_page_token = pages.split(found, request, lambda deal: [deal.opportunity_id])
        writer = _Writer(call, taken.taken_at)
        answer.deals.extend(writer.deal(deal) for deal in page)
    return answer


@rpcs.method
async def compare_snapshots(request: pb.CompareSnapshotsRequest, call: Call) -> pb.SnapshotComparison:
    begins = protos.instant(request.from_time, "from_time") if request.HasField("from_time") else _monday(call)
    live = not request.HasField("to_time")
    ends = call.now if live else protos.instant(request.to_time, "to_time")
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "it ends before it begins", {"to_time": "not after from_time"})
    earlier = await _at(begins, call)
    later = None if live else await _at(ends, call)
    until = call.now if later is None else later.taken_at
    params: dict[str, Any] = {
        **scope.params(request.scope, call),
        **_stages(call),
        "from_sequence": earlier.sequence,
        "to_sequence": 0 if later is None else later.sequence,
        "from": earlier.taken_at,
        "to": until,
    }
    if later is None:
        del params["to_sequence"]
    whole = await store.comparison(call.db, params, live=live)
    after_amount, after_id, after_movement = pages.after(request, -LAST, NIL, "")
    page_of = {
        "movements": [word(pb.Movement, one) for one in request.movements] or None,
        "after_amount": after_amount,
        "after_id": after_id,
        "after_movement": after_movement,
        "limit": pages.size(request) + 1,
    }
    found = await store.movements(call.db, {**params, **page_of}, live=live)
    page, token = pages.split(found, request, lambda one: [-abs(one.change_minor), one.id, one.movement])
    writers = _Writer(call, earlier.taken_at), _Writer(call, until)
    currency = call.home.currency
    return pb.SnapshotComparison(
        from_time=protos.timestamp(earlier.taken_at),
        to_time=protos.timestamp(until),
        from_amount=protos.money(whole.from_minor, currency),
        to_amount=protos.money(whole.to_minor, currency),
        totals=[
            pb.MovementTotal(
                movement=number(pb.Movement, total["movement"]),
                count=total["deals"],
                amount=protos.money(total["amount_minor"], currency),
            )
            for total in whole.totals
        ],
        movements=[_movement(one, writers, call) for one in page],
        next_page_token=token,
    )


async def _at(moment: datetime, call: Call) -> Snapshot:
    taken = await store.at(call.db, moment)
    if taken is None:
        raise errors.NotFound("SNAPSHOT_UNKNOWN", f"no snapshot was taken until {moment.isoformat()}")
    return taken


def _monday(call: Call) -> datetime:
    """The last morning on which a week began and a snapshot was due."""
    rules, today = call.rules(SnapshotRules), call.home.today()
    day = week_began(rules, today)
    morning = call.home.moment(day, rules.hour)
    return morning if morning < call.now else call.home.moment(week_began(rules, day - timedelta(days=1)), rules.hour)


def _stages(call: Call) -> dict[str, Sequence[Any]]:
    """Where every stage stands in its pipeline."""
    order = [
        (pipeline_id, stage.key, position)
        for pipeline_id, pipeline in call.rules(PipelineRules).pipelines.items()
        for position, stage in enumerate(pipeline.stages)
    ]
    names = ("pipelines", "stages", "positions")
    return {name: [row[column] for row in order] for column, name in enumerate(names)}


def _moment(taken: Snapshot, call: Call) -> pb.Snapshot:
    return pb.Snapshot(
        id=taken.id,
        time=protos.timestamp(taken.taken_at),
        open_count=taken.open_count,
        open_amount=protos.money(taken.open_minor, call.home.currency),
        weighted_amount=protos.money(taken.weighted_minor, call.home.currency),
    )


def _cell(cell: Cell, call: Call) -> pb.SnapshotCell:
    return pb.SnapshotCell(
        pipeline_id=cell.pipeline_id,
        stage_key=cell.stage_key,
        forecast_category=number(pipelines_pb2.ForecastCategory, cell.category),
        count=cell.deals,
        amount=protos.money(cell.amount_minor, call.home.currency),
        weighted_amount=protos.money(cell.weighted_minor, call.home.currency),
    )


def _movement(one: Movement, writers: tuple[_Writer, _Writer], call: Call) -> pb.DealMovement:
    before, after = _deal(one.before), _deal(one.after)
    shown = after or before
    assert shown is not None
    return pb.DealMovement(
        opportunity_id=one.id,
        name=shown.name,
        owner_id=shown.owner_id,
        movement=number(pb.Movement, one.movement),
        before=writers[0].deal(before) if before else None,
        after=writers[1].deal(after) if after else None,
        amount_change=protos.money(one.change_minor, call.home.currency),
    )


def _deal(row: dict[str, Any] | None) -> Deal | None:
    """A deal out of JSON; dates are text there."""
    if row is None:
        return None
    kept = {name: row[name] for name in Deal.__dataclass_fields__}
    kept["stage_entered_at"] = datetime.fromisoformat(row["stage_entered_at"])
    closes = row["expected_close_date"]
    kept["expected_close_date"] = datetime.fromisoformat(closes).date() if closes else None
    return Deal(**kept)


class _Writer:
    """Deals as they stood at a moment, their dwell counted up to it."""

    def __init__(self, call: Call, moment: datetime) -> None:
        self._call = call
        self._dwell = Dwell(call.calendars, moment)
        self._currency = call.home.currency

    def deal(self, deal: Deal) -> pb.SnapshotDeal:
        return pb.SnapshotDeal(
            opportunity_id=deal.opportunity_id,
            name=deal.name,
            owner_id=deal.owner_id,
            stage_key=deal.stage_key,
            forecast_category=number(pipelines_pb2.ForecastCategory, deal.category),
            amount=None if deal.reporting_minor is None else protos.money(deal.reporting_minor, self._currency),
            expected_close_date=protos.date_proto(deal.expected_close_date),
            push_count=deal.push_count,
            dwell_days=self._days(deal),
        )

    def _days(self, deal: Deal) -> float:
        """Zero where it reaches into years no calendar knows: one deal must not fail a list."""
        try:
            calendar = removed.stage_of(deal.pipeline_id, deal.stage_key, self._call).calendar
            return self._dwell.days(deal.stage_entered_at, calendar, deal.unit_id)
        except errors.FailedPrecondition:
            return 0.0
