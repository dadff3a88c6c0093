"""The seller's day: its activities, closed with a summary and tomorrow's plan (S42)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.data.rows import row
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.activities import proto, store
from closedloop_funnel.activities.record import DailyLog
from closedloop_funnel.activities.rules import ActivityRules

rpcs = Rpcs("closedloop.funnel.v1.ActivityService")


@rpcs.method
async def submit_daily_log(request: pb.SubmitDailyLogRequest, call: Call) -> pb.DailyLog:
    rules, person_id = call.rules(ActivityRules), call.caller.subject
    unit_id = _unit_of(person_id, call)
    day = protos.day(request.date, "date")
    today = call.home.today(unit_id)
    if day > today:
        raise errors.InvalidArgument("DATE_IN_FUTURE", f"{day} has not come yet", {"date": "in the future"})
    if (today - day).days > rules.daily_log_days:
        raise errors.FailedPrecondition("LOG_WINDOW_CLOSED", f"a day may be closed for {rules.daily_log_days} days")
    before = await store.daily_log(call.tx, person_id, day)
    log = DailyLog(person_id, day, unit_id, request.summary, request.plan, request.help_needed, call.now)
    of_day = await store.of_day(call.tx, person_id, *_bounds(day, unit_id, call), call.now)
    store.put_log(call.tx, log)
    call.audit(f"{person_id}/{day}", "submit_daily_log", row(before) if before else None, row(log))
    return proto.daily_log(log, of_day, rules, with_activities=False)


@rpcs.method
async def get_daily_log(request: pb.GetDailyLogRequest, call: Call) -> pb.DailyLog:
    person_id = request.person_id or call.caller.subject
    unit_id = _unit_of(person_id, call)
    call.authorize(person_id, unit_id)
    day = protos.day(request.date, "date")
    log = await store.daily_log(call.db, person_id, day) or DailyLog(person_id, day, unit_id, "", "", "", None)
    of_day = await store.of_day(call.db, person_id, *_bounds(day, unit_id, call), call.now)
    return proto.daily_log(log, of_day, call.rules(ActivityRules), with_activities=True)


def _unit_of(person_id: str, call: Call) -> str:
    person = call.org.person(person_id)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {person_id}")
    return person.unit_id


def _bounds(day: date, unit_id: str, call: Call) -> tuple[datetime, datetime]:
    return call.home.moment(day, unit_id=unit_id), call.home.moment(day + timedelta(days=1), unit_id=unit_id)
