"""MetricService.GetCredibilityReport: how far the data can be believed, worst first, with what to do about it (S83)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from closedloop.common.v1 import common_pb2
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.enums import number
from closedloop_chassis.figures import collected, measuring, reach, scoring, store
from closedloop_chassis.figures.collected import Collected
from closedloop_chassis.figures.rules import Count, FigureRules, holder
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Work

rpcs = Rpcs("closedloop.platform.v1.MetricService")


@rpcs.method
async def get_credibility_report(request: pb.GetCredibilityReportRequest, call: Call) -> pb.CredibilityReport:
    month, today = date(request.year, request.month, 1), call.home.today()
    if month > today:
        raise errors.InvalidArgument("MONTH_IN_FUTURE", f"{month:%Y-%m} has not begun", {"month": "in the future"})
    known = collected.of(call)
    final = month < today.replace(day=1)
    made, counts = await (_kept if final else _now)(call, month, request.unit_id, known)
    if not any(count.examined for count in counts):
        raise errors.NotFound("NO_DATA", f"nothing of {month:%Y-%m} could be looked at")
    last = following(month) - timedelta(days=1) if final else today
    healths = _healths(counts, last, known, made, call)
    answer = pb.CredibilityReport(
        service=call.process.service.name,
        year=request.year,
        month=request.month,
        unit_id=request.unit_id,
        create_time=protos.timestamp(made),
        final=final,
        score=score(healths),
        metrics=healths,
        findings=_findings(counts, known, made, call),
    )
    made_before, earlier = await _kept(call, previous(month), request.unit_id, known)
    before = score(_healths(earlier, month, known, made_before, call))
    if before is not None:
        answer.previous_score = before
    return answer


def score(healths: Sequence[pb.MetricHealth]) -> float | None:
    """0..100, the mean of all figures that could be scored."""
    return 100 * sum(one.overall for one in healths) / len(healths) if healths else None


def previous(month: date) -> date:
    """The first day of the month before."""
    return (month - timedelta(days=1)).replace(day=1)


def following(month: date) -> date:
    """The first day of the month after; no month has fewer than 28 days nor more than 31."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def span(work: Work, month: date) -> tuple[datetime, datetime]:
    """The month, as far as it has come."""
    return work.home.moment(month), min(work.home.moment(following(month)), work.now)


async def _now(call: Call, month: date, unit_id: str, known: Collected) -> tuple[datetime, list[Count]]:
    reach.within(call, unit_id)
    most = collected.rules_of(known, call).most_examples
    found = await measuring.measure(call, call.db, known, *span(call, month))
    return call.now, measuring.together(found, lambda one: reach.sees(call, unit_id, one), most)


async def _kept(call: Call, month: date, unit_id: str, known: Collected) -> tuple[datetime, list[Count]]:
    """When it was kept, and what of it the release of today still knows."""
    within = reach.within(call, unit_id, collected.rules_of(known, call).most_examples)
    made, counts = (await store.kept(call.db, "month", month, month, within)).get(month, (call.now, []))
    return made, [count for count in counts if count.record in known.records]


def _healths(counts: Sequence[Count], day: date, known: Collected, made: datetime, call: Call) -> list[pb.MetricHealth]:
    found = [scoring.health(name, day, counts, known, made, call) for name in known.figures]
    return sorted((one for one in found if one is not None), key=lambda one: one.overall)


def _findings(counts: Sequence[Count], known: Collected, made: datetime, call: Call) -> list[pb.DataFinding]:
    """What failed, the darkest and then the most frequent first; by the rules of when it was made."""
    by = collected.rules_of(known, call, made)
    found = [_finding(count, known, by, call) for count in counts if count.failed]
    return sorted(found, key=lambda one: (-one.light, -one.count, one.record_type, one.field))


def _finding(count: Count, known: Collected, by: FigureRules, call: Call) -> pb.DataFinding:
    kind, text, suggestion = _words(count, known)
    answers = by.owner_of(f"{call.process.service.name}.{count.record}")
    light, _ = by.light(count.score)
    return pb.DataFinding(
        kind=kind,
        light=number(common_pb2.Light, light if light != "none" else "blue"),
        record_type=count.record,
        field="" if count.dimension == "timeliness" else count.aspect,
        count=count.failed,
        examined=count.examined,
        text=text,
        suggestion=suggestion,
        examples=count.examples,
        metrics=known.suffering(count),
        owner_id=holder(call.org, answers),
        owner_role=answers.role,
    )


def _words(count: Count, known: Collected) -> tuple[str, str, str]:
    """Kind, what was found, what to do."""
    record = known.records[count.record]
    of = f"{count.failed} of {count.examined}"
    if count.dimension == "timeliness":
        return "late", f"{of} {record.title} were recorded late", record.late_suggestion
    if count.dimension == "consistency":
        pair = next((one for one in known.agreements if one.name == count.aspect), None)
        if pair is None:
            return "deviation", f"{of} {record.title} deviate in {count.aspect}", ""
        return pair.kind, f"{pair.ours} and {pair.theirs} differ in {of} {record.title}", pair.suggestion
    field = next((one for one in record.fields if one.name == count.aspect), None)
    if field is None:
        return "missing_field", f"{of} {record.title} have no {count.aspect}", ""
    return field.kind, f"{of} {record.title}: {count.aspect} is {field.kind.replace('_', ' ')}", field.suggestion
