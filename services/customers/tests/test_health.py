"""Health through the public contract: explained, moved by what happens, held against what happened (S33, U19)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.type.interval_pb2 import Interval
from pydantic import ValidationError

from closedloop.common.v1.common_pb2 import LIGHT_RED, LIGHT_YELLOW, Provenance
from closedloop.customers.v1 import accounts_pb2, interactions_pb2
from closedloop.customers.v1 import health_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id
from closedloop_customers import scoring
from closedloop_customers.grades import desk as grades
from closedloop_customers.health import desk, rules, store
from closedloop_customers.health.rules import HealthRules
from closedloop_customers.scoring import Dimension, Foretold
from closedloop_devstack.testing.service import work

from .conftest import House

RULES = HealthRules()
CHANGED = "closedloop.customers.account.changed.v1"
MISSING = "0190d3c0-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("value", "dimension", "points"),
    [
        (3, Dimension(title="", weight=1, full_at=6), 50),
        (9, Dimension(title="", weight=1, full_at=6), 100),
        (-1, Dimension(title="", weight=1, full_at=6), 0),
        (60, Dimension(title="", weight=1, zero_at=60, full_at=0), 0),
        (15, Dimension(title="", weight=1, zero_at=60, full_at=0), 75),
        (None, Dimension(title="", weight=1, full_at=6, missing_points=30), 30),
    ],
)
def test_points_lie_between_two_ends(value: float | None, dimension: Dimension, points: float) -> None:
    assert scoring.points(value, dimension) == points


@pytest.mark.mission("S33")
def test_fifteen_dimensions_weigh_one_together() -> None:
    assert len(RULES.dimensions) == 15 == len(store.MEASURES)
    assert {"interaction_frequency", "content_depth", "resolution_time"} <= set(RULES.dimensions)
    with pytest.raises(ValidationError, match="sum to 1"):
        HealthRules(dimensions={"recency": Dimension(title="", weight=0.5, full_at=1)})
    with pytest.raises(ValidationError, match="differ"):
        Dimension(title="", weight=1, zero_at=1, full_at=1)


def test_an_accuracy_counts_what_was_said_and_what_happened() -> None:
    said = [Foretold(10 - n, n < 3, n in (0, 1, 5)) for n in range(10)]
    found = scoring.accuracy(said, 3)
    assert (found.true_positives, found.false_positives, found.false_negatives, found.true_negatives) == (2, 1, 1, 6)
    assert found.precision_ratio == pytest.approx(2 / 3)
    assert found.recall_ratio == pytest.approx(2 / 3)
    assert found.top_decile_lift == pytest.approx(1 / 0.3)
    # Wilson (1927) for 2 of 3.
    assert (found.precision_low_ratio, found.precision_high_ratio) == pytest.approx((0.2077, 0.9385), abs=1e-3)
    assert (found.recall_low_ratio, found.recall_high_ratio) == pytest.approx((0.2077, 0.9385), abs=1e-3)
    assert (found.enough_data, found.sample_size, found.method) == (True, 10, "wilson")
    assert "3 个中发生 2 个" in found.explanation
    few = scoring.accuracy(said, 4)
    assert (few.sample_size, few.method) == (10, "")
    assert "说不准" in few.explanation
    assert (few.enough_data, few.true_positives, few.true_negatives) == (False, 2, 6)
    assert not any((few.precision_ratio, few.precision_high_ratio, few.recall_ratio, few.top_decile_lift))
    assert scoring.accuracy([], 1).precision_ratio == 0


def test_intervals_are_those_of_the_library() -> None:
    """statsmodels is too large for this service; it says how large they are."""
    from statsmodels.stats.proportion import proportion_confint

    for tries in (1, 2, 3, 10, 97, 1000, 100_000):
        for hits in {0, 1, tries // 3, tries - 1, tries}:
            expected = proportion_confint(hits, tries, alpha=0.05, method="wilson")
            assert scoring.wilson(hits, tries) == pytest.approx(expected, abs=1e-12), (hits, tries)
    assert scoring.wilson(0, 0) == (0, 0)


async def account(house: House, name: str) -> accounts_pb2.Account:
    made: accounts_pb2.Account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=new_id(), profile=accounts_pb2.AccountProfile(name=name))
    )
    return made


async def spoke(house: House, account_id: str, n: int, days_ago: float = 0) -> None:
    row = interactions_pb2.InteractionRow(
        provenance=Provenance(source="crm", source_id=f"{account_id}-{n}"),
        record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account_id),
        channel=interactions_pb2.CHANNEL_MEETING if n % 2 else interactions_pb2.CHANNEL_PHONE,
        direction=interactions_pb2.INTERACTION_DIRECTION_INBOUND,
        summary="问了交期与售后",
        occur_time=protos.timestamp(house.live.now - timedelta(days=days_ago)),
    )
    request = interactions_pb2.BulkRecordInteractionsRequest(request_id=new_id(), rows=[row])
    summary = await house.rep1.interactions.BulkRecordInteractions(request)
    assert not summary.errors, summary


async def health(house: House, account_id: str, **fields: Any) -> pb.AccountHealth:
    found: pb.AccountHealth = await house.rep1.health.GetHealth(pb.GetHealthRequest(account_id=account_id, **fields))
    return found


def dimension(found: pb.AccountHealth, key: str) -> Any:
    return next(part for part in found.dimensions if part.key == key)


@pytest.mark.mission("S33", "U19")
async def test_health_is_explained_and_moves_with_what_happens(house: House, rid: Any) -> None:
    one = await account(house, "上海华东精密")
    with house.live.refused("FAILED_PRECONDITION", "NOT_EVALUATED"):
        await health(house, one.id)
    await spoke(house, one.id, 1)
    first = await health(house, one.id)
    assert len(first.dimensions) == 15
    assert sum(part.contribution for part in first.dimensions) == pytest.approx(first.score)
    assert sum(part.weight_ratio for part in first.dimensions) == pytest.approx(1)
    assert dimension(first, "interaction_frequency").input.value == 1
    assert dimension(first, "content_depth").points == 100
    assert dimension(first, "resolution_time").missing
    assert first.rule.rulebook == "customers.health"
    for n in range(2, 6):
        await spoke(house, one.id, n)
    better = await health(house, one.id)
    assert better.score > first.score

    def ticket(hours: float | None, updated: int) -> integrations.TicketReceived:
        opened = house.live.now - timedelta(days=4)
        told = tickets_pb2.Ticket(
            id="T-1",
            number="T-1",
            state=tickets_pb2.TICKET_STATE_OPEN,
            account_id=one.id,
            open_time=protos.timestamp(opened),
            update_time=protos.timestamp(opened + timedelta(minutes=updated)),
            resolve_time=None if hours is None else protos.timestamp(opened + timedelta(hours=hours)),
        )
        return integrations.TicketReceived(ticket=told)

    await house.live.hear(ticket(None, 1), "T-1", source="integrations")
    assert dimension(await health(house, one.id), "ticket_load").input.value == 1
    await house.live.hear(ticket(40, 2), "T-1", source="integrations")
    await house.live.hear(ticket(None, 1), "T-1", source="integrations")  # late, and older
    solved = await health(house, one.id)
    assert dimension(solved, "ticket_load").input.value == 0
    assert dimension(solved, "resolution_time").input.value == 40
    assert dimension(solved, "resolution_time").points == 50
    won = funnel.OpportunityWon(opportunity_id=new_id(), version=1, account_id=one.id)
    await house.live.hear(won, won.opportunity_id, source="funnel")
    assert dimension(await health(house, one.id), "purchase_frequency").input.value == 1

    # Days pass, nobody calls: every night counts.
    await house.live.hear(targets.OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True, version=9))
    before = await health(house, one.id)
    await house.live.advance(days=50)
    fallen = await health(house, one.id, history_days=60)
    assert fallen.score < before.score
    assert fallen.change < -5
    assert fallen.light in (LIGHT_YELLOW, LIGHT_RED)
    assert len(fallen.history) > 20
    scores = [point.score for point in fallen.history]
    assert scores[0] == fallen.score
    listed = await house.rep1.health.ListHealth(pb.ListHealthRequest(minimum_drop=5, minimum_light=LIGHT_YELLOW))
    assert [row.account_id for row in listed.healths] == [one.id]
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.health.GetHealth(pb.GetHealthRequest(account_id=one.id))
    with house.live.refused("NOT_FOUND", "ACCOUNT_NOT_FOUND"):
        await health(house, MISSING)


@pytest.mark.mission("S33")
async def test_some_or_all_are_computed_and_listed_worst_first(house: House, rid: Any) -> None:
    accounts = [await account(house, f"客户{n}") for n in range(4)]
    await spoke(house, accounts[0].id, 1)
    request = pb.EvaluateHealthRequest(request_id=rid(), account_ids=[accounts[1].id, MISSING])
    some = await house.m1.health.EvaluateHealth(request)
    assert (some.read, some.created, some.rejected, some.errors[0].reason) == (2, 1, 1, "ACCOUNT_NOT_FOUND")
    foreign = await house.m9.health.EvaluateHealth(
        pb.EvaluateHealthRequest(request_id=rid(), account_ids=[accounts[1].id])
    )
    assert foreign.errors[0].reason == "OUT_OF_SCOPE"
    everything = await house.m1.health.EvaluateHealth(pb.EvaluateHealthRequest(request_id=rid()))
    assert (everything.read, everything.created, everything.updated, everything.unchanged) == (4, 2, 0, 2)
    again = await house.ops.health.EvaluateHealth(pb.EvaluateHealthRequest(request_id=rid()))
    assert (again.read, again.unchanged) == (4, 4)
    page = await house.rep1.health.ListHealth(pb.ListHealthRequest(page_size=3))
    rest = await house.rep1.health.ListHealth(pb.ListHealthRequest(page_size=3, page_token=page.next_page_token))
    listed = [*page.healths, *rest.healths]
    assert [row.score for row in listed] == sorted(row.score for row in listed)
    assert listed[-1].account_id == accounts[0].id
    assert len({row.account_id for row in listed}) == 4


FILL = """
INSERT INTO account (id, profile, search, status, owner_id, unit_id, provenances, last_interaction_at, last_verify_at,
                     created_at, updated_at, version)
