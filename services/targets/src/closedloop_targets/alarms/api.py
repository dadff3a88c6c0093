"""AlarmService: warnings with their owner, action and check (S102)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from closedloop.targets.v1 import alarms_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.alarms import effects, raising, shapes, store
from closedloop_targets.alarms.rpcs import rpcs
from closedloop_targets.alarms.rules import AlarmRules
from closedloop_targets.alarms.store import Alarm
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import DAY, FiscalCalendar

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def list_alarms(request: pb.ListAlarmsRequest, call: Call) -> pb.ListAlarmsResponse:
    key, key_time, key_id = pages.after(request, -(2**15), float(-(2**60)), FIRST_ID)
    params = await _filter(request, call)
    page_params = {**params, "key": key, "key_time": key_time, "key_id": key_id, "limit": pages.size(request) + 1}
    rows = await call.db.all(store.LIST, page_params, into=Alarm)
    page, token = pages.split(rows, request, lambda row: (-row.light, -row.raised_at.timestamp(), row.id))
    counts = None
    if not request.page_token:
        counts = pb.AlarmCounts(**(await call.db.one(store.COUNTS, {**params, "now": call.now}) or {}))
    return pb.ListAlarmsResponse(alarms=[shapes.alarm(row) for row in page], next_page_token=token, counts=counts)


@rpcs.method
async def get_alarm(request: pb.GetAlarmRequest, call: Call) -> pb.Alarm:
    alarm = await store.alarm(call.db, request.alarm_id)
    call.authorize(alarm.owner_id, alarm.unit_id)
    return shapes.alarm(alarm)


@rpcs.method
async def respond_to_alarm(request: pb.RespondToAlarmRequest, call: Call) -> pb.Alarm:
    alarm = await _locked(call, request.alarm_id, request.etag)
    raising.require_open(alarm)
    today = call.home.today()
    check = today + timedelta(days=call.rules(AlarmRules).check_after_days)
    if request.HasField("check_date"):
        check = protos.day(request.check_date, "check_date")
        if check <= today:
            raise errors.FailedPrecondition("CHECK_DATE_IN_PAST", f"an effect shows after {today} at the earliest")
        if check > today + timedelta(days=call.rules(AlarmRules).check_within_days):
            raise errors.InvalidArgument(
                "DATE_TOO_FAR", "that is later than the rulebook allows", {"check_date": "too far"}
            )
    cause = enums.word(pb.Cause, request.cause)
    return shapes.alarm(raising.answer(call, alarm, cause, request.action, check, call.now, call.caller.subject))


@rpcs.method
async def reassign_alarm(request: pb.ReassignAlarmRequest, call: Call) -> pb.Alarm:
    alarm = await _locked(call, request.alarm_id, request.etag)
    raising.require_open(alarm)
    person = await company.person(call, request.owner_id)
    if not person.active:
        raise errors.NotFound("PERSON_NOT_FOUND", f"{person.id} has left", person_id=person.id)
    given = raising.hand_over(call, alarm, person.id)
    call.audit(
        f"alarm:{alarm.id}",
        "reassign",
        before={"owner_id": alarm.owner_id},
        after={"owner_id": person.id},
        business_action=request.reason,
    )
    return shapes.alarm(given)


@rpcs.method
async def check_alarm(request: pb.CheckAlarmRequest, call: Call) -> pb.Alarm:
    alarm = await _locked(call, request.alarm_id, request.etag)
    raising.require_open(alarm)
    if alarm.state != "answered":
        raise errors.FailedPrecondition("NOT_ANSWERED", "nobody has said yet what was done about it")
    found = await effects.measure(call, [alarm])
    return shapes.alarm(raising.judge(call, alarm, found[alarm.id]))


async def _locked(call: Call, alarm_id: str, etag: str) -> Alarm:
    found = await store.lock(call.tx, alarm_id)
    if not found:
        raise errors.NotFound("ALARM_NOT_FOUND", f"there is no alarm {alarm_id}")
    call.authorize(found[0].owner_id, found[0].unit_id)
    etags.check(etag, found[0].version)
    return found[0]


async def _filter(request: pb.ListAlarmsRequest, call: Call) -> dict[str, Any]:
    if request.unit_id:
        await company.unit(call, request.unit_id)
    since = until = None
    if request.period:
        period = periods.parse(request.period, call.rules(FiscalCalendar))
        since = call.home.moment(period.start)
        until = call.home.moment(period.end + DAY)
    return {
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "owner_id": request.owner_id,
        "target_id": request.target_id,
        "kinds": enums.words(pb.AlarmKind, request.kinds),
        "states": enums.words(pb.AlarmState, request.states),
        "light": max(request.light - 1, 0),
        "since": since,
        "until": until,
        **call.scope.params,
    }


async def open_of(call: Call, target_id: str) -> list[pb.Alarm]:
    """Of one target, the most severe first; the first page of them."""
    request = pb.ListAlarmsRequest(target_id=target_id, states=[pb.ALARM_STATE_OPEN, pb.ALARM_STATE_ANSWERED])
    params = {"key": -(2**15), "key_time": float(-(2**60)), "key_id": FIRST_ID, "limit": pages.DEFAULT_SIZE}
    rows = await call.db.all(store.LIST, {**await _filter(request, call), **params}, into=Alarm)
    return [shapes.alarm(row) for row in rows]
