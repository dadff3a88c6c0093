"""Logs of another system come in by the thousand, each row standing for itself, twice without doubling (S67)."""

from __future__ import annotations

from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as events

from .conftest import ACME, Company, rid
from .test_activities import TALK, ago, client


@pytest.mark.mission("S67", "S42")
async def test_rows_come_in_once_and_bad_ones_say_why(company: Company) -> None:
    live = company.live
    deal = await company.open(account_id=ACME, provenance=Provenance(source="crm", source_id="d-1"))

    def row(number: int, **fields: Any) -> pb.ActivityRow:
        given = {
            "kind": pb.ACTIVITY_KIND_CALL,
            "owner": "张三",
            "content": TALK,
            "start_time": ago(company, days=number),
        }
        return pb.ActivityRow(provenance=Provenance(source="crm", source_id=f"a-{number}"), **{**given, **fields})

    good = [row(number, account="Acme Corporation", opportunity="crm/d-1") for number in range(1, 1001)]
    plan = row(2001, state=pb.ACTIVITY_STATE_MISSED, opportunity=deal.id, start_time=ago(company, days=1))
    bad = [
        row(2002, start_time=ago(company, days=-1)),
        row(2003, owner="没有这个人"),
        row(2004, opportunity="crm/none"),
        row(1),
        pb.ActivityRow(owner="张三"),
    ]
    ops = client(company, "ops", "operations")
    rows = [*good, plan, *bad]
    rehearsed = await ops.BulkImportActivities(
        pb.BulkImportActivitiesRequest(request_id=rid(), rows=rows, validate_only=True)
    )
    assert (rehearsed.summary.created, rehearsed.summary.rejected) == (1001, 5)
    assert not await live.told(events.ActivityLogged)
    brought = await ops.BulkImportActivities(pb.BulkImportActivitiesRequest(request_id=rid(), rows=rows))
    assert [one.reason for one in brought.summary.errors] == [
        *("TIME_IN_FUTURE", "OWNER_UNKNOWN", "OPPORTUNITY_UNKNOWN", "DUPLICATE_ROW", "ROW_INVALID")
    ]
    assert len(set(filter(None, brought.activity_ids))) == 1001
    first = await ops.GetActivity(pb.GetActivityRequest(activity_id=brought.activity_ids[0]))
    assert (first.opportunity_id, first.account_id, first.effective) == (deal.id, ACME, True)
    missed = await ops.GetActivity(pb.GetActivityRequest(activity_id=brought.activity_ids[1000]))
    assert missed.state == pb.ACTIVITY_STATE_MISSED
    assert len(await live.told(events.ActivityLogged)) == 1000
    assert await live.db.value("SELECT count(*) FROM funnel_change WHERE kind = 'activity_logged'") == 0

    good[0].content = "改了: " + TALK
    again = await ops.BulkImportActivities(pb.BulkImportActivitiesRequest(request_id=rid(), rows=[*good, plan]))
    assert (again.summary.created, again.summary.updated, again.summary.unchanged) == (0, 1, 1000)
    assert list(again.activity_ids) == list(brought.activity_ids[:1001])
    with live.refused("PERMISSION_DENIED"):
        await client(company).BulkImportActivities(pb.BulkImportActivitiesRequest(request_id=rid(), rows=good[:1]))
