"""The five services asked for what they warned of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import tasks_pb2, tasks_pb2_grpc
from closedloop.customers.v1 import quality_pb2, quality_pb2_grpc
from closedloop.funnel.v1 import warnings_pb2, warnings_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import alarms_pb2, alarms_pb2_grpc, org_pb2, org_pb2_grpc
from closedloop_cli import fleet
from closedloop_cli.session import Session
from closedloop_cli.warned import line, reading
from closedloop_cli.warned.line import Line

# Time limits that passing raises no task for: the matter itself goes on to the next, or a message goes out.
PASSED_ON = {"approvals": "approvals.decision", "customers": "customers.silence"}
# Alarms of a period are asked for by days of the company; the day before is another one somewhere.
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`unit` with all below it; empty for all that the caller may see."""

    since: datetime
    until: datetime
    unit: str = ""

    @property
    def interval(self) -> Interval:
        return Interval(start_time=_stamp(self.since), end_time=_stamp(self.until))


def page(run: Session, wanted: Wanted, service: str = "") -> list[Line]:
    """Of one service, or of all and of the programs that raise tasks. What an unreachable one warned of is missing, and said so."""
    asked = {
        "funnel": _funnel,
        "targets": _alarms,
        "customers": _findings,
        "approvals": _decisions,
        "integrations": lambda *_: iter(()),
    }
    answers = fleet.ask(run, fleet.chosen(run, service), lambda name: list(asked[name](run, wanted)))
    own = [one for _, lines in answers for one in lines]
    tasks: list[Line] = []
    if "approvals" in run.connection.peers:
        answers = fleet.ask(run, ["approvals"], lambda _: list(_tasks(run, wanted)))
        tasks = [one for _, lines in answers for one in lines if service in ("", one.service)]
    return [one for one in line.merged(own, tasks) if one.raised >= wanted.since]


def _funnel(run: Session, wanted: Wanted) -> Iterator[Line]:
    method = run.stub("funnel", warnings_pb2_grpc.WarningServiceStub).ListWarnings
    request = warnings_pb2.ListWarningsRequest(unit_id=wanted.unit, period=wanted.interval)
    return map(reading.of_funnel, run.pages(method, request, "warnings"))


def _alarms(run: Session, wanted: Wanted) -> Iterator[Line]:
    days = f"{(wanted.since - A_DAY).date()}/{(wanted.until + A_DAY).date()}"
    method = run.stub("targets", alarms_pb2_grpc.AlarmServiceStub).ListAlarms
    return map(
        reading.of_alarm, run.pages(method, alarms_pb2.ListAlarmsRequest(unit_id=wanted.unit, period=days), "alarms")
    )


def _findings(run: Session, wanted: Wanted) -> Iterator[Line]:
    method = run.stub("customers", quality_pb2_grpc.QualityServiceStub).ListFindings
    request = quality_pb2.ListFindingsRequest(
        states=[number for number in quality_pb2.FindingState.values() if number],
        unit_ids=[wanted.unit] if wanted.unit else [],
        since=wanted.interval,
    )
    yield from map(reading.of_finding, run.pages(method, request, "findings"))
    yield from _passed_on(run, wanted, "customers")


def _decisions(run: Session, wanted: Wanted) -> Iterator[Line]:
    return _passed_on(run, wanted, "approvals")


def _passed_on(run: Session, wanted: Wanted, service: str) -> Iterator[Line]:
    method = run.stub(service, platform_pb2_grpc.ClockServiceStub).ListClocks
    breached = platform_pb2.CLOCK_STATE_BREACHED
    request = platform_pb2.ListClocksRequest(kind=PASSED_ON[service], state=breached, due=wanted.interval)
    below = _below(run, wanted.unit)
    for one in run.pages(method, request, "clocks"):
        if below is None or one.unit_id in below:
            yield reading.of_clock(service, one)


def _tasks(run: Session, wanted: Wanted) -> Iterator[Line]:
    """Those that something was warned of by; what people ask each other for is none."""
    method = run.stub("approvals", tasks_pb2_grpc.TaskServiceStub).ListTasks
    request = tasks_pb2.ListTasksRequest(unit_id=wanted.unit, include_subtree=True, raised=wanted.interval)
    return (reading.of_task(one) for one in run.pages(method, request, "tasks") if one.content.warning)


def _below(run: Session, unit: str) -> set[str] | None:
    """Codes of a unit and all below it; None for everything."""
    if not unit:
        return None
    method = run.stub("targets", org_pb2_grpc.OrgServiceStub).ListUnits
    return {one.id for one in run.pages(method, org_pb2.ListUnitsRequest(unit_id=unit), "units")}


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp
