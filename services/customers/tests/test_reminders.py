"""Agreed dates: the day before and that morning, in the owner's zone, once each."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, assignment_pb2, interactions_pb2, leads_pb2
from closedloop.customers.v1 import reminders_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.clocks.timers import SET
from closedloop_customers.reminders import desk
from closedloop_customers.reminders.rules import Agreed, ReminderRules, moment, planned, timely

from .conftest import House

BERLIN, NEW_YORK, APIA, SHANGHAI = map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Shanghai"))


@pytest.mark.mission("S26")
@pytest.mark.parametrize(
    ("day", "hour", "zone", "expected"),
    [
        (date(2026, 1, 9), time(8, 30), SHANGHAI, "2026-01-09T00:30:00+00:00"),
        # Skipped: the clocks go from 02:00 to 03:00.
        (date(2026, 3, 29), time(2, 30), BERLIN, "2026-03-29T01:00:00+00:00"),
        (date(2026, 3, 8), time(2), NEW_YORK, "2026-03-08T07:00:00+00:00"),
        # Twice: the first one counts.
        (date(2026, 10, 25), time(2, 30), BERLIN, "2026-10-25T00:30:00+00:00"),
        # Samoa left out the whole of that day.
        (date(2011, 12, 30), time(8, 30), APIA, "2011-12-30T10:00:00+00:00"),
    ],
)
def test_a_wall_time_is_one_moment(day: date, hour: time, zone: ZoneInfo, expected: str) -> None:
    assert moment(day, hour, zone).isoformat() == expected


@pytest.mark.mission("S26")
def test_notices_are_planned_on_the_owners_wall_clock() -> None:
    rules, now = ReminderRules(), datetime(2026, 3, 1, tzinfo=UTC)

    def hours(agreed: Agreed, now: datetime = now, place: str = "") -> list[tuple[str, str]]:
        zone = ZoneInfo(place or agreed.zone)
        return [
            (f"{notice.plan_at.astimezone(zone):%m-%d %H:%M}", notice.skip_reason)
            for notice in planned(agreed, zone, now, rules)
        ]

    assert hours(Agreed(date(2026, 3, 9), None, "America/New_York")) == [("03-08 16:00", ""), ("03-09 08:30", "")]
    early = Agreed(date(2026, 3, 9), time(7), "America/New_York")
    assert hours(early)[1] == ("03-09 06:00", "")
    today = Agreed(date(2026, 3, 1), time(20), "Asia/Shanghai")
    assert hours(today, datetime(2026, 3, 1, 2, tzinfo=UTC)) == [
        ("02-28 16:00", "made_too_late"),
        ("03-01 08:30", "made_too_late"),
    ]
    # Agreed in Shanghai, told on the clocks of who is in New York by then: the same talk is on the evening before there.
    abroad = Agreed(date(2026, 3, 9), time(9), "Asia/Shanghai")
    assert hours(abroad, place="America/New_York") == [("03-07 16:00", ""), ("03-08 08:30", "")]
    for zone in (NEW_YORK, APIA, SHANGHAI, ZoneInfo("Etc/GMT-14"), ZoneInfo("Etc/GMT+12")):
        for agreed in (abroad, early, Agreed(date(2026, 3, 9), None, "Pacific/Apia")):
            for notice in planned(agreed, zone, now, rules):
                assert timedelta(0) < agreed.latest - notice.plan_at < timedelta(hours=60)
    # A platform that was away says of each only what still helps.
    agreed = Agreed(date(2026, 3, 9), time(15), "Asia/Shanghai")
    morning = moment(agreed.day, rules.that_morning_at, SHANGHAI)
    assert timely("day_before", agreed, SHANGHAI, morning - timedelta(seconds=1), rules)
    assert not timely("day_before", agreed, SHANGHAI, morning, rules)
    assert timely("that_morning", agreed, SHANGHAI, agreed.latest - timedelta(seconds=1), rules)
    assert not timely("that_morning", agreed, SHANGHAI, agreed.latest, rules)


async def account(house: House, rid: Any, name: str = "华东精密") -> accounts_pb2.RecordReference:
    made = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=rid(), profile=accounts_pb2.AccountProfile(name=name))
    )
    return accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=made.id)


async def agree(house: House, rid: Any, record: Any, day: int, **fields: Any) -> pb.Reminder:
    whole = {"title": "演示视觉检测", "agreed_date": Date(year=2026, month=1, day=day), **fields}
    made: pb.Reminder = await house.rep1.reminders.CreateReminder(
        pb.CreateReminderRequest(request_id=rid(), record=record, **whole)
    )
    return made


async def get(house: House, id: str) -> pb.Reminder:
    found: pb.Reminder = await house.rep1.reminders.GetReminder(pb.GetReminderRequest(id=id))
    return found


async def sent(house: House) -> list[tuple[str, str, str]]:
    """(whom, kind, when, in Shanghai) of every notice asked for."""
    events = await house.live.told(integrations.DeliveryRequested)
    return [
        (m.content.recipient.person_id, str(m.content.template.fields["kind"]), m.content.dedupe_key.split(":")[2])
        for m in events
        if m.content.template.template == "reminder"
    ]


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=SHANGHAI)


@pytest.mark.mission("S26", "U18")
async def test_each_notice_is_sent_once_whatever_happens_to_clocks_and_processes(house: House, rid: Any) -> None:
    record = await account(house, rid)
    one = await agree(house, rid, record, 9, agreed_time_of_day=TimeOfDay(hours=15))
    assert (one.time_zone, one.state, one.ownership.owner_id) == ("Asia/Shanghai", pb.REMINDER_STATE_OPEN, "rep1")
    assert [n.plan_time.ToJsonString() for n in one.notices] == ["2026-01-08T08:00:00Z", "2026-01-09T00:30:00Z"]
    await house.live.move_to(at(8, 15))
    assert await sent(house) == []
    await house.live.move_to(at(8, 17))
    assert await sent(house) == [("rep1", "day_before", "2026-01-09")]
    assert [n.HasField("send_time") for n in (await get(house, one.id)).notices] == [True, False]
    # The clock goes back by a day, and the timer of a process that died in between rings again.
    house.live.process.time.stop_at(at(7))
    tx = house.live.process.database.transaction()
    again = {"kind": desk.DAY_BEFORE, "subject": one.id, "at": at(8, 16), "attributes": None}
    tx.do(SET.replace("%(attributes)s", "'{}'"), again)
    await tx.commit()
    await house.live.move_to(at(8, 18))
    assert len(await sent(house)) == 1
    # Who owns the record that morning is told; the hour is of the zone that was agreed.
    await house.live.move_to(at(9, 10))
    assert await sent(house) == [("rep1", "day_before", "2026-01-09"), ("rep1", "that_morning", "2026-01-09")]
    (content,) = [
        m.content
        for m in await house.live.told(integrations.DeliveryRequested)
        if m.content.dedupe_key.endswith(":that_morning")
    ]
    assert dict(content.template.fields.items()) == {
        "title": "演示视觉检测",
        "account": "华东精密",
        "day": "2026-01-09",
        "hour": "15:00",
        "time_zone": "Asia/Shanghai",
        "kind": "that_morning",
    }
    assert content.expire_time.ToJsonString() == "2026-01-09T07:00:00Z"
    await house.live.move_to(at(10, 1))
    assert (await get(house, one.id)).state == pb.REMINDER_STATE_MISSED
    trail = await house.live.db.all(
        "SELECT actor_id, action FROM audit_entry WHERE subject = %(id)s ORDER BY id", {"id": one.id}
    )
    assert [(row["actor_id"], row["action"]) for row in trail] == [
        ("rep1", "agree"),
        ("timer:customers.reminder_day_over", "missed"),
    ], "what the system does of itself is in the trail as well"
    # Told late, the talk had taken place after all.
    row = interactions_pb2.InteractionRow(
        record=record,
        channel=interactions_pb2.CHANNEL_VISIT,
        direction=interactions_pb2.INTERACTION_DIRECTION_MUTUAL,
        occur_time=protos.timestamp(at(9, 15)),
        summary="客户看了演示，要报价",
        provenance=Provenance(source="crm", source_id="visit-1"),
    )
    await house.rep1.interactions.BulkRecordInteractions(
        interactions_pb2.BulkRecordInteractionsRequest(request_id=rid(), rows=[row])
    )
    assert (await get(house, one.id)).state == pb.REMINDER_STATE_KEPT


@pytest.mark.mission("S26", "S82")
async def test_dates_are_moved_ended_and_refused(house: House, rid: Any) -> None:
    record = await account(house, rid)
    one = await agree(house, rid, record, 9)
    await house.live.move_to(at(8, 17))

    def moved(one: pb.Reminder, **fields: Any) -> pb.UpdateReminderRequest:
        return pb.UpdateReminderRequest(
            request_id=rid(), id=one.id, etag=one.etag, update_mask=FieldMask(paths=list(fields)), **fields
        )

    late = await house.rep1.reminders.UpdateReminder(moved(one, agreed_date=Date(year=2026, month=1, day=12)))
    assert [n.plan_time.ToJsonString() for n in late.notices] == ["2026-01-11T08:00:00Z", "2026-01-12T00:30:00Z"]
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await house.rep1.reminders.UpdateReminder(moved(one, title="别的"))
    with house.live.refused("INVALID_ARGUMENT", "DATE_IN_PAST"):
        await house.rep1.reminders.UpdateReminder(moved(late, agreed_date=Date(year=2026, month=1, day=7)))
    with house.live.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await house.rep1.reminders.UpdateReminder(
            pb.UpdateReminderRequest(
                request_id=rid(), id=late.id, etag=late.etag, update_mask=FieldMask(paths=["state"])
            )
        )
    await house.live.move_to(at(12, 10))
    assert [day for _, _, day in await sent(house)] == ["2026-01-09", "2026-01-12", "2026-01-12"]
    end = pb.EndReminderRequest(request_id=rid(), id=late.id, etag=late.etag, state=pb.REMINDER_STATE_KEPT)
    assert (await house.rep1.reminders.EndReminder(end)).state == pb.REMINDER_STATE_KEPT
    with house.live.refused("FAILED_PRECONDITION", "REMINDER_ENDED"):
        kept = await get(house, late.id)
        await house.rep1.reminders.EndReminder(
            pb.EndReminderRequest(request_id=rid(), id=late.id, etag=kept.etag, state=pb.REMINDER_STATE_CANCELLED)
        )
    for reason, fields in (
        ("NOT_A_DAY", {"agreed_date": Date(year=2026, month=2, day=30)}),
        ("NOT_AN_HOUR", {"agreed_time_of_day": TimeOfDay(hours=24)}),
        ("UNKNOWN_TIME_ZONE", {"time_zone": "Mars/Olympus"}),
        ("TITLE_MISSING", {"title": " "}),
        ("DATE_IN_PAST", {"agreed_time_of_day": TimeOfDay(hours=9), "agreed_date": Date(year=2026, month=1, day=12)}),
    ):
        with house.live.refused("INVALID_ARGUMENT", reason):
            await agree(house, rid, record, 20, **fields)
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.reminders.GetReminder(pb.GetReminderRequest(id=one.id))
    skipped = await agree(house, rid, record, 29, time_zone="Europe/Berlin")
    listed = await house.m1.reminders.ListReminders(pb.ListRemindersRequest(record=record))
    assert [r.id for r in listed.reminders] == [skipped.id]
    everything = pb.ListRemindersRequest(page_size=1, states=[pb.REMINDER_STATE_OPEN, pb.REMINDER_STATE_KEPT])
    first = await house.ops.reminders.ListReminders(everything)
    everything.page_token = first.next_page_token
    second = await house.ops.reminders.ListReminders(everything)
    assert [first.reminders[0].id, second.reminders[0].id] == [one.id, skipped.id]
    assert not second.next_page_token
    assert not (await house.rep9.reminders.ListReminders(pb.ListRemindersRequest())).reminders


@pytest.mark.mission("S26", "S42")
async def test_what_was_agreed_in_a_response_or_a_log_is_reminded_of(house: House, rid: Any) -> None:
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(
                company_name="苏州远见", phone="13800138000", region_code="310000", need="报价"
            ),
            provenance=Provenance(source="web_form", source_id="f-1"),
        )
    )
    owner = house.caller(lead.ownership.owner_id, "rep")
    for day in (8, 9):
        await owner.leads.RecordResponse(
            leads_pb2.RecordResponseRequest(
                request_id=rid(),
                id=lead.id,
                channel=interactions_pb2.CHANNEL_PHONE,
                content="客户下周要方案",
                reached=True,
                next_contact_date=Date(year=2026, month=1, day=day),
            )
        )
    record = await account(house, rid)
    for version, day in ((1, 14), (3, 13), (2, 15)):
        told = funnel.ActivityLogged(
            activity_id="0190d3c0-0000-7000-8000-00000000000a",
            version=version,
            account_id=record.id,
            next_step="送样",
            next_step_date=Date(year=2026, month=1, day=day),
        )
        await house.live.hear(told, record.id, source="funnel")
    found = (await house.ops.reminders.ListReminders(pb.ListRemindersRequest())).reminders
    assert [(r.provenance.source, r.agreed_date.day) for r in found] == [("lead_response", 9), ("funnel", 13)]
    # The seller leaves: who leads them is told.
    gone = targets.PersonChanged(person_id="rep1", unit_id="team1", name="张三", active=False, version=10**6)
    await house.live.hear(gone, "rep1", source="targets")
    await house.live.move_to(at(13, 10))
    assert ("m1", "that_morning", "2026-01-13") in await sent(house)


@pytest.mark.mission("S26")
async def test_an_owner_who_moves_is_told_on_the_clocks_of_the_new_place(house: House, rid: Any) -> None:
    record = await account(house, rid)
    one = await agree(house, rid, record, 14, agreed_time_of_day=TimeOfDay(hours=20))

    async def lives(person: str, zone: str, version: int) -> None:
        moved = targets.PersonChanged(
            person_id=person, unit_id="team1", name="张三", active=True, time_zone=zone, version=version
        )
        await house.live.hear(moved, person, source="targets")

    def plans(one: pb.Reminder) -> list[str]:
        return [notice.plan_time.ToJsonString() for notice in one.notices]

    assert plans(one) == ["2026-01-13T08:00:00Z", "2026-01-14T00:30:00Z"]
    # Further west: everything is later, and the talk is when it was agreed.
    await lives("rep1", "Europe/Berlin", 10**6)
    shown = await get(house, one.id)
    assert (plans(shown), shown.time_zone) == (["2026-01-13T15:00:00Z", "2026-01-14T07:30:00Z"], "Asia/Shanghai")
    await house.live.move_to(at(13, 17))
    assert await sent(house) == []
    await house.live.move_to(at(14, 0))
    assert await sent(house) == [("rep1", "day_before", "2026-01-14")]
    # The account goes to a colleague at home overnight: that morning is theirs.
    await house.m1.assignment.AssignRecord(
        assignment_pb2.AssignRecordRequest(request_id=rid(), record=record, assignee_id="rep2", reason="离得近")
    )
    await house.live.move_to(at(14, 9))
    assert await sent(house) == [("rep1", "day_before", "2026-01-14"), ("rep2", "that_morning", "2026-01-14")]
