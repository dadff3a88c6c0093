"""Targets under load: a company with a plan for the present quarter, a year of sales behind it, and this morning's board."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg

from closedloop.targets.v1 import (
    actuals_pb2,
    actuals_pb2_grpc,
    boards_pb2,
    cascade_pb2,
    cascade_pb2_grpc,
    events_pb2,
    metrics_pb2,
    org_pb2,
    org_pb2_grpc,
    plans_pb2,
    plans_pb2_grpc,
)
from closedloop_chassis import ids, protos
from closedloop_devstack.errors import PlatformError
from closedloop_proofs.bench import company
from closedloop_proofs.bench.ground import Api, Ground
from closedloop_proofs.bench.read import Read

METHOD = "closedloop.targets.v1.BoardService.ListPersonProgress"
TOP = 40_000_000
SALES_EACH = 20
OPERATIONS = ("OPS", "operations")

# The board's day is a timer of the process, looked at twice a second.
MORNING = "UPDATE timer SET at = now(), next_at = now() WHERE kind = 'targets.board_day'"


@contextmanager
def board(ground: Ground) -> Iterator[tuple[Api, Read]]:
    """A manager looks at the team's board of the morning: eight people."""
    url = ground.database("targets")
    with ground.api("targets", url) as api:
        _organise(api)
        _plan(ground, api, url)
        _sell(api)
        _morning(url)
        team = company.teams()[0]
        token = ground.token(company.manager_of(team), "manager")
        request = boards_pb2.ListPersonProgressRequest(unit_id=team)
        yield api, Read("person board", METHOD, request.SerializeToString(), token, company.HEADS)


def _organise(api: Api) -> None:
    stub = api.stub(org_pb2_grpc.OrgServiceStub, *OPERATIONS)
    rows = []
    for _, told in company.organisation():
        row = org_pb2.OrgRow()
        if isinstance(told, events_pb2.OrgUnitChanged):
            row.unit.id, row.unit.parent_id, row.unit.kind = told.unit_id, told.parent_id, told.kind
            row.unit.name, row.unit.manager_id = told.name, told.manager_id
        elif isinstance(told, events_pb2.PersonChanged):
            row.person.id, row.person.unit_id, row.person.name = told.person_id, told.unit_id, told.name
            row.person.roles.extend(told.roles)
        rows.append(row)
    summary = stub.ImportOrg(org_pb2.ImportOrgRequest(request_id=ids.new_id(), rows=rows))
    if summary.errors:
        raise PlatformError(f"the organisation was refused: {summary.errors[0]}")


def _plan(ground: Ground, api: Api, url: str) -> None:
    """From the company's number down to each person's weeks, published."""
    today = datetime.now(UTC).date()
    period = f"{today.year}-Q{(today.month + 2) // 3}"
    plans = api.stub(plans_pb2_grpc.PlanServiceStub, *OPERATIONS)
    plan = plans.CreatePlan(
        plans_pb2.CreatePlanRequest(
            request_id=ids.new_id(), name=period, unit_id=company.ROOT, period=period, strategy="grow", owner_id="BOSS"
        )
    )
    top = plans.SetTarget(
        plans_pb2.SetTargetRequest(
            request_id=ids.new_id(),
            plan_id=plan.id,
            version=1,
            target=plans_pb2.TargetInput(
                metric="won_value",
                period=period,
                holder=plans_pb2.Holder(unit_id=company.ROOT),
                amount=metrics_pb2.Amount(money=protos.money(TOP * 100, "CNY")),
            ),
        )
    )
    cascades = api.stub(cascade_pb2_grpc.CascadeServiceStub, *OPERATIONS)
    cascades.RunCascade(
        cascade_pb2.RunCascadeRequest(
            request_id=ids.new_id(), target_id=top.id, etag=top.etag, rules=cascade_pb2.CascadeRules()
        )
    )
    version = plans.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    plans.PublishPlanVersion(
        plans_pb2.PublishPlanVersionRequest(request_id=ids.new_id(), plan_id=plan.id, version=1, etag=version.etag)
    )
    # What its courier would bring back to it.
    ground.hear(url, "targets", [(plan.id, told) for told in ground.told(url, events_pb2.PlanPublished)])
    ground.settle(url)


def _sell(api: Api) -> None:
    chance, today = random.Random(7), datetime.now(UTC).date()
    stub = api.stub(actuals_pb2_grpc.ActualServiceStub, *OPERATIONS)
    rows = [
        _sale(seller, n, today - timedelta(days=chance.randrange(1, 365)), chance)
        for seller in company.sellers()
        for n in range(SALES_EACH)
    ]
    for first in range(0, len(rows), 1000):
        request = actuals_pb2.ImportActualsRequest(request_id=ids.new_id(), actuals=rows[first : first + 1000])
        summary = stub.ImportActuals(request)
        if summary.errors:
            raise PlatformError(f"sales were refused: {summary.errors[0]}")


def _sale(seller: str, number: int, day: date, chance: random.Random) -> actuals_pb2.ActualInput:
    row = actuals_pb2.ActualInput(
        metric="won_value",
        holder=plans_pb2.Holder(person_id=seller),
        date=protos.date_proto(day),
        amount=metrics_pb2.Amount(money=protos.money(chance.randrange(5_000, 200_000) * 100, "CNY")),
    )
    row.provenance.source, row.provenance.source_id = "crm", f"{seller}-{number}"
    return row


def _morning(url: str, seconds: float = 60.0) -> None:
    """Lets the morning come at once, and waits for its board."""
    give_up = time.monotonic() + seconds
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MORNING)
        while not (found := connection.execute("SELECT count(*) FROM board_snapshot").fetchone()) or not found[0]:
            if time.monotonic() > give_up:
                raise PlatformError("no board was taken this morning")
            time.sleep(0.2)
