"""Many messages at once, what gateways report of them, and how colleagues want to be told (S73, U15, U20)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.json_format import ParseDict

from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1.deliveries_pb2_grpc import DeliveryServiceStub
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_integrations.deliveries.rules import advances, next_digest

Known = Any
CHINA = ZoneInfo("Asia/Shanghai")


@pytest.fixture(autouse=True)
def ways_out(outside: Callable[..., None]) -> None:
    outside(smtp_url="smtp://127.0.0.1:1", mail_from="Closedloop <sales@closedloop.test>", wecom_robots=json.dumps({}))


def to_contact(contact: str, key: str, **given: Any) -> pb.DeliveryContent:
    said = {
        "dedupeKey": key,
        "origin": "customers",
        "purpose": "DELIVERY_PURPOSE_MARKETING",
        "topic": "product_updated",
    }
    said |= {"recipient": {"contactId": contact}, "written": {"subject": "更新", "text": "王老师您好"}}
    return ParseDict({**said, **given}, pb.DeliveryContent())


def to_colleague(key: str, **given: Any) -> pb.DeliveryContent:
    said = {"dedupeKey": key, "origin": "approvals", "purpose": "DELIVERY_PURPOSE_INTERNAL", "topic": "task"}
    said |= {"recipient": {"personId": "rep1"}, "written": {"subject": f"任务 {key}", "text": f"请处理 {key}"}}
    return ParseDict({**said, **given}, pb.DeliveryContent())


async def bulk(
    live: Live, *rows: pb.DeliveryContent, dry: bool = False, who: tuple[str, str] = ("ops", "operations")
) -> Any:
    stub = live.stub(DeliveryServiceStub, *who)
    request = pb.BulkRequestDeliveriesRequest(request_id=str(uuid4()), rows=rows, validate_only=dry)
    return await stub.BulkRequestDeliveries(request)


async def listed(live: Live, **asked: Any) -> list[pb.Delivery]:
    stub = live.stub(DeliveryServiceStub, "ops", "operations")
    return list((await stub.ListDeliveries(pb.ListDeliveriesRequest(**asked))).deliveries)


@pytest.mark.mission("S73", "U15")
async def test_many_are_asked_for_at_once_and_each_row_stands_for_itself(company: Live, known: Known) -> None:
    account = await known.account("济南市第三中学")
    one = await known.contact("王老师", account, "wang@school.cn")
    two = await known.contact("李老师", account, "li@school.cn")
    theirs = await known.contact("赵", await known.account("青岛二中", "rep2", "north"), "zhao@school.cn")
    stub = company.stub(DeliveryServiceStub, "ops", "operations")
    no = pb.Consent(contact_id=two, allowed=False, cause="request")
    await stub.SetConsents(pb.SetConsentsRequest(request_id=str(uuid4()), rows=[no]))
    rows = [
        to_contact(one, "a"),
        to_contact(one, "a"),
        to_contact(two, "a"),
        to_contact(str(uuid4()), "a"),
        pb.DeliveryContent(),
        to_contact(one, "b"),
        to_contact(one, "c"),
        to_contact(theirs, "a"),
    ]
    expected = ["OPTED_OUT", "ADDRESS_UNKNOWN", "ROW_INVALID", "FREQUENCY"]
    tried = await bulk(company, *rows[:7], dry=True)
    assert ([error.reason for error in tried.errors], tried.created) == (expected, 2)
    assert not await listed(company)
    done = await bulk(company, *rows, who=("m1", "manager"))
    assert [(error.row, error.reason) for error in done.errors] == [
        *zip((2, 3, 4, 6), expected, strict=True),
        (7, "OUT_OF_SCOPE"),
    ]
    assert (done.read, done.created, done.unchanged, done.rejected) == (8, 2, 1, 5)
    again = await bulk(company, *rows[:3])
    assert (again.created, again.unchanged, again.rejected) == (0, 3, 0)
    states = {each.content.dedupe_key: each for each in await listed(company, contact_id=one)}
    assert {key: each.reason for key, each in states.items()} == {"a": "", "b": "", "c": "frequency"}
    life = (await stub.GetDelivery(pb.GetDeliveryRequest(id=states["c"].id))).life
    assert [step.state for step in life] == [pb.DELIVERY_STATE_SUPPRESSED]


@pytest.mark.mission("S73")
async def test_what_gateways_report_is_told_once_in_whatever_order(company: Live, known: Known) -> None:
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    await bulk(company, to_contact(contact, "a"), to_contact(contact, "b"))
    first, second = sorted(await listed(company), key=lambda each: each.content.dedupe_key)
    tx = company.process.database.transaction()
    tx.do("UPDATE delivery SET state = 'sent', gateway_id = dedupe_key || '@gateway'")
    await tx.commit()
    gateway = company.stub(DeliveryServiceStub, "gateway", "integration")

    def outcome(state: str, minutes: int = 0, **given: Any) -> pb.DeliveryOutcome:
        made = pb.DeliveryOutcome(state=pb.DeliveryState.Value(f"DELIVERY_STATE_{state.upper()}"), **given)
        made.time.CopyFrom(protos.timestamp(company.now - timedelta(minutes=60 - minutes)))
        made.provenance.source, made.provenance.source_id = "sms_gateway", "r1"
        return made

    async def report(*rows: pb.DeliveryOutcome) -> Any:
        request = pb.ReportDeliveryOutcomesRequest(request_id=str(uuid4()), rows=rows)
        return await gateway.ReportDeliveryOutcomes(request)

    told = await report(
        outcome("clicked", 2, gateway_id="a@gateway"),
        outcome("delivered", 1, delivery_id=first.id),
        outcome("clicked", 2, gateway_id="a@gateway"),
        outcome("sent", delivery_id=first.id),
        outcome("delivered", delivery_id=str(uuid4())),
        outcome("delivered", 120, delivery_id=first.id),
        outcome("delivered"),
    )
    assert [error.reason for error in told.errors] == [
        "OUTCOME_NOT_REPORTABLE",
        "DELIVERY_UNKNOWN",
        "TIME_IN_FUTURE",
        "NOTHING_NAMED",
    ]
    assert (told.updated, told.unchanged) == (2, 1)
    late = await report(outcome("opened", 1, delivery_id=first.id), outcome("delivered", 1, gateway_id="a@gateway"))
    assert (late.updated, late.unchanged) == (0, 2)
    stub = company.stub(DeliveryServiceStub, "rep1", "rep")
    life = (await stub.GetDelivery(pb.GetDeliveryRequest(id=first.id))).life
    assert [pb.DeliveryState.Name(step.state)[15:] for step in life] == ["QUEUED", "DELIVERED", "CLICKED"]

    await report(outcome("replied", 3, delivery_id=second.id, reply="TD"))
    last = (await company.told(events.DeliveryReported))[-1]
    assert (last.delivery_id, last.state, last.reply) == (second.id, pb.DELIVERY_STATE_REPLIED, "TD")
    barred = await bulk(company, to_contact(contact, "c"))
    assert [error.reason for error in barred.errors] == ["OPTED_OUT"]


def test_the_end_of_a_life_does_not_depend_on_the_order_of_reports() -> None:
    for reports in (("delivered", "opened", "clicked", "replied"), ("delivered", "bounced", "opened")):
        ends = set()
        for order in permutations(reports):
            state = "sent"
            for after in (*order, *order):
                state = after if advances(state, after) else state
            ends.add(state)
        assert len(ends) == 1


@pytest.mark.mission("U20")
async def test_a_colleague_says_how_to_be_told(company: Live) -> None:
    mine = company.stub(DeliveryServiceStub, "rep1", "rep")
    nothing = await mine.GetPreference(pb.GetPreferenceRequest())
    assert nothing == pb.Preference(person_id="rep1")

    def update(**given: Any) -> pb.UpdatePreferenceRequest:
        return pb.UpdatePreferenceRequest(request_id=str(uuid4()), preference=ParseDict(given, pb.Preference()))

    for bad, code, reason in (
        ({"channels": ["CHANNEL_SMS"]}, "FAILED_PRECONDITION", "CHANNEL_NOT_CONFIGURED"),
        ({"quietStart": {"hours": 22}}, "INVALID_ARGUMENT", "QUIET_HOURS_HALF"),
        ({"timeZone": "Mars/Olympus"}, "INVALID_ARGUMENT", "TIME_ZONE_UNKNOWN"),
        ({"digestTimes": [{"hours": 25}]}, "INVALID_ARGUMENT", "NOT_A_TIME_OF_DAY"),
        ({"etag": '"9"'}, "ABORTED", "ETAG_MISMATCH"),
    ):
        with company.refused(code, reason):
            await mine.UpdatePreference(update(**bad))
    said = {
        "channels": ["CHANNEL_MAIL"],
        "quietStart": {"hours": 8},
        "quietEnd": {"hours": 10, "minutes": 30},
        "timeZone": "Asia/Tokyo",
        "mutedTopics": ["lead"],
    }
    kept = await mine.UpdatePreference(update(**said))
    assert await mine.GetPreference(pb.GetPreferenceRequest(person_id="rep1")) == kept
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await mine.UpdatePreference(update(**said))
    with company.refused("PERMISSION_DENIED"):
        await company.stub(DeliveryServiceStub, "rep2", "rep").GetPreference(pb.GetPreferenceRequest(person_id="rep1"))
    with company.refused("NOT_FOUND", "PERSON_UNKNOWN"):
        await company.stub(DeliveryServiceStub, "ops", "operations").GetPreference(
            pb.GetPreferenceRequest(person_id="nobody")
        )

    # It is nine in China and ten in Tokyo.
    done = await bulk(
        company, to_colleague("t1"), to_colleague("l1", topic="lead"), to_colleague("l2", topic="lead", urgent=True)
    )
    assert [error.reason for error in done.errors] == ["MUTED"]
    by_key = {each.content.dedupe_key: each for each in await listed(company)}
    assert (by_key["t1"].state, by_key["t1"].reason) == (pb.DELIVERY_STATE_HELD, "quiet_hours")
    assert (by_key["l2"].state, by_key["l1"].reason) == (pb.DELIVERY_STATE_QUEUED, "muted")


@pytest.mark.mission("U20")
async def test_what_is_not_urgent_goes_out_together_and_fares_as_the_digest_does(company: Live) -> None:
    mine = company.stub(DeliveryServiceStub, "rep1", "rep")
    wish = pb.Preference(digest_times=[{"hours": 12}, {"hours": 17}])
    await mine.UpdatePreference(pb.UpdatePreferenceRequest(request_id=str(uuid4()), preference=wish))
    await bulk(company, to_colleague("t1"), to_colleague("t2"), to_colleague("t3", urgent=True))
    held = {each.content.dedupe_key: each for each in await listed(company)}
    assert [(held[key].state, held[key].reason) for key in ("t1", "t2", "t3")] == [
        (pb.DELIVERY_STATE_HELD, "digest"),
        (pb.DELIVERY_STATE_HELD, "digest"),
        (pb.DELIVERY_STATE_QUEUED, ""),
    ]
    await company.move_to(datetime(2026, 1, 5, 12, 0, 1, tzinfo=CHINA).astimezone(UTC))
    [digest] = await listed(company, origin="integrations")
    told = await mine.GetDelivery(pb.GetDeliveryRequest(id=digest.id))
    assert (told.state, told.subject) == (pb.DELIVERY_STATE_QUEUED, "2 条消息")
    assert "请处理 t1" in told.text
    assert "任务 t2" in told.text
    member = await mine.GetDelivery(pb.GetDeliveryRequest(id=held["t1"].id))
    assert (member.digest_delivery_id, member.state) == (digest.id, pb.DELIVERY_STATE_HELD)
    taken = pb.CancelDeliveryRequest(request_id=str(uuid4()), id=member.id, etag=member.etag, reason="x")
    with company.refused("FAILED_PRECONDITION", "DELIVERY_HANDED_OVER"):
        await company.stub(DeliveryServiceStub, "ops", "operations").CancelDelivery(taken)

    tx = company.process.database.transaction()
    tx.do("UPDATE delivery SET state = 'sending', attempts = 1 WHERE id = %(id)s", {"id": digest.id})
    await tx.commit()
    accepted = events.DeliveryAttempted(
        delivery_id=digest.id, attempt=1, outcome=events.ATTEMPT_OUTCOME_ACCEPTED, time=protos.timestamp(company.now)
    )
    await company.hear(accepted, digest.id, source="integrations.courier")
    fared = {each.content.dedupe_key: each.state for each in await listed(company)}
    assert (fared["t1"], fared["t2"]) == (pb.DELIVERY_STATE_SENT, pb.DELIVERY_STATE_SENT)
    reported = [(each.dedupe_key, each.state) for each in await company.told(events.DeliveryReported)]
    assert ("t1", pb.DELIVERY_STATE_SENT) in reported

    await bulk(company, to_colleague("t4"))
    await company.move_to(datetime(2026, 1, 5, 17, 0, 1, tzinfo=CHINA).astimezone(UTC))
    [alone] = [each for each in await listed(company) if each.content.dedupe_key == "t4"]
    assert (alone.state, alone.digest_delivery_id) == (pb.DELIVERY_STATE_QUEUED, "")


@pytest.mark.parametrize(("hour", "due"), [(9, (5, 12)), (12, (5, 12)), (13, (5, 17)), (18, (6, 12))])
def test_the_next_digest_is_the_first_that_is_not_over(hour: int, due: tuple[int, int]) -> None:
    times = (datetime(2026, 1, 1, 17).time(), datetime(2026, 1, 1, 12).time())
    found = next_digest(datetime(2026, 1, 5, hour, tzinfo=CHINA), "Asia/Shanghai", times)
    assert (found.day, found.hour) == due
