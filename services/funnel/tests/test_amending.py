"""A log is corrected within its days: first wording kept, marks and points anew (S42, S45, S56)."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import points_pb2, points_pb2_grpc

from .conftest import ACME, Company, rid
from .test_actions import REPORT, claim
from .test_activities import TALK, ago, call, client


def amend(activity: pb.Activity, *paths: str, **fields: Any) -> pb.AmendActivityRequest:
    return pb.AmendActivityRequest(
        request_id=rid(),
        activity_id=activity.id,
        etag=activity.etag,
        update_mask=FieldMask(paths=paths),
        reason="当时写漏了",
        **fields,
    )


@pytest.mark.mission("S42", "S45", "S56")
async def test_a_log_is_corrected_and_judged_anew(company: Company) -> None:
    live, refused, rep = company.live, company.live.refused, client(company)
    hollow = await rep.LogActivity(call(company, content="已沟通", account_id=ACME))
    await live.advance(minutes=20)
    seen = await rep.GetActivity(pb.GetActivityRequest(activity_id=hollow.id))
    assert (seen.authenticity, len(seen.finding_ids)) == (pb.AUTHENTICITY_SUSPECT, 1)
    with refused("ABORTED", "ETAG_MISMATCH"):
        await rep.AmendActivity(amend(hollow, "content", content=TALK))
    deal = await company.open(account_id=ACME)
    paths = ("content", "attitude_after", "opportunity_id", "actions")
    fields = {"content": TALK, "attitude_after": pb.ATTITUDE_WARM, "opportunity_id": deal.id}
    amended = await rep.AmendActivity(amend(seen, *paths, **fields, actions=[claim("needs_report", note=REPORT)]))
    assert (amended.content, amended.effective, amended.opportunity_id) == (TALK, True, deal.id)
    assert [one.verified for one in amended.actions] == [True]
    assert (await live.told(events.ActivityLogged))[-1].attitude_after == pb.ATTITUDE_WARM
    kept = await live.db.one("SELECT author_id, reason, earlier ->> 'content' AS content FROM activity_amendment")
    assert kept is not None
    assert (kept["reason"], kept["content"]) == ("当时写漏了", "已沟通")
    await live.advance(minutes=20)
    seen = await rep.GetActivity(pb.GetActivityRequest(activity_id=hollow.id))
    assert (seen.authenticity, list(seen.finding_ids)) == (pb.AUTHENTICITY_GENUINE, [])

    points = live.stub(points_pb2_grpc.PointsServiceStub, "rep1", "rep")

    async def balance() -> int:
        return int((await points.GetPointsAccount(points_pb2.GetPointsAccountRequest())).balance)

    assert await balance() == 5
    without = await rep.AmendActivity(amend(seen, "actions"))
    assert (list(without.actions), await balance()) == ([], 0)
    again = await rep.AmendActivity(amend(without, "actions", actions=[claim("needs_report", note=REPORT)]))
    assert ([one.verified for one in again.actions], await balance()) == ([True], 0)

    with refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await rep.AmendActivity(amend(again, "planned_period"))
    with refused("NOT_FOUND", "OPPORTUNITY_UNKNOWN"):
        await rep.AmendActivity(amend(again, "opportunity_id", opportunity_id=hollow.id))
    with refused("PERMISSION_DENIED"):
        await client(company, "m2", "manager").AmendActivity(amend(again, "content", content=TALK))
    await live.advance(days=8)
    again = await rep.GetActivity(pb.GetActivityRequest(activity_id=hollow.id))
    with refused("FAILED_PRECONDITION", "AMEND_WINDOW_CLOSED"):
        await rep.AmendActivity(amend(again, "content", content=TALK))


async def test_a_plan_is_moved_and_one_called_off_is_not(company: Company) -> None:
    rep = client(company)

    def period(days: float) -> Any:
        return {"start_time": ago(company, days=-days), "end_time": ago(company, days=-days, hours=-1)}

    planned = await rep.PlanActivity(
        pb.PlanActivityRequest(
            request_id=rid(), kind=pb.ACTIVITY_KIND_VISIT, subject="回访", account_id=ACME, planned_period=period(1)
        )
    )
    moved = await rep.AmendActivity(amend(planned, "planned_period", planned_period=period(2)))
    assert moved.planned_period.start_time == ago(company, days=-2)
    with company.live.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await rep.AmendActivity(amend(moved, "content", content=TALK))
    off = await rep.CancelActivity(
        pb.CancelActivityRequest(request_id=rid(), activity_id=moved.id, etag=moved.etag, reason="客户改期")
    )
    with company.live.refused("FAILED_PRECONDITION", "ACTIVITY_CANCELLED"):
        await rep.AmendActivity(amend(off, "planned_period", planned_period=period(3)))
