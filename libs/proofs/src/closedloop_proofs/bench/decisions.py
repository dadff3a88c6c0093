"""Approvals under load: managers who decide the quotes of their teams, each quote once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from closedloop.approvals.v1 import events_pb2, policies_pb2, requests_pb2, requests_pb2_grpc, worklist_pb2
from closedloop_proofs.bench import company
from closedloop_proofs.bench.ground import Api, Ground
from closedloop_proofs.bench.load import Pressure
from closedloop_proofs.bench.read import Read
from closedloop_proofs.bench.write import Write

METHOD = "closedloop.approvals.v1.RequestService.Decide"
LIST = "closedloop.approvals.v1.WorklistService.ListWork"
WAITING = 20
# Quotes a manager may decide per second of a turn: several times what any server here does.
PER_SECOND = 150

# A quote opened through the contract, again under other ids; its trail then speaks of the first, which nobody reads here.
COPY = {
    "approval_request": """
INSERT INTO approval_request
SELECT (jsonb_populate_record(r, jsonb_build_object('id', {id}, 'subject_id', 'C-' || {id}))).*
  FROM approval_request r, generate_series(0, %(count)s - 1) AS n WHERE r.id = %(id)s""",
    "approval_step": """
INSERT INTO approval_step SELECT (jsonb_populate_record(s, jsonb_build_object('request_id', {id}))).*
  FROM approval_step s, generate_series(0, %(count)s - 1) AS n WHERE s.request_id = %(id)s""",
    "approval_signer": """
INSERT INTO approval_signer SELECT (jsonb_populate_record(s, jsonb_build_object('request_id', {id}))).*
  FROM approval_signer s, generate_series(0, %(count)s - 1) AS n WHERE s.request_id = %(id)s""",
    "approval_trail": """
INSERT INTO approval_trail (request_id, sequence, content, previous_hash, hash)
SELECT ({id})::uuid, t.sequence, t.content, t.previous_hash, t.hash
  FROM approval_trail t, generate_series(0, %(count)s - 1) AS n WHERE t.request_id = %(id)s""",
    "clock": """
INSERT INTO clock SELECT (jsonb_populate_record(c, jsonb_build_object('id', {id}, 'subject', {id}))).*
  FROM clock c, generate_series(0, %(count)s - 1) AS n WHERE c.subject = %(id)s::text""",
}
NUMBERED = "'00000000-0000-7000-8' || lpad(%(team)s::text, 3, '0') || '-' || lpad(n::text, 12, '0')"


@contextmanager
def deciding(ground: Ground, pressure: Pressure, rounds: int) -> Iterator[tuple[Api, Write]]:
    url = ground.database("approvals")
    teams = company.teams()[: pressure.callers]
    stride = int(PER_SECOND * pressure.seconds)
    with ground.api("approvals", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        etag = open_quotes(ground, api, url, teams, stride * (rounds + 1))
        tokens = [ground.token(company.manager_of(team), "manager") for team in teams]
        yield api, Write("Decide", METHOD, "decide", tokens, lambda turn: {"first": turn * stride, "etag": etag})


@contextmanager
def listing(ground: Ground) -> Iterator[tuple[Api, Read]]:
    """A manager looks at their list, on which 20 quotes wait."""
    url = ground.database("approvals")
    with ground.api("approvals", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        team = company.teams()[0]
        # One more is the one the others are copies of.
        open_quotes(ground, api, url, company.teams(), WAITING - 1)
        token = ground.token(company.manager_of(team), "manager")
        yield api, Read("work list", LIST, worklist_pb2.ListWorkRequest().SerializeToString(), token, WAITING)


def open_quotes(ground: Ground, api: Api, url: str, teams: list[str], count: int) -> str:
    """So many quotes of each team wait for its manager, then for the region's; answers their etag."""
    ground.hear(url, "funnel", [(f"Q-{team}", _asked(team)) for team in teams])
    ground.settle(url)
    etag = ""
    with psycopg.connect(url) as connection:
        for number, team in enumerate(teams):
            stub = api.stub(requests_pb2_grpc.RequestServiceStub, company.manager_of(team), "manager")
            [held] = stub.ListRequests(requests_pb2.ListRequestsRequest(subject_id=f"Q-{team}")).requests
            etag = held.etag
            for statement in COPY.values():
                numbered = statement.replace("{id}", NUMBERED)
                connection.execute(numbered, {"id": held.id, "team": number, "count": count})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return etag


def _asked(team: str) -> events_pb2.ApprovalRequested:
    seller = f"{team}-0"
    facts = policies_pb2.Facts(discount_ratio=0.25)
    facts.amount.currency_code, facts.amount.units = "CNY", 100_000
    facts.ownership.owner_id, facts.ownership.unit_id = seller, team
    subject = requests_pb2.Subject(
        origin="funnel",
        kind="quote",
        id=f"Q-{team}",
        version=1,
        digest=hashlib.sha256(team.encode()).hexdigest(),
        title="MES 升级报价",
    )
    return events_pb2.ApprovalRequested(subject=subject, facts=facts, submitter_id=seller, reason="竞争对手降价")
