"""Lights, findings and the work list that follows from them (S30, S31, S34, S82)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import LIGHT_NONE, LIGHT_RED, LIGHT_YELLOW
from closedloop.customers.v1 import accounts_pb2, contacts_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import quality_pb2 as pb
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id

from .conftest import House
from .test_health import spoke

VISIT = accounts_pb2.BusinessAction(kind="visit", note="当面核实")


async def account(house: House, name: str = "上海华东精密", **profile: Any) -> accounts_pb2.Account:
    known = {"industry": "manufacturing", "region_code": "310000", **profile}
    made: accounts_pb2.Account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=new_id(), profile=accounts_pb2.AccountProfile(name=name, **known))
    )
    return made


async def findings(house: House, **fields: Any) -> list[pb.Finding]:
    answer = await house.rep1.quality.ListFindings(pb.ListFindingsRequest(**fields))
    return list(answer.findings)


async def resolve(house: House, finding: pb.Finding, way: str, **fields: Any) -> pb.Finding:
    request = pb.ResolveFindingRequest(
        request_id=new_id(),
        id=finding.id,
        etag=fields.pop("etag", finding.etag),
        resolution=pb.FindingResolution.Value(f"FINDING_RESOLUTION_{way}"),
        **fields,
    )
    done: pb.Finding = await house.rep1.quality.ResolveFinding(request)
    return done


async def light(house: House, id: str) -> int:
    return int((await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=id))).quality_light)


async def watched(house: House) -> None:
    """Records are looked through from now on; other clocks of the company are of no matter here."""
    await house.live.hear(targets.OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True, version=9))
    await house.live.db.all("UPDATE clock SET state = 'cancelled' WHERE kind = 'customers.silence' RETURNING id")
    await house.live.db.all("DELETE FROM timer WHERE kind <> 'customers.quality_look' RETURNING kind")
    await house.live.db.all(
        """INSERT INTO rulebook
           VALUES ('customers.quality', 1, '2020-01-01', '{"look_every": {"days": 1}}', 'ops', 'x', '2020-01-01')
           RETURNING name"""
    )
    await house.live.db.all("UPDATE memory_revision SET value = value + 1 WHERE name = 'rulebook' RETURNING 1")
    await house.live.process.look()


@pytest.mark.mission("S34", "S30")
async def test_thirty_days_are_yellow_sixty_are_red_and_a_person_puts_them_out(house: House) -> None:
    one = await account(house)
    await watched(house)
    await house.live.advance(days=31)
    assert await light(house, one.id) == LIGHT_YELLOW
    (silent,) = await findings(house)
    assert (silent.kind, silent.light) == (pb.FINDING_KIND_SILENT, LIGHT_YELLOW)
    with house.live.refused("FAILED_PRECONDITION", "STILL_STALE"):
        await resolve(house, silent, "VERIFIED", business_action=VISIT)
    await spoke(house, one.id, 1)
    assert await light(house, one.id) == LIGHT_NONE
    await house.live.advance(days=31)
    assert await light(house, one.id) == LIGHT_RED
    asked = [event.content for event in await house.live.told(approvals.TaskRequested)]
    tasks = [task for task in asked if task.warning == "customers.stale_key_fields"]
    assert [(t.cause_key, t.assignee_id) for t in tasks] == [(f"customers.stale_key_fields:{one.id}", "m1")]
    assert tasks[0].evidence[0].value >= 60
    assert (await house.live.told(events.AccountChanged))[-1].quality_light == LIGHT_RED
    kinds = {finding.kind: finding for finding in await findings(house)}
    assert set(kinds) == {pb.FINDING_KIND_STALE_KEY_FIELDS, pb.FINDING_KIND_SILENT}
    red = kinds[pb.FINDING_KIND_STALE_KEY_FIELDS]
    assert red.task_cause_key == tasks[0].cause_key
    assert "credit_code" in red.fields
    with house.live.refused("INVALID_ARGUMENT", "BUSINESS_ACTION_UNKNOWN"):
        await resolve(house, red, "VERIFIED", business_action=accounts_pb2.BusinessAction(kind="rumour"))
    with house.live.refused("FAILED_PRECONDITION", "STILL_STALE"):
        await resolve(house, red, "CORRECTED", business_action=VISIT)
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await resolve(house, red, "VERIFIED", business_action=VISIT, etag="9")
    with house.live.refused("INVALID_ARGUMENT", "POSTPONED_TOO_LONG"):
        far = protos.timestamp(house.live.now + timedelta(days=400))
        await resolve(house, red, "POSTPONED", postpone_until_time=far)
    done = await resolve(house, red, "VERIFIED", business_action=VISIT)
    assert (done.state, done.resolved_by, done.business_action.kind) == (pb.FINDING_STATE_RESOLVED, "rep1", "visit")
    assert tasks[0].cause_key in {one.cause_key for one in await house.live.told(approvals.TaskWithdrawn)}
    with house.live.refused("FAILED_PRECONDITION", "FINDING_RESOLVED"):
        await resolve(house, red, "VERIFIED", business_action=VISIT, etag=done.etag)
    quality = await house.rep1.quality.GetAccountQuality(pb.GetAccountQualityRequest(account_id=one.id))
    name = next(field for field in quality.fields if field.field == "name")
    assert (name.filled, name.verified_by, name.business_action.kind) == (True, "rep1", "visit")
    assert name.light == LIGHT_NONE
    assert quality.light == LIGHT_YELLOW
    assert [finding.kind for finding in quality.findings] == [pb.FINDING_KIND_SILENT]
    assert 0 < quality.fill_ratio < 1


@pytest.mark.mission("S31", "S82")
async def test_what_is_old_moved_or_without_owner_is_on_the_list(house: House, rid: Any) -> None:
    old = await account(house)
    bare = await account(house, "无名", industry="", region_code="")
    li = await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(), account_id=old.id, profile=contacts_pb2.ContactProfile(name="李伟", key_contact=True)
        )
    )
    await house.rep1.contacts.RecordJobChange(
        contacts_pb2.RecordJobChangeRequest(
            request_id=rid(), id=li.id, etag=li.etag, new_job_title="总工", business_action=VISIT
        )
    )
    await watched(house)
    day = house.live.now.date()
    await house.live.advance(days=181)
    kinds = {(finding.kind, finding.record.id) for finding in await findings(house, page_size=100)}
    assert {
        (pb.FINDING_KIND_STALE_RECORD, old.id),
        (pb.FINDING_KIND_STALE_KEY_FIELDS, old.id),
        (pb.FINDING_KIND_SILENT, old.id),
        (pb.FINDING_KIND_JOB_CHANGED, li.id),
        (pb.FINDING_KIND_MISSING_FIELDS, bare.id),
    } <= kinds
    page = await house.rep1.quality.ListFindings(pb.ListFindingsRequest(page_size=4))
    rest = await house.rep1.quality.ListFindings(pb.ListFindingsRequest(page_size=4, page_token=page.next_page_token))
    assert page.findings[0].light == LIGHT_RED
    first = page.findings[0]
    until = Interval(
        start_time=first.since_time, end_time=protos.timestamp(protos.instant(first.since_time) + timedelta(seconds=1))
    )
    assert first.id in {finding.id for finding in await findings(house, since=until)}
    assert await findings(house, since=Interval(end_time=protos.timestamp(house.live.now - timedelta(days=3650)))) == []
    assert not {finding.id for finding in page.findings} & {finding.id for finding in rest.findings}
    report = await house.m1.quality.GetQualityReport(
        pb.GetQualityReportRequest(compare_date=Date(year=day.year, month=day.month, day=day.day))
    )
    total = report.total
    assert (total.accounts, total.stale_accounts, total.red_accounts) == (2, 2, 2)
    assert total.stale_ratio == 1
    assert (total.key_contacts, total.moved_key_contacts, total.moved_ratio) == (1, 1, 1)
    assert total.fill_ratio == pytest.approx(1 - 2 / 6)
    assert report.previous_total.stale_accounts == 0
    assert report.previous_total.accounts == 2
    assert [row.key for row in report.rows] == ["team1"]
    assert not (await house.m9.quality.GetQualityReport(pb.GetQualityReportRequest())).rows

    (moved,) = await findings(house, kinds=[pb.FINDING_KIND_JOB_CHANGED])
    await resolve(house, moved, "VERIFIED", business_action=VISIT)
    person = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=li.id))
    assert person.state == contacts_pb2.CONTACT_STATE_CURRENT
    # Put off until its day, then it is back.
    (missing,) = await findings(house, kinds=[pb.FINDING_KIND_MISSING_FIELDS])
    until = protos.timestamp(house.live.now + timedelta(days=3))
    put_off = await resolve(house, missing, "POSTPONED", postpone_until_time=until)
    assert put_off.state == pb.FINDING_STATE_POSTPONED
    assert not await findings(house, kinds=[pb.FINDING_KIND_MISSING_FIELDS])
    await house.live.advance(days=4)
    (missing,) = await findings(house, kinds=[pb.FINDING_KIND_MISSING_FIELDS])
    # Corrected by a change of the record, it closes by itself.
    present = await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=bare.id))
    await house.rep1.accounts.UpdateAccount(
        accounts_pb2.UpdateAccountRequest(
            request_id=rid(),
            id=bare.id,
            etag=present.etag,
            update_mask=FieldMask(paths=["industry", "region_code"]),
            profile=accounts_pb2.AccountProfile(industry="education", region_code="310000"),
            business_action=VISIT,
        )
    )
    await house.live.advance(days=1)
    assert {f.record.id for f in await findings(house, page_size=100)} == {old.id, bare.id}
    assert {f.kind for f in await findings(house, record=missing.record)} == {pb.FINDING_KIND_SILENT}
    # The record is given up.
    (stale,) = await findings(house, kinds=[pb.FINDING_KIND_STALE_RECORD])
    await resolve(house, stale, "RETIRED", business_action=VISIT)
    given_up = await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=old.id))
    assert given_up.status == accounts_pb2.ACCOUNT_STATUS_RETIRED
    await house.live.advance(days=1)
    assert {f.record.id for f in await findings(house)} == {bare.id}
    # Who left leaves records without an owner.
    gone = targets.PersonChanged(person_id="rep1", unit_id="team1", name="张三", active=False, version=10**6)
    await house.live.hear(gone, "rep1", source="targets")
    await house.live.advance(days=1)
    answer = await house.m1.quality.ListFindings(pb.ListFindingsRequest(kinds=[pb.FINDING_KIND_WITHOUT_OWNER]))
    assert [finding.record.id for finding in answer.findings] == [bare.id]
    with house.live.refused("PERMISSION_DENIED"):
        await house.m9.quality.ResolveFinding(
            pb.ResolveFindingRequest(
                request_id=rid(),
                id=answer.findings[0].id,
                etag=answer.findings[0].etag,
                resolution=pb.FINDING_RESOLUTION_VERIFIED,
                business_action=VISIT,
            )
        )
    with house.live.refused("NOT_FOUND", "FINDING_NOT_FOUND"):
        await house.m1.quality.ResolveFinding(
            pb.ResolveFindingRequest(request_id=rid(), id=new_id(), etag="1", resolution=pb.FINDING_RESOLUTION_VERIFIED)
        )


@pytest.mark.mission("S82")
async def test_once_a_month_it_is_told_how_owners_keep_what_they_own(house: House) -> None:
    await account(house)
    await account(house, "无名", industry="", region_code="")
    await house.live.hear(targets.OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True, version=9))
    keep = "('customers.quality_look', 'customers.stewardship_month')"
    await house.live.db.all(f"DELETE FROM timer WHERE kind NOT IN {keep} RETURNING kind")
    await house.live.advance(hours=2)
    # Nothing falls due in January; what was missing on the fifth has lain for thirty days in February.
    await house.live.move_to(house.live.now.replace(month=2, day=1, hour=3))
    (first,) = await house.live.told(events.StewardshipMeasured)
    assert (first.ownership.owner_id, first.ownership.unit_id) == ("rep1", "team1")
    assert (first.month.year, first.month.month, first.month.day) == (2026, 1, 1)
    assert (first.accounts, first.red_accounts, first.fresh_ratio, first.resolved_ratio) == (2, 0, 1.0, 1.0)
    assert first.fill_ratio == pytest.approx(1 - 2 / 6)
    await house.live.move_to(house.live.now.replace(month=3, day=1, hour=3))
    second = (await house.live.told(events.StewardshipMeasured))[-1]
    assert (second.month.month, second.resolved_ratio) == (2, 0.0)
    assert second.version > first.version > 0
