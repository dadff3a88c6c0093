"""DiagnosisService: where deals stick and why; process data out and in (S43, S44)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.common.v1.common_pb2 import RowError
from closedloop.funnel.v1 import diagnosis_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import bulk, errors, pages, protos
from closedloop_chassis.calendar.business import PLAIN
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call, Work
from closedloop_funnel.diagnosis import finding, store
from closedloop_funnel.diagnosis.measuring import Period
from closedloop_funnel.diagnosis.store import Event
from closedloop_funnel.opportunities.rules import check_happened
from closedloop_funnel.pipelines import scope
from closedloop_funnel.pipelines.rules import PipelineRules

rpcs = Rpcs("closedloop.funnel.v1.DiagnosisService")


@rpcs.method
async def diagnose_funnel(request: pb.DiagnoseFunnelRequest, call: Call) -> pb.Diagnosis:
    about = pipelines_pb2.FunnelScope()
    about.CopyFrom(request.scope)
    period = _period(request.period, "period")
    earlier = request.HasField("baseline_period")
    baseline = _period(request.baseline_period, "baseline_period") if earlier else _year_before(period, call)
    if request.process_log:
        found = await finding.of_log(request.process_log, request.calendar or PLAIN, period, baseline, call)
    else:
        about.pipeline_id = about.pipeline_id or call.rules(PipelineRules).default
        found = await finding.of_funnel(about, scope.params(about, call), period, baseline, call)
    keep(found, period, about.unit_id, call)
    return found


def keep(found: pb.Diagnosis, period: Period, unit_id: str, work: Work) -> None:
    """Queues the diagnosis with its trail; one of no unit is the company's."""
    root = work.home.root
    params = {
        "id": found.id,
        "author_id": work.actor,
        "unit_id": unit_id or (root.id if root else ""),
        "begins": period.begins,
        "ends": period.ends,
        "now": work.now,
        "data": found.SerializeToString(),
    }
    work.tx.do(store.ADD, params)
    work.audit(found.id, "diagnose", after={"stage": found.sticking_stage_key, "cases": found.case_count})


@rpcs.method
async def get_diagnosis(request: pb.GetDiagnosisRequest, call: Call) -> pb.Diagnosis:
    row = await call.db.one(store.GET, {"id": request.diagnosis_id})
    if row is None:
        raise errors.NotFound("DIAGNOSIS_UNKNOWN", f"no diagnosis {request.diagnosis_id}")
    call.authorize(row["author_id"], row["unit_id"])
    return pb.Diagnosis.FromString(row["data"])


@rpcs.method
async def list_diagnoses(request: pb.ListDiagnosesRequest, call: Call) -> pb.ListDiagnosesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "units": list(call.org.subtree(request.scope.unit_id)) if request.scope.unit_id else None,
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params)
    page, token = pages.split(found, request, lambda row: [row["created_at"].isoformat(), row["id"]])
    diagnoses = [pb.Diagnosis.FromString(row["data"]) for row in page]
    for one in diagnoses:
        one.ClearField("stages")
    return pb.ListDiagnosesResponse(diagnoses=diagnoses, next_page_token=token)


@rpcs.stream
async def export_process(request: pb.ExportProcessRequest, call: Call) -> AsyncIterator[pb.ProcessEvent]:
    period = _period(request.period, "period")
    if request.process_log:
        async for event in store.logged(call.db, {"log": request.process_log, **period.params}):
            yield _event(
                event.case_id, event.position, event.step, event.at, event.resource, event.attributes, event.transition
            )
        return
    params = {**scope.params(request.scope, call), **period.params, "moves_only": request.moves_only}
    positions: defaultdict[str, int] = defaultdict(int)
    async for row in store.happened(call.db, params):
        case_id = row["case_id"]
        yield _event(case_id, positions[case_id], row["step"], row["at"], row["resource"], row["attributes"])
        positions[case_id] += 1


def _event(
    case_id: str,
    position: int,
    step: str,
    at: datetime,
    resource: str,
    attributes: dict[str, Any],
    transition: str = "complete",
) -> pb.ProcessEvent:
    event = pb.ProcessEvent(
        case_id=case_id,
        position=position,
        step=step,
        time=protos.timestamp(at),
        resource=resource,
        transition=transition,
    )
    event.attributes.update(attributes)
    return event


@rpcs.method
async def bulk_import_process_events(
    request: pb.BulkImportProcessEventsRequest, call: Call
) -> pb.BulkImportProcessEventsResponse:
    good, refused = bulk.sift(request.events)
    untimed = {position for position, event in enumerate(request.events) if not event.HasField("time")}
    refused = [
        RowError(row=one.row, reason="TIME_MISSING", field="time", message="an event without a time has no place")
        if one.row in untimed
        else one
        for one in refused
    ]
    events: dict[tuple[str, int], Event] = {}
    for position, event in good:
        key = (event.case_id, event.position)
        try:
            if key in events:
                raise errors.InvalidArgument("DUPLICATE_ROW", f"{key[0]} has its step {key[1]} twice in this call")
            at = protos.instant(event.time, "time")
            check_happened(at, call.now, "time")
            events[key] = Event(
                process_log=request.process_log,
                case_id=event.case_id,
                position=event.position,
                step=event.step,
                at=at,
                resource=event.resource,
                transition=event.transition,
                attributes=plain(event.attributes, "attributes"),
            )
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    call.tx.do(store.ONE_AT_A_TIME, {"log": request.process_log})
    sql = store.WOULD if request.validate_only else store.PUT
    counted = await call.tx.one(sql, {"rows": rows.pack(list(events.values()))})
    assert counted is not None
    if not request.validate_only:
        call.audit(request.process_log, "import_process_events", after=dict(counted))
    cases, total = await store.in_log(call.tx, request.process_log)
    return pb.BulkImportProcessEventsResponse(
        summary=bulk.summary(read=len(request.events), refused=refused, **counted), case_count=cases, event_count=total
    )


def _period(given: Interval, field: str) -> Period:
    """Raises InvalidArgument PERIOD_OPEN or TIMES_REVERSED."""
    if not (given.HasField("start_time") and given.HasField("end_time")):
        raise errors.InvalidArgument("PERIOD_OPEN", "it takes a beginning and an end", {field: "open"})
    period = Period(protos.instant(given.start_time, field), protos.instant(given.end_time, field))
    if period.ends <= period.begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {field: "reversed"})
    return period


def _year_before(period: Period, work: Work) -> Period:
    zone = work.home.zone()
    begins, ends = (_back(moment.astimezone(zone)) for moment in (period.begins, period.ends))
    return Period(begins, ends)


def _back(moment: datetime) -> datetime:
    """A year earlier; of the 29th of February the day before. Raises InvalidArgument PERIOD_OUT_OF_RANGE."""
    if moment.year <= 1:
        raise errors.InvalidArgument("PERIOD_OUT_OF_RANGE", "there is no year before", {"period": "out of range"})
    try:
        return moment.replace(year=moment.year - 1)
    except ValueError:
        return moment.replace(year=moment.year - 1, day=moment.day - 1)
