"""Health, grade and potential of 100,000 customers computed anew in full, through the contract: all are new to each, so that
every one is written, and told where others hold it too; and of one customer among them, by the event that moves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import UUID

import psycopg
from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.customers.v1 import (
    grades_pb2,
    grades_pb2_grpc,
    health_pb2,
    health_pb2_grpc,
    potential_pb2,
    potential_pb2_grpc,
)
from closedloop.funnel.v1 import activities_pb2
from closedloop.funnel.v1 import events_pb2 as funnel_events
from closedloop.integrations.v1 import events_pb2 as integrations_events
from closedloop.integrations.v1 import notices_pb2
from closedloop_chassis import bells, contract, ids, protos
from closedloop_proofs.bench import company
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure
from closedloop_proofs.bench.samples import percentile

CUSTOMERS = 100_000
# Events one after the other, each timed from its commit until it is applied with all that follows.
EVENTS = 100
MOST_MS = 100
SECONDS = 30
WAIT_SECONDS = 300
ALL = f"recompute of {CUSTOMERS:,} customers"

# Every third has bought, every tenth is named in a tender; three touches each within a year, most of them answered.
ACCOUNTS = """
INSERT INTO account (id, profile, search, status, owner_id, unit_id, provenances, last_interaction_at, last_verify_at,
                     created_at, updated_at, version)
SELECT lpad(to_hex(n), 32, '0')::uuid,
       jsonb_build_object('name', '客户 ' || n, 'industry', 'manufacturing', 'region_code', '310000', 'customer_type',
                          (ARRAY['enterprise', 'school', 'hospital'])[1 + n %% 3], 'employee_count', n %% 3000),
       '客户 ' || n, CASE WHEN n %% 3 = 0 THEN 'customer' ELSE 'prospect' END, 'T00-' || n %% 8, 'T00',
       jsonb_build_array(jsonb_build_object('source', 'bench', 'source_id', n::text, 'brought_by', 'bench')),
       %(now)s - make_interval(days => (n %% 300)::int), %(now)s - make_interval(days => (n %% 200)::int),
       %(now)s - interval '400 days', %(now)s - interval '10 days', 1
  FROM generate_series(1, %(count)s::bigint) n
"""
TOUCHES = """
INSERT INTO interaction (id, account_id, channel, direction, occurred_at, person_id, summary, effective, rule, provenance,
                         source, source_id)
SELECT uuidv7(), lpad(to_hex(n), 32, '0')::uuid, (ARRAY['phone', 'visit', 'email'])[k], (ARRAY['inbound', 'outbound', 'mutual'])[k],
       %(now)s - make_interval(days => ((n * k) %% 360)::int), 'T00-' || n %% 8, '客户关心换型时间与回收期', (n + k) %% 4 > 0,
       '{}', '{}', 'bench', n || '-' || k
  FROM generate_series(1, %(count)s::bigint) n CROSS JOIN generate_series(1, 3) k
"""
DEALS = """
INSERT INTO account_deal (opportunity_id, account_id, state, amount_minor, currency, closed_on, version)
SELECT uuidv7(), lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n %% 3 = 0 THEN 'won' ELSE 'lost' END, n %% 90000000, 'CNY',
       (%(now)s - make_interval(days => (n %% 700)::int))::date, 1
  FROM generate_series(1, %(count)s::bigint) n WHERE n %% 3 < 2
"""
TENDERS = """
INSERT INTO tender_match (notice_id, account_id, title, buyer_name, keywords, sectors, published_on, url, confidence, state,
                          heard_at, version)
SELECT 'n' || n, lpad(to_hex(n), 32, '0')::uuid, '教育装备采购', '客户 ' || n, ARRAY['智慧黑板'], ARRAY['education'],
       (%(now)s - make_interval(days => (n %% 120)::int))::date, '', 0.9, 'confirmed', %(now)s, 1
  FROM generate_series(1, %(count)s::bigint) n WHERE n %% 10 = 0
