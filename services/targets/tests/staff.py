"""A company to test with: two regions, three teams, four reps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import org_pb2, org_pb2_grpc
from closedloop_devstack.testing.service import Live

UNITS = [
    # id, parent, kind, name, manager
    ("co", "", "company", "总公司", "boss"),
    ("east", "co", "region", "华东", "m-east"),
    ("north", "co", "region", "华北", "m-north"),
    ("east-1", "east", "team", "华东一组", "l-east-1"),
    ("east-2", "east", "team", "华东二组", "l-east-2"),
    ("north-1", "north", "team", "华北一组", "l-north-1"),
]
PEOPLE = [
    # id, unit, name, roles
    ("boss", "co", "老板", ["executive"]),
    ("m-east", "east", "东经理", ["manager"]),
    ("m-north", "north", "北经理", ["manager"]),
    ("l-east-1", "east-1", "组长一", ["manager"]),
    ("l-east-2", "east-2", "组长二", ["manager"]),
    ("l-north-1", "north-1", "组长三", ["manager"]),
    ("rep1", "east-1", "张三", ["rep"]),
    ("rep2", "east-1", "李四", ["rep"]),
    ("rep3", "east-2", "王五", ["rep"]),
    ("rep4", "north-1", "赵六", ["rep"]),
]

_requests = itertools.count(1)


def request_id() -> str:
    return f"request-{next(_requests):06}"


def org_rows(units: Sequence[Sequence[str]], people: Sequence[Sequence[Any]]) -> list[org_pb2.OrgRow]:
    rows = [
        org_pb2.OrgRow(unit=org_pb2.UnitInput(id=id_, parent_id=parent, kind=kind, name=name, manager_id=manager))
        for id_, parent, kind, name, manager in units
    ]
    for id_, unit_id, name, roles in people:
        row = org_pb2.OrgRow(person=org_pb2.PersonInput(id=id_, unit_id=unit_id, name=name))
        row.person.roles.extend(options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in roles)
        rows.append(row)
    return rows


async def bring_in(live: Live, units: Sequence[Sequence[str]], people: Sequence[Sequence[Any]]) -> None:
    org = live.stub(org_pb2_grpc.OrgServiceStub, "ops", "operations")
    summary = await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=org_rows(units, people)))
    assert not summary.errors, summary.errors
    await live.process.look()
