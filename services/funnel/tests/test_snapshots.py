"""The funnel as it stood: pictured every morning, and what moved since Monday (U3, U4)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import snapshots_pb2 as pb
from closedloop.funnel.v1 import snapshots_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_funnel.snapshots.rules import SnapshotRules, week_began

from .conftest import ACME, PROFILE, Company, cny, day, rid


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.SnapshotServiceStub:
    return company.live.stub(rpc.SnapshotServiceStub, person, role)


def moment(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at.replace(tzinfo=None))
    return stamp


async def change(company: Company, deal: deals.Opportunity, *paths: str, **fields: Any) -> deals.Opportunity:
    return await company.deals("rep1", "rep").UpdateOpportunity(
        deals.UpdateOpportunityRequest(
            request_id=rid(), opportunity_id=deal.id, etag=deal.etag, update_mask=FieldMask(paths=paths), **fields
        )
    )


async def close(company: Company, deal: deals.Opportunity, outcome: str) -> None:
    await company.deals("rep1", "rep").CloseOpportunity(
        deals.CloseOpportunityRequest(
            request_id=rid(),
            opportunity_id=deal.id,
            etag=deal.etag,
            outcome=deals.OpportunityState.Value(f"OPPORTUNITY_STATE_{outcome.upper()}"),
            reason_code="price",
            skip_reason="老客户续签",
        )
    )


@pytest.mark.parametrize(("asked", "monday"), [("2026-01-05", "2026-01-05"), ("2026-01-11", "2026-01-05")])
def test_a_week_begins_on_the_rulebooks_day(asked: str, monday: str) -> None:
    assert week_began(SnapshotRules(), date.fromisoformat(asked)) == date.fromisoformat(monday)
    sundays = SnapshotRules(week_begins=7)
    assert week_began(sundays, date(2026, 1, 7)) == date(2026, 1, 4)


@pytest.mark.mission("U3", "U4", "S47")
async def test_what_moved_since_monday_adds_up(company: Company) -> None:
    live = company.live
    with live.refused("NOT_FOUND", "SNAPSHOT_UNKNOWN"):
        await client(company).GetSnapshot(pb.GetSnapshotRequest())
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    crm = {"pipeline_id": await company.gateless(), "expected_close_date": day(2026, 2, 1)}
    climbs, wins, loses, slips = [
        await company.open(name=name, amount=cny(100), **crm) for name in ("climbs", "wins", "loses", "slips")
    ]
    quiet = await company.open(name="quiet", amount=cny(1000), **crm)
    await company.open("rep2", "rep", name="north", amount=cny(7))
    # The mornings come by themselves: from Monday 9:00 to the next Monday 6:00.
    await live.advance(days=7)
    listed = await client(company).ListSnapshots(pb.ListSnapshotsRequest(page_size=3))
    assert not (await client(company, "stranger", "rep").ListSnapshots(pb.ListSnapshotsRequest())).snapshots
    assert [one.open_count for one in listed.snapshots] == [6, 6, 6]
    rest = await client(company).ListSnapshots(pb.ListSnapshotsRequest(page_token=listed.next_page_token))
    assert len(rest.snapshots) == 4
    stored = await live.db.value("SELECT count(*) FROM snapshot_deal")
    assert stored == 6, "a quiet morning keeps nothing twice"
    shape = await client(company).GetSnapshot(
        pb.GetSnapshotRequest(scope={"unit_id": "east"}, include_deals=True, page_size=2)
    )
    assert (shape.open_count, shape.open_amount) == (5, cny(1400))
    assert [(cell.stage_key, cell.count, cell.weighted_amount) for cell in shape.cells] == [
        ("prospecting", 5, cny(140))
    ]
    assert (len(shape.deals), shape.deals[0].dwell_days) == (2, pytest.approx(5))
    assert shape.next_page_token

    await live.advance(days=1)
    # Their lights have changed since they were opened.
    climbs, wins, loses, slips = [await company.read(deal.id) for deal in (climbs, wins, loses, slips)]
    await company.climb(climbs)
    await close(company, wins, "won")
    await close(company, loses, "lost")
    slips = await change(
        company, slips, "expected_close_date", "amount", expected_close_date=day(2026, 3, 1), amount=cny(60)
    )
    slips = await change(company, slips, "expected_close_date", expected_close_date=day(2026, 4, 1))
    await company.open(name="new", amount=cny(5), **crm)
    moved = await client(company).CompareSnapshots(pb.CompareSnapshotsRequest(scope={"unit_id": "east"}))
    assert moved.from_time == moment(datetime(2026, 1, 11, 22))
    assert (moved.from_amount, moved.to_amount) == (cny(1400), cny(1165))
    totals = {pb.Movement.Name(one.movement)[9:]: (one.count, one.amount) for one in moved.totals}
    assert totals == {
        "ADDED": (1, cny(5)),
        "ADVANCED": (1, cny(0)),
        "LOST": (1, cny(-100)),
        "PUSHED": (1, cny(0)),
        "SHRANK": (1, cny(-40)),
        "WON": (1, cny(-100)),
    }
    assert [abs(one.amount_change.units) for one in moved.movements[:4]] == [100, 100, 40, 5]
    page = await client(company).CompareSnapshots(
        pb.CompareSnapshotsRequest(movements=[pb.MOVEMENT_PUSHED, pb.MOVEMENT_SHRANK], page_size=1)
    )
    more = await client(company).CompareSnapshots(
        pb.CompareSnapshotsRequest(
            movements=[pb.MOVEMENT_PUSHED, pb.MOVEMENT_SHRANK], page_size=1, page_token=page.next_page_token
        )
    )
    [shrank], [pushed] = page.movements, more.movements
    assert (shrank.movement, shrank.amount_change, shrank.name) == (pb.MOVEMENT_SHRANK, cny(-40), "slips")
    # Two pushes, 59 days in all (U4).
    assert (pushed.movement, pushed.before.push_count, pushed.after.push_count) == (pb.MOVEMENT_PUSHED, 0, 2)
    assert (slips.push_count, slips.pushed_days) == (2, 59)
    assert quiet.id not in {one.opportunity_id for one in moved.movements}

    # Next morning it is history: the same comparison between two snapshots, whatever happens later.
    await live.advance(days=1)
    await company.open(name="later", amount=cny(9), **crm)
    history = await client(company).CompareSnapshots(
        pb.CompareSnapshotsRequest(
            scope={"unit_id": "east"}, from_time=moved.from_time, to_time=moment(live.now - timedelta(hours=1))
        )
    )
    assert (history.totals, history.to_amount) == (moved.totals, moved.to_amount)
    # A seller sees what is theirs.
    own = await client(company, "rep2", "rep").CompareSnapshots(pb.CompareSnapshotsRequest(from_time=moved.from_time))
    assert (own.from_amount, own.to_amount, len(own.movements)) == (cny(7), cny(7), 0)
    with live.refused("INVALID_ARGUMENT", "TIMES_REVERSED"):
        await client(company).CompareSnapshots(
            pb.CompareSnapshotsRequest(from_time=moment(live.now), to_time=moved.from_time)
        )


async def test_one_taken_by_hand_stands_beside_the_morning_and_a_removed_stage_stays_in_it(company: Company) -> None:
    deal = await company.climb(await company.open(account_id=ACME), PROFILE)
    taken = await client(company).TakeSnapshot(pb.TakeSnapshotRequest(request_id=rid(), note="季度会前"))
    assert (taken.open_count, taken.open_amount) == (1, cny(200_000))
    await company.live.advance(days=1)
    seen = await client(company).GetSnapshot(pb.GetSnapshotRequest(include_deals=True))
    assert [(one.opportunity_id, one.stage_key) for one in seen.deals] == [(deal.id, "need")]
    with company.live.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await client(company).GetSnapshot(pb.GetSnapshotRequest(include_deals=True, page_token="x"))