SELECT id, jsonb_build_object('name', 'c' || n), '', 'prospect', 'rep1', 'team1', '[]',
       CASE WHEN n %% 7 > 0 THEN %(now)s::timestamptz - (n %% 100) * interval '1 day' END, %(now)s, %(now)s, %(now)s, 1
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS t (id, n)
"""
TOUCHES = """
INSERT INTO interaction (id, account_id, channel, direction, occurred_at, duration, summary, effective, rule, provenance,
                         source, source_id)
SELECT gen_random_uuid(), id, (ARRAY['phone', 'visit', 'web', 'wechat'])[1 + (n + k) %% 4],
       (ARRAY['inbound', 'outbound', 'mutual'])[1 + (n * k) %% 3], %(now)s::timestamptz - ((n + 11 * k) %% 120) * interval '1 day',
       (n %% 40) * interval '1 minute', repeat('话', (n %% 90)::int), (n + k) %% 5 > 0, '{}', '{}', 'x', n || '-' || k
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS t (id, n) CROSS JOIN generate_series(1, %(each)s) AS k WHERE k <= n %% 6
"""
DEALS = """
INSERT INTO account_deal (opportunity_id, account_id, state, amount_minor, currency, closed_on, version)
SELECT gen_random_uuid(), id, CASE WHEN n %% 4 = 0 THEN 'lost' ELSE 'won' END, 1000 * (n %% 997), 'CNY',
       %(now)s::date - (n %% 900)::int, 1
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS t (id, n) WHERE n %% 3 = 0
"""


async def fill(house: House, count: int, each: int = 5) -> list[str]:
    ids = [new_id() for _ in range(count)]
    unit = work(house.live.process)
    for statement in (FILL, TOUCHES, DEALS):
        unit.tx.do(statement, {"ids": ids, "now": house.live.now, "each": each})
    await unit.tx.commit()
    return ids


async def computed(house: House, cause: str = "test") -> store.Outcome:
    unit = work(house.live.process)
    outcome = await desk.evaluate(unit, cause)
    await unit.tx.commit()
    return outcome


@pytest.mark.mission("S33")
async def test_sql_and_rules_come_to_the_same_score(house: House) -> None:
    await fill(house, 300)
    assert (await computed(house)).first == 300
    rows = await house.live.db.all("SELECT score, light, measures FROM health")
    for row in rows:
        measures = dict(zip(RULES.dimensions, row["measures"], strict=True))
        assert rules.score(measures, RULES) == pytest.approx(row["score"])
        assert rules.light(row["score"], RULES) == row["light"]
    assert len({round(row["score"], 3) for row in rows}) > 50


@pytest.mark.mission("S33", "S29")
async def test_all_are_computed_and_graded_together_and_each_is_told(house: House) -> None:
    """Beyond what one statement or one event batch takes."""
    await fill(house, 12_000, each=1)
    assert (await computed(house)).first == 12_000
    unit = work(house.live.process)
    graded = await grades.evaluate(unit, "test")
    await unit.tx.commit()
    assert graded.first == 12_000
    (told,) = await house.live.db.all("SELECT count(*) AS n FROM outbox WHERE type = %(type)s", {"type": CHANGED})
    assert told["n"] == 12_000


@pytest.mark.mission("S33", "U19")
async def test_low_scores_are_held_against_what_was_lost(house: House) -> None:
    ids = await fill(house, 400)
    await computed(house)
    start = house.live.now
    dice = random.Random(7)
    scores = {
        row["account_id"]: row["score"] for row in await house.live.db.all("SELECT account_id, score FROM health")
    }
    lost = [id_ for id_ in ids if dice.random() < (0.6 if scores[id_] < RULES.loss_below else 0.05)]
    unit = work(house.live.process)
    unit.tx.do(
        """INSERT INTO account_deal (opportunity_id, account_id, state, amount_minor, currency, closed_on, version)
           SELECT gen_random_uuid(), id, 'lost', 0, 'CNY', %(day)s, 1 FROM unnest(%(ids)s::uuid[]) AS id""",
        {"ids": lost, "day": (start + timedelta(days=20)).date()},
    )
    unit.tx.do("DELETE FROM account_deal WHERE state = 'lost' AND closed_on <= %(day)s", {"day": start.date()})
    await unit.tx.commit()
    await house.live.move_to(start + timedelta(days=60))
    span = Interval(start_time=protos.timestamp(start + timedelta(days=1)))
    found = await house.m1.health.GetHealthAccuracy(pb.GetHealthAccuracyRequest(interval=span))
    below = {id_ for id_, score in scores.items() if score < RULES.loss_below}
    assert found.accuracy.true_positives == len(below & set(lost))
    assert found.accuracy.false_negatives == len(set(lost) - below)
    assert found.accuracy.precision_ratio > 0.5
    assert found.accuracy.precision_low_ratio < found.accuracy.precision_ratio < found.accuracy.precision_high_ratio
    assert found.accuracy.top_decile_lift > 1
    assert found.accuracy.enough_data
    nobody = await house.m9.health.GetHealthAccuracy(pb.GetHealthAccuracyRequest(interval=span))
    assert not nobody.accuracy.enough_data
    with house.live.refused("INVALID_ARGUMENT", "INTERVAL_INVALID"):
        backwards = Interval(start_time=protos.timestamp(datetime(2030, 1, 1, tzinfo=UTC)))
        await house.m1.health.GetHealthAccuracy(pb.GetHealthAccuracyRequest(interval=backwards))
