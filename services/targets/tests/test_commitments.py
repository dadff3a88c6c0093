"""Fortnights: proposed by the cascade, promised by the person, kept or missed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from closedloop.targets.v1 import commitments_pb2 as pb
from closedloop.targets.v1 import commitments_pb2_grpc
from closedloop_devstack.testing.service import Live

from .staff import request_id
from .test_actuals import fact, import_facts
from .test_boards import in_force
from .test_cascade import fen
from .test_plans import cny

SHANGHAI = ZoneInfo("Asia/Shanghai")


def commitments(live: Live, person: str = "rep1", *roles: str) -> commitments_pb2_grpc.CommitmentServiceStub:
    return live.stub(commitments_pb2_grpc.CommitmentServiceStub, person, *(roles or ("rep",)))


async def commit(live: Live, yuan: float, who: tuple[str, ...] = ("rep1", "rep"), **more: Any) -> pb.Commitment:
    given = {"metric": "won_value", "period": "2026-F02", "amount": cny(yuan)}
    return await commitments(live, *who).Commit(pb.CommitRequest(**{"request_id": request_id(), **given, **more}))


async def listed(live: Live, who: tuple[str, ...] = ("ops", "operations"), **more: Any) -> list[pb.Commitment]:
    return list((await commitments(live, *who).ListCommitments(pb.ListCommitmentsRequest(**more))).commitments)


@pytest.mark.mission("S2")
async def test_a_fortnight_is_proposed_promised_and_kept_or_missed(company: Live) -> None:
    await in_force(company)
    board = await listed(company)
    assert [one.ownership.owner_id for one in board] == ["rep1", "rep2", "rep3", "rep4"]
    assert {pb.CommitmentState.Name(one.state) for one in board} == {"COMMITMENT_STATE_PROPOSED"}
    everything = await listed(company, person_id="rep1", period="2026")
    assert len(everything) == 7
    assert sum(fen(one.proposed) for one in everything) == 10_000_000
    assert everything[0].period.start_date.month == 3
    proposed = fen(next(one for one in everything if one.period.code == "2026-F02").proposed) / 100
    made = await commit(company, proposed + 1000)
    assert (made.state, made.completion_ratio) == (pb.COMMITMENT_STATE_COMMITTED, 0)
    changed = await commit(company, proposed + 2000, etag=made.etag)
    assert [fen(one.committed) for one in changed.changes] == [fen(made.committed), fen(changed.committed)]
    low = await commit(company, 100, ("m-east", "manager"), person_id="rep2", note="on leave for a week")
    assert (low.ownership.owner_id, low.changes[0].author_id) == ("rep2", "m-east")

    await company.move_to(datetime(2026, 1, 20, 9, tzinfo=SHANGHAI))
    await import_facts(
        company,
        fact("1", proposed + 1500, "rep1", date(2026, 1, 14)),
        fact("2", 150, "rep2", date(2026, 1, 15)),
        fact("3", proposed, "rep3", date(2026, 1, 16)),
    )
    await company.move_to(datetime(2026, 2, 2, 9, tzinfo=SHANGHAI))
    ended = {one.ownership.owner_id: one for one in await listed(company, period="2026-F02")}
    states = {name: pb.CommitmentState.Name(one.state).removeprefix("COMMITMENT_STATE_") for name, one in ended.items()}
    assert states == {"rep1": "MISSED", "rep2": "KEPT", "rep3": "KEPT", "rep4": "MISSED"}
    assert ended["rep2"].completion_ratio == 1.5
    missed = await listed(company, period="2026-F02", state=pb.COMMITMENT_STATE_MISSED)
    assert [one.ownership.owner_id for one in missed] == ["rep1", "rep4"]


async def test_refusals_of_commitments(company: Live) -> None:
    with company.refused("FAILED_PRECONDITION", "NO_TARGET"):
        await commit(company, 100)
    await in_force(company)
    with company.refused("FAILED_PRECONDITION", "BELOW_PROPOSAL_WITHOUT_NOTE"):
        await commit(company, 1)
    with company.refused("FAILED_PRECONDITION", "NOTE_MISSING"):
        await commit(company, 90_000, ("m-east", "manager"), person_id="rep1")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await commit(company, 90_000, person_id="rep2", note="he will not mind")
    with company.refused("INVALID_ARGUMENT", "NOT_A_FORTNIGHT"):
        await commit(company, 90_000, period="2026-M01")
    with company.refused("INVALID_ARGUMENT", "AMOUNT_NEGATIVE"):
        await commit(company, -5)
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_METRIC"):
        await commit(company, 5, metric="charm")
    made = await commit(company, 90_000)
    with company.refused("INVALID_ARGUMENT", "ETAG_MISSING"):
        await commit(company, 95_000)
    await commit(company, 95_000, etag=made.etag)
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await commit(company, 99_000, etag=made.etag)
    with company.refused("FAILED_PRECONDITION", "FORTNIGHT_OVER"):
        await commit(company, 90_000, period="2025-F20")
    assert {one.ownership.owner_id for one in await listed(company, ("rep1", "rep"))} == {"rep1"}


async def test_pages_of_commitments_follow_each_other(company: Live) -> None:
    await in_force(company)
    seen, token = [], ""
    while True:
        request = pb.ListCommitmentsRequest(period="2026-Q1", page_size=5, page_token=token)
        answer = await commitments(company, "ops", "operations").ListCommitments(request)
        seen += [(one.period.code, one.ownership.owner_id) for one in answer.commitments]
        token = answer.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 4 * 7
    assert seen == sorted(seen, key=lambda row: (-int(row[0][-2:]), row[1]))
