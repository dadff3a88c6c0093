"""Events told again, in any order and any number of times, leave the board as it would be from scratch."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .test_actuals import won
from .test_boards import in_force, people

REPS = ("rep1", "rep2", "rep3", "rep4")
FORGET = """
WITH a AS (DELETE FROM actual), b AS (DELETE FROM actual_source), c AS (DELETE FROM pipeline_deal)
DELETE FROM inbox RETURNING 1
"""


def life(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """One deal: won, perhaps taken back and won again at another price; or an invoice that is booked anew."""
    deal, rep = f"deal-{number}", seed.choice(REPS)
    day = date(2026, 1, seed.randint(1, 5))
    if seed.random() < 0.3:
        return [
            (
                integrations.InvoiceRecorded(
                    number=deal, version=version, person_id=rep, unit_id="east-1",
                    net_amount=protos.money(seed.randint(1, 10**6), "CNY"), date=protos.date_proto(day),
                ),
                deal,
                "integrations",
            )
            for version in range(1, seed.randint(2, 4))
        ]  # fmt: skip
    told: list[Any] = [won(deal, seed.randint(100, 20_000), rep, 1, day)]
    for version in range(2, seed.randint(2, 5)):
        if version % 2 == 0:
            told.append(
                funnel.OpportunityReopened(
                    opportunity_id=deal, version=version, ownership=Ownership(owner_id=rep), reason="not signed"
                )
            )
        else:
            told.append(won(deal, seed.randint(100, 20_000), rep, version, day))
    return [(one, deal, "funnel") for one in told]


async def board(live: Live) -> dict[str, tuple[Any, ...]]:
    found = {}
    for metric in ("won_value", "invoiced_value"):
        for name, one in (await people(live, metric=metric)).items():
            progress = one.progress
            found[f"{metric}:{name}"] = (progress.done.money.units, progress.done.money.nanos, progress.light)
    return found


@pytest.mark.mission("S10", "S17")
@given(st.integers(0, 2**32))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_board_after_a_replay_is_the_board_from_scratch(replays: Any, number: int) -> None:
    replays(number)


@pytest.fixture
def replays(company: Live) -> Any:
    """Runs one case on the test's own loop; the plan is published once."""
    import asyncio

    loop = asyncio.get_event_loop_policy().get_event_loop()
    state = {"published": False}

    async def case(number: int) -> None:
        seed = random.Random(number)
        if not state["published"]:
            await in_force(company)
            state["published"] = True
        events = [one for deal in range(8) for one in life(deal, seed)]
        await company.db.all(FORGET)
        for message, subject, source in events:
            await company.hear(message, subject, source=source)
        scratch = await board(company)
        assert any(done for done, _, _ in scratch.values())
        await company.db.all(FORGET)
        again = [one for one in events for _ in range(seed.randint(1, 3))]
        seed.shuffle(again)
        for message, subject, source in again:
            await company.hear(message, subject, source=source)
        assert await board(company) == scratch

    return lambda number: loop.run_until_complete(case(number))
