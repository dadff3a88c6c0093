"""Decisions that come at once are read and written together; each is as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from closedloop.approvals.v1 import events_pb2, requests_pb2
from closedloop_approvals.requests import store
from closedloop_chassis.data import lane
from closedloop_devstack.testing.service import reason_of

from .conftest import Company, approval, asked, facts, quote, rid, state

READ = store._read_each
WHO = "SELECT actor_id FROM audit_entry WHERE subject = %(id)s AND action = 'approve'"


@pytest.mark.mission("S66", "U15")
async def test_each_of_those_who_decide_together_has_its_own_end(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 60.0)
    all_here, together = asyncio.Event(), list[int]()

    async def reading(db: Any, questions: Sequence[Any]) -> Any:
        together.append(len(questions))
        await all_here.wait()
        return await READ(db, questions)

    monkeypatch.setattr(store, "_read_each", reading)
    quotes = [await company.ask(approval(quote(subject_id=f"Q-{n}"))) for n in range(5)]
    finance = await company.ask(approval(quote(subject_id="Q-F"), facts(0.05, 2_000_000)))
    twice = requests_pb2.DecideRequest(
        request_id=rid(), id=quotes[3].id, etag=quotes[3].etag, verdict=requests_pb2.VERDICT_APPROVE
    )
    nowhere = requests_pb2.Request(id="0190a000-0000-7000-8000-00000000dead", etag=quotes[0].etag)
    first = asyncio.ensure_future(company.decide("lead", quotes[0], comment="一"))
    async with asyncio.timeout(60):
        while not together:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    leaves = company.requests("lead").Decide(
        requests_pb2.DecideRequest(
            request_id=rid(), id=quotes[4].id, etag=quotes[4].etag, verdict=requests_pb2.VERDICT_APPROVE
        )
    )
    calls = [
        company.decide("lead", quotes[1], comment="二"),
        company.decide("lead", quotes[2], "REJECT"),
        company.decide("lead", nowhere),
        company.decide("north_director", quotes[0]),
        company.decide("director", quotes[1]),
        company.decide("lead", quotes[2], etag="9"),
        company.decide("fin1", finance),
        company.decide("fin2", finance),
        company.requests("lead").Decide(twice),
        company.requests("lead").Decide(twice),
    ]
    rest = [asyncio.ensure_future(asyncio.wait_for(call, 60)) for call in calls]
    reader = company.live.process.database.reader
    async with asyncio.timeout(60):
        while len(reader._looks[reading]._lane._waiting) < len(calls) + 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        leaves.cancel()
        while len(reader._looks[reading]._lane._waiting) > len(calls):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.02)
    all_here.set()
    one, two, no, missing, stranger, too_early, stale, *rest_of = await asyncio.gather(
        first, *rest, return_exceptions=True
    )
    finances, same = rest_of[:2], rest_of[2:]
    assert together[:2] == [1, len(calls)], "all who came while another looked, looked together"

    assert [asked(one), asked(two), state(no)] == [["director"], ["director"], "rejected"]
    assert [(o.code().name, reason_of(o)) for o in (missing, stranger, too_early, stale)] == [
        ("NOT_FOUND", "REQUEST_UNKNOWN"),
        ("PERMISSION_DENIED", "OUT_OF_SCOPE"),
        ("FAILED_PRECONDITION", "STEP_NOT_ACTIVE"),
        ("ABORTED", "ETAG_MISMATCH"),
    ]
    [late] = [o for o in finances if isinstance(o, grpc.aio.AioRpcError)]
    assert reason_of(late) == "STEP_NOT_ACTIVE"
    assert same[0] == same[1], "the second gets the answer of the first"
    assert [asked(await company.read(quotes[3].id)), asked(await company.read(quotes[4].id))] == [
        ["director"],
        ["lead"],
    ], "who had left decided nothing"

    for held, who in ((quotes[0], "lead"), (quotes[1], "lead"), (quotes[3], "lead")):
        assert [line for line in await company.trail(held) if line.startswith("approved")] == [f"approved:{who}"]
        assert [row["actor_id"] for row in await company.live.db.all(WHO, {"id": held.id})] == [who]
    [signer] = [row["actor_id"] for row in await company.live.db.all(WHO, {"id": finance.id})]
    assert f"approved:{signer}" in await company.trail(finance)
    comments = {told.request_id: told.comment for told in await company.live.told(events_pb2.RequestDecided)}
    assert comments == {no.id: "利润太低"}
    assert await company.breaks(*(held.id for held in (*quotes, finance))) == []
