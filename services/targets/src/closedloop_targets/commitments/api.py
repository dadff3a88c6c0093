"""CommitmentService: proposed by the cascade, made by the person, kept or not (S2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.targets.v1 import commitments_pb2 as pb
from closedloop_chassis import enums, errors, etags, ids, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, amounts, company
from closedloop_targets.commitments import rules, store
from closedloop_targets.commitments.store import Line
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar

rpcs = Rpcs("closedloop.targets.v1.CommitmentService")

EPOCH = date(2000, 1, 1)


@rpcs.method
async def list_commitments(request: pb.ListCommitmentsRequest, call: Call) -> pb.ListCommitmentsResponse:
    people = await company.people(call, request.unit_id, request.person_id)
    calendar, today = call.rules(FiscalCalendar), call.home.today()
    metrics = [call.rules(MetricRules).metric(request.metric).code] if request.metric else []
    period = (
        periods.parse(request.period, calendar) if request.period else periods.containing(today, "fortnight", calendar)
    )
    key, owner, metric = pages.after(request, -(2**31), "", "")
    rows = await store.lines(
        call,
        call.db,
        [person.id for person in people],
        metrics,
        period.start,
        period.end,
        today,
        state=enums.word(pb.CommitmentState, request.state),
        key=key,
        key_owner=owner,
        key_metric=metric,
        limit=pages.size(request) + 1,
    )
    page, token = pages.split(rows, request, lambda row: (-(row.start_date - EPOCH).days, row.owner_id, row.metric))
    return pb.ListCommitmentsResponse(commitments=[to_proto(row, call) for row in page], next_page_token=token)


@rpcs.method
async def commit(request: pb.CommitRequest, call: Call) -> pb.Commitment:
    person = await company.person(call, request.person_id or call.caller.subject)
    call.authorize(person.id, person.unit_id)
    metric = call.rules(MetricRules).metric(request.metric)
    fortnight = periods.parse(request.period, call.rules(FiscalCalendar))
    today = call.home.today()
    given = amounts.read(request.amount)
    where = {"owner_id": person.id, "metric": metric.code, "period": fortnight.code}
    call.tx.do(store.LOCK, where)
    found = await store.lines(call, call.tx, [person.id], [metric.code], fortnight.start, fortnight.end, today, limit=2)
    before = next((line for line in found if line.period == fortnight.code), None)
    rules.check(
        fortnight,
        before.proposed if before else None,
        given.minor,
        note=request.note,
        own=person.id == call.caller.subject,
        lower_is_better=metric.lower_is_better,
        today=today,
    )
    assert before is not None
    if before.version and not request.etag:
        raise errors.InvalidArgument("ETAG_MISSING", "say the etag of the commitment you change", {"etag": "is needed"})
    etags.check(request.etag, before.version)
    if given.currency != before.currency:
        raise errors.InvalidArgument(
            "WRONG_KIND_OF_AMOUNT", f"the target is in {before.currency or 'plain numbers'}", {"amount": "unit"}
        )
    after = replace(
        before,
        id=before.id or ids.new_id(),
        unit_id=person.unit_id,
        committed=given.minor,
        note=request.note,
        state="committed",
        version=before.version + 1,
    )
    after = store.put(call.tx, after, call.now, call.caller.subject)
    call.audit(
        f"commitment:{after.id}",
        "commit",
        before={"minor": before.committed},
        after={"minor": after.committed, **where},
        business_action=request.note,
    )
    return to_proto(after, call)


def to_proto(line: Line, call: Call) -> pb.Commitment:
    person = call.org.person(line.owner_id)
    shape = pb.Commitment(
        id=line.id,
        ownership=Ownership(owner_id=line.owner_id, unit_id=line.unit_id or (person.unit_id if person else "")),
        metric=line.metric,
        period=period_shapes.stored(line.period, "fortnight", line.start_date, line.end_date),
        state=enums.number(pb.CommitmentState, line.state),
        actual=None if line.actual is None else amounts.amount(line.actual, line.currency),
        note=line.note,
        changes=[
            pb.CommitmentChange(
                committed=amounts.amount(change["minor"], line.currency),
                author_id=change["author_id"],
                time=protos.timestamp(datetime.fromisoformat(change["time"])),
                note=change["note"],
            )
            for change in line.changes
        ],
        etag=etags.of(line.version) if line.version else "",
    )
    if line.proposed is not None:
        shape.proposed.CopyFrom(amounts.amount(line.proposed, line.currency))
    if line.committed is not None:
        shape.committed.CopyFrom(amounts.amount(line.committed, line.currency))
    asked = line.committed if line.committed is not None else line.proposed
    shape.completion_ratio = aggregation.of(call, line.metric).attained(line.actual, asked) or 0
    return shape


async def present_of(call: Call, person_id: str, metric: str) -> pb.Commitment | None:
    """Of the present fortnight."""
    today = call.home.today()
    fortnight = periods.containing(today, "fortnight", call.rules(FiscalCalendar))
    found = await store.lines(call, call.db, [person_id], [metric], fortnight.start, fortnight.end, today)
    return to_proto(found[0], call) if found else None
