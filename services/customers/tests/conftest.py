"""The customers service live, with a small sales organisation and ready callers."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from closedloop.customers.v1 import (
    accounts_pb2_grpc,
    assignment_pb2_grpc,
    contacts_pb2_grpc,
    decision_chain_pb2_grpc,
    grades_pb2_grpc,
    health_pb2_grpc,
    identity_pb2_grpc,
    interactions_pb2_grpc,
    leads_pb2_grpc,
    opportunity_points_pb2_grpc,
    parameters_pb2_grpc,
    personal_data_pb2_grpc,
    playbooks_pb2_grpc,
    potential_pb2_grpc,
    quality_pb2_grpc,
    reminders_pb2_grpc,
    suggestions_pb2_grpc,
    territories_pb2_grpc,
    visit_brief_pb2_grpc,
    wake_ups_pb2_grpc,
)
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Service
from closedloop_customers.service import SERVICE
from closedloop_devstack.testing.service import Live

UNITS = [
    ("co", "", "company", "总公司", "boss"),
    ("east", "co", "region", "华东", "meast"),
    ("team1", "east", "team", "上海一组", "m1"),
    ("north", "co", "region", "华北", "mnorth"),
    ("team9", "north", "team", "北京组", "m9"),
]
PEOPLE = [
    ("boss", "co", "总经理", ["executive"]),
    ("ops", "co", "运营", ["operations"]),
    ("meast", "east", "华东总监", ["manager"]),
    ("m1", "team1", "组长甲", ["manager"]),
    ("mnorth", "north", "华北总监", ["manager"]),
    ("m9", "team9", "组长乙", ["manager"]),
    ("rep1", "team1", "张三", ["rep"]),
    ("rep2", "team1", "李四", ["rep"]),
    ("rep9", "team9", "王五", ["rep"]),
]
TERRITORIES: dict[str, dict[str, list[str]]] = {
    "east": {"regions": ["310000", "320000", "330000"]},
    "north": {"regions": ["110000", "120000"]},
}

STUBS = {
    "accounts": accounts_pb2_grpc.AccountServiceStub,
    "contacts": contacts_pb2_grpc.ContactServiceStub,
    "leads": leads_pb2_grpc.LeadServiceStub,
    "assignment": assignment_pb2_grpc.AssignmentServiceStub,
    "interactions": interactions_pb2_grpc.InteractionServiceStub,
    "wake_ups": wake_ups_pb2_grpc.WakeUpServiceStub,
    "suggestions": suggestions_pb2_grpc.SuggestionServiceStub,
    "chain": decision_chain_pb2_grpc.DecisionChainServiceStub,
    "brief": visit_brief_pb2_grpc.VisitBriefServiceStub,
    "grades": grades_pb2_grpc.GradeServiceStub,
    "health": health_pb2_grpc.HealthServiceStub,
    "quality": quality_pb2_grpc.QualityServiceStub,
    "personal": personal_data_pb2_grpc.PersonalDataServiceStub,
    "reminders": reminders_pb2_grpc.ReminderServiceStub,
    "playbooks": playbooks_pb2_grpc.PlaybookServiceStub,
    "parameters": parameters_pb2_grpc.ParameterServiceStub,
    "territories": territories_pb2_grpc.TerritoryServiceStub,
    "points": opportunity_points_pb2_grpc.OpportunityPointServiceStub,
    "identity": identity_pb2_grpc.IdentityServiceStub,
    "potential": potential_pb2_grpc.PotentialServiceStub,
}


class Desk:
    """One caller with a stub of every service: `desk.leads.IntakeLead(...)`."""

    def __init__(self, live: Live, person: str, *roles: str) -> None:
        self._live, self._person, self._roles = live, person, roles

    def __getattr__(self, name: str) -> Any:
        stub = self._live.stub(STUBS[name], self._person, *self._roles)
        setattr(self, name, stub)
        return stub


class House:
    """The live service with its people."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.rep1, self.rep2, self.rep9 = (Desk(live, person, "rep") for person in ("rep1", "rep2", "rep9"))
        self.m1, self.meast, self.m9 = (Desk(live, person, "manager") for person in ("m1", "meast", "m9"))
        self.ops = Desk(live, "ops", "operations")
        self.web = Desk(live, "web-forms", "integration")
        self.auditor = Desk(live, "auditor", "auditor")

    def caller(self, person: str, *roles: str) -> Desk:
        return Desk(self.live, person, *roles)


@pytest.fixture
def service() -> Service:
    return SERVICE


@pytest.fixture
async def house(live: Live) -> House:
    await live.organise(UNITS, PEOPLE, **TERRITORIES)
    return House(live)


@pytest.fixture
def rid() -> Any:
    """A fresh request id every time it is called."""
    return new_id


async def patiently(rpc: Any, request: Any) -> Any:
    """A brief is given half a second, which the first one of a process on a busy machine exceeds."""
    for _ in range(20):
        try:
            return await rpc(request)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
    raise AssertionError(f"no answer in time, twenty times: {request}")
