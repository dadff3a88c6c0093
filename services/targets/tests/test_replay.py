"""Events told again, in any order and any number of times, leave every board as it would be from scratch."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import actuals_pb2, boards_pb2
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .test_actuals import ledger, won
from .test_boards import boards, in_force, people

REPS = ("rep1", "rep2", "rep3", "rep4")
FORGET = """
WITH a AS (DELETE FROM actual), b AS (DELETE FROM actual_source), c AS (DELETE FROM pipeline_deal),
     d AS (DELETE FROM account_copy), e AS (DELETE FROM account_deal), f AS (DELETE FROM account_activity),
     g AS (DELETE FROM proof), h AS (DELETE FROM lead_fate),
     k AS (UPDATE key_action SET state = 'planned', evidence_kind = '', evidence = '', completed_at = NULL, verified_by = '')
DELETE FROM inbox RETURNING 1
"""
ACTIONS = "SELECT id, state, evidence, completed_at FROM key_action ORDER BY id"
PIPELINE = "SELECT id, owner_id, minor, probability, close_date FROM pipeline_deal WHERE open ORDER BY id"


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


def customer(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """One customer: graded up and down, met, with a deal that climbs, and is won or lost in the end, or not."""
    account, deal, rep = f"account-{number}", f"open-{number}", seed.choice(REPS)
    owner = Ownership(owner_id=rep, unit_id="east-1")
    told: list[tuple[Any, str, str]] = [
        (
            customers.AccountChanged(
                account_id=account,
                name=f"{account} v{version}",
                grade=seed.choice("AAB"),
                version=version,
                ownership=owner,
            ),
            account,
            "customers",
        )
        for version in range(1, seed.randint(2, 5))
    ]
    versions = seed.randint(1, 4)
    for version in range(1, versions + 1):
        changed = funnel.OpportunityChanged(
            opportunity_id=deal, version=version, account_id=account, stage_key=f"stage-{version}",
            probability_ratio=version / 10, amount=protos.money(seed.randint(1, 10**7), "CNY"), ownership=owner,
            state=opportunities_pb2.OPPORTUNITY_STATE_OPEN, expected_close_date=protos.date_proto(date(2026, 2, version)),
            stage_enter_time=protos.timestamp(datetime(2026, 1, version, 9, tzinfo=UTC)),
        )  # fmt: skip
        told.append((changed, deal, "funnel"))
    if seed.random() < 0.3:
        lost = funnel.OpportunityLost(opportunity_id=deal, version=versions + 1, account_id=account)
        told.append((lost, deal, "funnel"))
    elif seed.random() < 0.4:
        told.append((won(deal, seed.randint(100, 20_000), rep, versions + 1, date(2026, 1, 5)), deal, "funnel"))
    for met in range(seed.randint(0, 2)):
        at = protos.timestamp(datetime(2026, 1, seed.randint(1, 4), 9, tzinfo=UTC))
        logged = funnel.ActivityLogged(
            activity_id=f"{account}-{met}",
            account_id=account,
            effective=seed.random() < 0.7,
            start_time=at,
            ownership=owner,
        )
        told.append((logged, logged.activity_id, "funnel"))
    return told


def process(rep: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    """A week of process metrics, measured again and again."""
    week = date(2025, 12, 29)
    return [
        (
            funnel.ProcessMetricsMeasured(
                person_id=rep, unit_id="east-1", week=protos.date_proto(week), version=version,
                metrics=[
                    funnel.MeasuredMetric(key=key, value=seed.randint(0, 20), sample_size=seed.randint(1, 9))
                    for key in ("new_opportunities", "visit_quality")
                ],
            ),
            f"{rep}:{week}",
            "funnel",
        )
        for version in range(1, seed.randint(2, 4))
    ]  # fmt: skip


def deeds(rep: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    """Activities around the day of a rep's key actions: several that may prove one, some found false later, or true again."""
    told: list[tuple[Any, str, str]] = []
    for number in range(seed.randint(1, 4)):
        name, day = f"deed-{rep}-{number}", seed.randint(1, 27)
        keys = seed.sample(["needs_diagnosis", "competitor_comparison", "custom_demo"], seed.randint(1, 3))
        for version in range(1, seed.randint(2, 4)):
            logged = funnel.ActivityLogged(
                activity_id=name,
                ownership=Ownership(owner_id=rep, unit_id="east-1"),
                start_time=protos.timestamp(datetime(2026, 2, day, 2, tzinfo=UTC)),
                verified_action_unit_keys=keys,
                effective=seed.random() < 0.7,
                version=version,
            )
            told.append((logged, name, "funnel"))
    return told


async def board(live: Live) -> dict[str, Any]:
    """Everything people look at: people, ranking, key customers, process metrics, pipeline."""
    found: dict[str, Any] = {}
    for metric in ("won_value", "invoiced_value", "new_opportunities"):
        for name, one in (await people(live, metric=metric)).items():
            found[f"{metric}:{name}"] = one.SerializeToString(deterministic=True)
    ranked = await boards(live).ListTeamRanking(boards_pb2.ListTeamRankingRequest(view=boards_pb2.BOARD_VIEW_LIVE))
    found["ranking"] = [one.SerializeToString(deterministic=True) for one in ranked.ranks]
    key = await boards(live).ListKeyCustomers(boards_pb2.ListKeyCustomersRequest(page_size=1000))
    found["customers"] = [one.SerializeToString(deterministic=True) for one in key.customers]
    request = actuals_pb2.SummarizeActualsRequest(
        filter=actuals_pb2.ActualFilter(metrics=["visit_quality"]), group_by=[actuals_pb2.ACTUAL_DIMENSION_PERSON]
    )
    summed = await ledger(live).SummarizeActuals(request)
    found["process"] = [one.SerializeToString(deterministic=True) for one in summed.sums]
    found["pipeline"] = await live.db.all(PIPELINE)
    found["actions"] = await live.db.all(ACTIONS)
    return found


@pytest.mark.mission("S10", "S11", "S12", "S17")
@given(st.integers(0, 2**32))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        events += [one for account in range(4) for one in customer(account, seed)]
        events += [one for rep in REPS for one in (*process(rep, seed), *deeds(rep, seed))]
        await company.db.all(FORGET)
        for message, subject, source in events:
            await company.hear(message, subject, source=source)
        scratch = await board(company)
        assert scratch["process"]
        assert scratch["actions"]
        await company.db.all(FORGET)
        again = [one for one in events for _ in range(seed.randint(1, 3))]
        seed.shuffle(again)
        for message, subject, source in again:
            await company.hear(message, subject, source=source)
        replayed = await board(company)
        assert {key for key, value in replayed.items() if value != scratch[key]} == set()
        assert replayed.keys() == scratch.keys()

    return lambda number: loop.run_until_complete(case(number))
