"""WorklistService: one list per person, the most urgent first."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from closedloop.approvals.v1 import worklist_pb2 as pb
from closedloop.common.v1.common_pb2 import Light
from closedloop_approvals.worklist import store
from closedloop_approvals.worklist.store import Item
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.answers import Topics
from closedloop_chassis.org.snapshot import Person
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.approvals.v1.WorklistService")

FIRST = (False, "-infinity", -100, "00000000-0000-0000-0000-000000000000", -1, "")


@rpcs.method
async def list_work(request: pb.ListWorkRequest, call: Call) -> bytes:
    person_id = request.person_id or call.caller.subject
    person = call.org.person(person_id)
    if person_id != call.caller.subject:
        call.authorize(person_id, person.unit_id if person else "")
        if person is None:
            raise errors.NotFound("PERSON_UNKNOWN", f"nobody is called {person_id}")

    async def topics() -> Topics:
        people, until = await store.desks(call.db, person_id, call.now)
        closing = _end_of_day(call, person.unit_id if person else "")
        names = ("accounts", *(f"desk:{one}" for one in people))
        return Topics(names, min(closing, until) if until is not None else closing)

    return await call.process.answers.answer(call, topics, lambda: _list(request, call, person_id, person))


async def _list(request: pb.ListWorkRequest, call: Call, person_id: str, person: Person | None) -> pb.ListWorkResponse:
    in_time, due, priority, item_id, step, absent = pages.after(request, *FIRST)
    items, counts = await store.work_of(
        call.db,
        {
            "person": person_id,
            "now": call.now,
            "end_of_day": _end_of_day(call, person.unit_id if person else ""),
            "types": list(request.types) or None,
            "kind": request.kind,
            "account_id": request.account_id or None,
            "due_before": protos.instant(request.due_before, "due_before") if request.HasField("due_before") else None,
            "on_behalf_only": request.on_behalf_only,
            "after_in_time": in_time,
            "after_due": due,
            "after_priority": priority,
            "after_id": item_id,
            "after_step": step,
            "after_absent": absent,
            "limit": pages.size(request) + 1,
        },
    )
    page, token = pages.split(items, request, _key)
    return pb.ListWorkResponse(
        items=[_to_proto(item) for item in page], next_page_token=token, counts=pb.WorkCounts(**counts)
    )


def _key(item: Item) -> tuple[bool, str, int, str, int, str]:
    due = item.due_at.isoformat() if item.due_at else "infinity"
    return not item.overdue, due, -item.priority, item.id, item.step, item.absent


def _end_of_day(call: Call, unit_id: str) -> datetime:
    """When the person's working day ends; on a free day, and after hours, the end of the day."""
    calendar = call.calendars.named("business", unit_id)
    local = call.now.astimezone(ZoneInfo(calendar.time_zone))
    closing = datetime.combine(local.date(), calendar.hours[-1].end, local.tzinfo)
    midnight = datetime.combine(local.date() + timedelta(days=1), time(), local.tzinfo)
    return (closing if local < closing else midnight).astimezone(UTC) + timedelta(microseconds=1)


def _to_proto(item: Item) -> pb.WorkItem:
    return pb.WorkItem(
        type=cast("pb.WorkType.ValueType", item.type),
        id=item.id,
        etag=etags.of(item.version),
        kind=item.kind,
        title=item.title,
        origin=item.origin,
        from_person_id=item.from_person_id,
        on_behalf_of=item.absent,
        step=item.step,
        outcomes=item.outcomes,
        arrive_time=protos.timestamp(item.arrived_at),
        due_time=protos.timestamp(item.due_at),
        overdue=item.overdue,
        escalation_level=item.escalation_level,
        light=cast("Light.ValueType", item.light),
        account_id=item.account_id or "",
        account_name=item.account_name or "",
        opportunity_id=item.opportunity_id or "",
        amount=None if item.amount_minor is None else protos.money(item.amount_minor, item.currency),
        discount_ratio=item.discount_ratio,
        explanation=_explanation(item),
        subject_type=item.subject_type,
        subject_id=item.subject_id,
    )


def _explanation(item: Item) -> str:
    """Why it is on this list, in one sentence."""
    why = [item.explanation, item.reason]
    if item.absent:
        why.append(f"you stand in for {item.absent}")
    return "; ".join(filter(None, why))[:2000]