"""

Evaluate = Callable[[], Any]


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    del rounds  # once: the second time hardly anything changes, and that is told beside it
    if not only(ALL):
        return []
    count = CUSTOMERS // 10 if pressure.seconds <= 1 else CUSTOMERS
    ground.say(ALL)
    url = ground.database("customers")
    with ground.api("customers", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        fill(url, count)
        health = api.stub(health_pb2_grpc.HealthServiceStub, "OPS", "operations")
        grades = api.stub(grades_pb2_grpc.GradeServiceStub, "OPS", "operations")
        potentials = api.stub(potential_pb2_grpc.PotentialServiceStub, "OPS", "operations")
        computed: dict[str, Evaluate] = {
            "health": lambda: health.EvaluateHealth(
                health_pb2.EvaluateHealthRequest(request_id=ids.new_id()), timeout=WAIT_SECONDS
            ),
            "grade": lambda: grades.EvaluateGrades(
                grades_pb2.EvaluateGradesRequest(request_id=ids.new_id()), timeout=WAIT_SECONDS
            ),
            "potential": lambda: potentials.EvaluatePotentials(
                potential_pb2.EvaluatePotentialsRequest(request_id=ids.new_id()), timeout=WAIT_SECONDS
            ),
        }
        figures = [_figure(what, evaluate, count) for what, evaluate in computed.items()]
        return [*figures, *(_by_event(ground, url, what, told) for what, told in _events().items())]


def fill(url: str, count: int) -> None:
    """The customers and what is known of them, with the statistics that a database in use has."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        for statement in (ACCOUNTS, TOUCHES, DEALS, TENDERS):
            connection.execute(statement, {"now": row[0], "count": count})
        connection.execute("VACUUM ANALYZE")


def _events() -> dict[str, list[tuple[str, Message]]]:
    """By what they move; each of another customer."""
    customers = [f"{number:032x}" for number in range(1, EVENTS + 1)]
    ids_ = [str(UUID(one)) for one in customers]
    now, today = datetime.now(UTC), datetime.now(UTC).date()
    day = Date(year=today.year, month=today.month, day=today.day)
    touched = [
        funnel_events.ActivityLogged(
            activity_id=ids.new_id(),
            version=1,
            kind=activities_pb2.ACTIVITY_KIND_VISIT,
            account_id=one,
            start_time=protos.timestamp(now),
            effective=True,
        )
        for one in ids_
    ]
    won = [
        funnel_events.OpportunityWon(
            opportunity_id=ids.new_id(),
            version=1,
            account_id=one,
            amount=Money(currency_code="CNY", units=900_000),
            close_date=day,
        )
        for one in ids_
    ]
    matched = [
        integrations_events.NoticeMatched(
            version=1,
            match=notices_pb2.Match(
                id=ids.new_id(),
                notice_id=f"e{number}",
                account_id=one,
                confidence=0.95,
                state=notices_pb2.MATCH_STATE_FOUND,
                notice=notices_pb2.Notice(id=f"e{number}", title="智慧教室采购", publish_date=day),
            ),
        )
        for number, one in enumerate(ids_)
    ]
    return {
        "health": list(zip(ids_, touched, strict=True)),
        "grade and potential": list(zip(ids_, won, strict=True)),
        "potential": list(zip(ids_, matched, strict=True)),
    }


def _by_event(ground: Ground, url: str, what: str, told: Sequence[tuple[str, Message]]) -> Figure:
    took = []
    source = contract.route(type(told[0][1])).owner
    with psycopg.connect(url, autocommit=True) as connection:
        for one in told:
            began = time.monotonic()
            ground.hear(url, source, [one])
            connection.execute(f"NOTIFY {bells.INBOX}")
            while (state := connection.execute("SELECT max(state), min(state) FROM inbox").fetchone()) != (1, 1):
                if state is None or state[0] == 2 or time.monotonic() - began > WAIT_SECONDS:
                    raise LoadFailed(f"{what}: an event was not applied")
                time.sleep(0.001)
            took.append((time.monotonic() - began) * 1000)
    middle, late = median(took), percentile(took, 0.99)
    kind = type(told[0][1]).__name__
    return Figure(
        name=f"{what} of one of {CUSTOMERS:,} by {kind}",
        value=middle,
        unit="ms",
        against="",
        ratio=None,
        wanted=Wanted("<", MOST_MS, of="value"),
        median=middle,
        p99=late,
        note=f"{EVENTS} events, from the commit into the inbox until all that follows is committed",
    )


def _figure(what: str, evaluate: Evaluate, count: int) -> Figure:
    took, changed = [], []
    for _ in range(2):
        began = time.monotonic()
        summary = evaluate()
        took.append(time.monotonic() - began)
        if summary.read != count:
            raise LoadFailed(f"{what}: {summary.read} of {count} were read")
        changed.append(summary.created + summary.updated)
    return Figure(
        name=f"{what}: {ALL}",
        value=took[0],
        unit="s",
        against="",
        ratio=None,
        wanted=Wanted("<", SECONDS, of="value"),
        note=f"{changed[0]:,} changed and were written; once more {took[1]:.1f} s, {changed[1]:,} changed",
        more={"again_seconds": took[1], "changed": changed},
    )
