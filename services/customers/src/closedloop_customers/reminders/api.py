"""ReminderService."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import reminders_pb2 as pb
from closedloop_chassis import enums, errors, etags, masks, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, provenance, records
from closedloop_customers.reminders import desk, store, wire
from closedloop_customers.reminders.rules import Agreed, checked, zone_of
from closedloop_customers.reminders.store import Owned, Reminder

rpcs = Rpcs("closedloop.customers.v1.ReminderService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"
FIELDS = ("title", "agreed_date", "agreed_time_of_day", "time_zone")


@rpcs.method
async def get_reminder(request: pb.GetReminderRequest, call: Call) -> pb.Reminder:
    found = await store.get(call.db, request.id)
    if found is None:
        raise errors.NotFound("REMINDER_NOT_FOUND", f"no reminder {request.id}")
    call.authorize(found.owner_id, found.unit_id, found.participant_ids)
    return await accesses.shown(call, wire.to_proto(found, (await store.notices(call.db, [found.id]))[found.id]))


@rpcs.method
async def list_reminders(request: pb.ListRemindersRequest, call: Call) -> pb.ListRemindersResponse:
    after_day, after_id = pages.after(request, date.min.isoformat(), FIRST_ID)
    type_, id_ = records.key(request.record) if request.HasField("record") else ("", "")
    params = {
        **records.filters(request, call),
        "record_type": type_,
        "record_id": id_ or None,
        "states": enums.words(pb.ReminderState, request.states) or ["open"],
        "from_day": protos.day(request.from_date, "from_date") if request.HasField("from_date") else date.min,
        "to_day": protos.day(request.to_date, "to_date") if request.HasField("to_date") else date.max,
        "after_day": after_day,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Owned)
    page, token = pages.split(found, request, lambda row: (row.agreed_on.isoformat(), row.id))
    notices = await store.notices(call.db, [row.id for row in page]) if page else {}
    shown = [wire.to_proto(row, notices.get(row.id, ())) for row in page]
    return await accesses.shown(call, pb.ListRemindersResponse(reminders=shown, next_page_token=token))


@rpcs.method
async def create_reminder(request: pb.CreateReminderRequest, call: Call) -> pb.Reminder:
    standing = await records.reach(call.tx, call, request.record)
    records.may_change(call, standing.owner_id, standing.unit_id, standing.participant_ids)
    if not standing.open:
        raise errors.FailedPrecondition("RECORD_CLOSED", "nothing is agreed with a record that has ended")
    agreed = Agreed(
        day=protos.day(request.agreed_date, "agreed_date"),
        hour=wire.hour(request.agreed_time_of_day) if request.HasField("agreed_time_of_day") else None,
        zone=zone_of(request.time_zone or desk.zone(call, standing.owner_id, standing.unit_id)),
    )
    kept = provenance.keep(Provenance(source_id=new_id()), call.actor, call.now)
    one = desk.made(call, standing, _title(request.title), checked(agreed, call.now), kept)
    desk.agree(call, [one])
    return await _shown(call, one)


@rpcs.method
async def update_reminder(request: pb.UpdateReminderRequest, call: Call) -> pb.Reminder:
    old = await _open(call, request.id, request.etag)
    paths = masks.paths(request.update_mask, FIELDS)
    new = old
    if "title" in paths:
        new = replace(new, title=_title(request.title))
    if "agreed_date" in paths:
        new = replace(new, agreed_on=protos.day(request.agreed_date, "agreed_date"))
    if "agreed_time_of_day" in paths:
        set_ = request.HasField("agreed_time_of_day")
        new = replace(new, agreed_at=wire.hour(request.agreed_time_of_day) if set_ else None)
    if "time_zone" in paths:
        new = replace(new, time_zone=zone_of(request.time_zone or desk.zone(call, old.owner_id, old.unit_id)))
    if new.agreed != old.agreed:
        checked(new.agreed, call.now)
    desk.change(call, [(old, new)])
    return await _shown(call, new)


@rpcs.method
async def end_reminder(request: pb.EndReminderRequest, call: Call) -> pb.Reminder:
    old = await _open(call, request.id, request.etag)
    desk.end(call, old, enums.word(pb.ReminderState, request.state), request.note.strip())
    return await _shown(call, old)


async def _open(call: Call, id: str, etag: str) -> Owned:
    found = (await store.lock(call.tx, [id])).get(id)
    if found is None:
        raise errors.NotFound("REMINDER_NOT_FOUND", f"no reminder {id}")
    records.may_change(call, found.owner_id, found.unit_id, found.participant_ids)
    etags.check(etag, found.version)
    if found.state != "open":
        raise errors.FailedPrecondition("REMINDER_ENDED", f"it ended before: {found.state}", state=found.state)
    return found


def _title(given: str) -> str:
    if not given.strip():
        raise errors.InvalidArgument("TITLE_MISSING", "say what was agreed", {"title": "value is required"})
    return given.strip()


async def _shown(call: Call, one: Reminder) -> pb.Reminder:
    """As it stands after what this call has queued."""
    after = (await store.lock(call.tx, [one.id]))[one.id]
    return wire.to_proto(after, (await store.notices(call.tx, [one.id]))[one.id])
