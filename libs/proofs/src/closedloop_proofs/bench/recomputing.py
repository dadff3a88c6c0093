"""Health, grade and potential of 100,000 customers computed anew in full, through the contract: all are new to each, so that
every one is written, and told where others hold it too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from closedloop.customers.v1 import (
    grades_pb2,
    grades_pb2_grpc,
    health_pb2,
    health_pb2_grpc,
    potential_pb2,
    potential_pb2_grpc,
)
from closedloop_chassis import ids
from closedloop_proofs.bench import company
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure

CUSTOMERS = 100_000
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
        return [_figure(what, evaluate, count) for what, evaluate in computed.items()]


def fill(url: str, count: int) -> None:
    """The customers and what is known of them, with the statistics that a database in use has."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        for statement in (ACCOUNTS, TOUCHES, DEALS, TENDERS):
            connection.execute(statement, {"now": row[0], "count": count})
        connection.execute("VACUUM ANALYZE")


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
