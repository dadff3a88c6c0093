"""A decision is read without a lock: whoever was overtaken between reading and writing begins again, and learns what is so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
import pytest

from closedloop.approvals.v1 import requests_pb2
from closedloop_approvals.requests import moving, store
from closedloop_devstack.testing.service import Live, reason_of

from .conftest import Company, approval, asked, facts, quote, rid, state

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def until_waiting(live: Live, count: int) -> None:
    async with asyncio.timeout(60):
        while await live.db.value(WAITING) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.mission("S64", "U9")
@pytest.mark.parametrize("most", [moving.MOST, 0], ids=["one statement", "documents"])
async def test_two_of_finance_read_the_same_and_one_signs(
    company: Company, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Anyone of finance signs, and legal. Both have read that finance is asked before either can write."""
    monkeypatch.setattr(moving, "MOST", most)
    held = await company.ask(approval(told=facts(0.05, 2_000_000)))
    assert sorted(asked(held)) == ["fin1", "fin2", "law"]
    before = company.live.process.database.transaction()
    await before.one(store.LOCK_ONE, {"id": held.id})
    both = [asyncio.ensure_future(company.decide(person, held)) for person in ("fin1", "fin2")]
    await until_waiting(company.live, 2)
    await before.rollback()
    signed, late = sorted(await asyncio.gather(*both, return_exceptions=True), key=lambda r: isinstance(r, Exception))
    assert isinstance(signed, requests_pb2.Request)
    assert asked(signed) == ["law"]
    assert isinstance(late, grpc.aio.AioRpcError)
    assert (late.code(), reason_of(late)) == (grpc.StatusCode.FAILED_PRECONDITION, "STEP_NOT_ACTIVE")
    assert len([line for line in await company.trail(held) if line.startswith("approved:fin")]) == 1
    assert state(await company.decide("law", signed)) == "approved"
    assert await company.breaks(held.id) == []


@pytest.mark.mission("S66")
async def test_one_statement_and_documents_write_the_same(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes much goes as documents, what changes little as one statement; nobody can tell which."""
    found = []
    for number, most in enumerate((moving.MOST, 0)):
        monkeypatch.setattr(moving, "MOST", most)
        held = await company.ask(approval(quote(subject_id=f"Q-{number}")))
        first = await company.decide("lead", held, comment="同意", conditions="预付三成")
        assert await company.read(held.id) == first, "the answer is what is kept"
        last = await company.decide("director", first, "REJECT")
        assert await company.read(held.id) == last
        assert await company.breaks(held.id) == []
        found.append(
            (state(last), last.conditions, last.decided_by, [s.state for st in last.steps for s in st.signers])
        )
    assert found[0] == found[1]


async def at_one_instant(company: Company, held: requests_pb2.Request, *acts: Coroutine[Any, Any, Any]) -> list[Any]:
    """What becomes of acts that have all come as far as the request's row before one of them can have it."""
    before = company.live.process.database.transaction()
    await before.one(store.LOCK_ONE, {"id": held.id})
    doing = []
    for count, act in enumerate(acts, 1):
        doing.append(asyncio.ensure_future(act))
        await until_waiting(company.live, count)
    await before.rollback()
    return await asyncio.gather(*doing, return_exceptions=True)


async def recall(company: Company, held: requests_pb2.Request) -> requests_pb2.Request:
    call = requests_pb2.RecallRequest(request_id=rid(), id=held.id, etag=held.etag, reason="撤回")
    answer: requests_pb2.Request = await company.requests("rep").Recall(call)
    return answer


def too_late(outcomes: list[Any]) -> bool:
    """A busy machine took longer than a call may take: nothing is said about who was first."""
    codes = [outcome.code() for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    return grpc.StatusCode.DEADLINE_EXCEEDED in codes


@pytest.mark.mission("S66", "U10")
async def test_decided_and_recalled_at_one_instant_it_has_one_end(company: Company) -> None:
    for number in range(9):
        held = await company.ask(approval(quote(subject_id=f"Q-{number}"), facts(0.15)))
        outcomes = await at_one_instant(company, held, company.decide("lead", held), recall(company, held))
        assert await company.breaks(held.id) == []
        if not too_late(outcomes):
            break
    [late] = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert reason_of(late) == "ALREADY_DECIDED"
    assert state(await company.read(held.id)) in ("approved", "recalled")


@pytest.mark.mission("S66", "U10")
async def test_a_version_that_comes_while_the_one_before_is_decided_is_a_matter_of_its_own(company: Company) -> None:
    for number in range(9):
        held = await company.ask(approval(quote(subject_id=f"Q-{number}"), facts(0.15)))
        changed = approval(quote(2, subject_id=f"Q-{number}"), facts(0.15))
        telling = company.live.hear(changed, f"quote:Q-{number}", source="funnel")
        outcomes = await at_one_instant(company, held, company.decide("lead", held), telling)
        if not too_late(outcomes):
            break
    decided, heard = outcomes
    assert (state(decided), heard) == ("approved", None), "no event fails over it"
    newer = await company.of_subject(f"Q-{number}")
    assert (newer.id != held.id, newer.subject.version, state(newer), asked(newer)) == (True, 2, "pending", ["lead"])
    assert await company.breaks(held.id, newer.id) == []
