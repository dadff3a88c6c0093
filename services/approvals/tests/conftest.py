"""A company with two regions and the functions that countersign, and what people do in it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import (
    delegations_pb2_grpc,
    events_pb2,
    policies_pb2,
    policies_pb2_grpc,
    requests_pb2,
    requests_pb2_grpc,
    tasks_pb2,
    tasks_pb2_grpc,
    worklist_pb2_grpc,
)
from closedloop.options.v1.options_pb2 import ROLE_AUDITOR
from closedloop.targets.v1.events_pb2 import PersonChanged
from closedloop_approvals.service import SERVICE
from closedloop_chassis.service import Service
from closedloop_devstack.testing.service import Live

UNITS = [
    ("co", "", "company", "总公司", "boss"),
    ("east", "co", "region", "华东", "director"),
    ("team1", "east", "team", "一队", "lead"),
    ("north", "co", "region", "华北", "north_director"),
    ("office", "co", "department", "职能", "cfo"),
]
PEOPLE = [
    ("boss", "co", "老板", ["executive", "manager"]),
    ("director", "east", "李总监", ["manager"]),
    ("lead", "team1", "王队长", ["manager"]),
    ("rep", "team1", "张三", ["rep"]),
    ("peer", "team1", "赵六", ["rep"]),
    ("north_director", "north", "孙总监", ["manager"]),
    ("north_rep", "north", "李四", ["rep"]),
    ("cfo", "office", "钱总", ["manager"]),
    ("ops", "co", "运营", ["operations"]),
]
FUNCTIONS = [("fin1", "finance"), ("fin2", "finance"), ("law", "legal")]
ACCOUNT = "0190a000-0000-7000-8000-000000000001"


@pytest.fixture
def service() -> Service:
    return SERVICE


def rid() -> str:
    """A request id nobody used before."""
    return uuid.uuid4().hex


def cny(yuan: float) -> Money:
    fen = round(yuan * 100)
    return Money(currency_code="CNY", units=fen // 100, nanos=fen % 100 * 10_000_000)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def facts(discount: float | None = 0.25, yuan: float = 100_000, owner: str = "rep", **more: Any) -> policies_pb2.Facts:
    told = policies_pb2.Facts(amount=cny(yuan), ownership={"owner_id": owner, "unit_id": "team1"}, **more)
    if discount is not None:
        told.discount_ratio = discount
    return told


def quote(version: int = 1, content: str = "", subject_id: str = "Q-1", **more: Any) -> requests_pb2.Subject:
    fields = {"origin": "funnel", "kind": "quote", "title": "MES 升级报价", **more}
    return requests_pb2.Subject(id=subject_id, version=version, digest=digest(content or f"v{version}"), **fields)


def approval(
    subject: requests_pb2.Subject | None = None, told: policies_pb2.Facts | None = None, submitter: str = "rep"
) -> events_pb2.ApprovalRequested:
    return events_pb2.ApprovalRequested(
        subject=subject or quote(), facts=told or facts(), submitter_id=submitter, reason="竞争对手降价"
    )


@dataclass
class Company:
    """The live service with its people's clients."""

    live: Live
    # One client per person, their channels stay open.
    clients: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def _client(self, make: Any, person: str, roles: tuple[str, ...]) -> Any:
        key = (make, person, roles or self._roles(person))
        if key not in self.clients:
            self.clients[key] = self.live.stub(make, person, *key[2])
        return self.clients[key]

    def requests(self, person: str, *roles: str) -> requests_pb2_grpc.RequestServiceStub:
        return self._client(requests_pb2_grpc.RequestServiceStub, person, roles)

    def policies(self, person: str, *roles: str) -> policies_pb2_grpc.PolicyServiceStub:
        return self._client(policies_pb2_grpc.PolicyServiceStub, person, roles)

    def tasks(self, person: str, *roles: str) -> tasks_pb2_grpc.TaskServiceStub:
        return self._client(tasks_pb2_grpc.TaskServiceStub, person, roles)

    def worklist(self, person: str, *roles: str) -> worklist_pb2_grpc.WorklistServiceStub:
        return self._client(worklist_pb2_grpc.WorklistServiceStub, person, roles)

    def delegations(self, person: str, *roles: str) -> delegations_pb2_grpc.DelegationServiceStub:
        return self._client(delegations_pb2_grpc.DelegationServiceStub, person, roles)

    async def ask(self, event: events_pb2.ApprovalRequested | None = None) -> requests_pb2.Request:
        """The funnel asks; answers the request as it stands."""
        event = event or approval()
        await self.live.hear(event, f"quote:{event.subject.id}", source="funnel")
        return await self.of_subject(event.subject.id)

    async def of_subject(self, subject_id: str) -> requests_pb2.Request:
        found = await self.requests("ops").ListRequests(requests_pb2.ListRequestsRequest(subject_id=subject_id))
        return found.requests[0]

    async def read(self, request_id: str) -> requests_pb2.Request:
        return await self.requests("ops").GetRequest(requests_pb2.GetRequestRequest(id=request_id))

    async def decide(
        self, person: str, held: requests_pb2.Request, verdict: str = "APPROVE", **more: Any
    ) -> requests_pb2.Request:
        more.setdefault("comment", "" if verdict == "APPROVE" else "利润太低")
        return await self.requests(person).Decide(
            requests_pb2.DecideRequest(
                request_id=rid(),
                id=held.id,
                etag=more.pop("etag", held.etag),
                verdict=requests_pb2.Verdict.Value(f"VERDICT_{verdict}"),
                **more,
            )
        )

    async def trail(self, held: requests_pb2.Request) -> list[str]:
        """What happened, in words: "approved:lead", "approved:peer for lead"."""
        answer = await self.requests("ops").ListTrail(requests_pb2.ListTrailRequest(id=held.id))
        lines = []
        for entry in answer.entries:
            action = requests_pb2.TrailAction.Name(entry.action).removeprefix("TRAIL_ACTION_").lower()
            who = f"{entry.actor_id} for {entry.on_behalf_of}" if entry.on_behalf_of else entry.actor_id
            whom = f">{','.join(entry.person_ids)}" if entry.person_ids else ""
            lines.append(f"{action}:{who}{whom}")
        return lines

    async def breaks(self, *ids: str) -> list[str]:
        answer = await self.requests("ops").VerifyTrail(requests_pb2.VerifyTrailRequest(ids=ids))
        return [f"{found.kind}:{found.sequence}" for found in answer.breaks]

    async def raise_task(self, person: str = "lead", **content: Any) -> tasks_pb2.Task:
        fields = {
            "kind": "follow_up",
            "title": "回访客户",
            "assignee_id": "rep",
            "origin": "manual",
            "cause_key": rid(),
        }
        return await self.tasks(person).RaiseTask(
            tasks_pb2.RaiseTaskRequest(request_id=rid(), content=tasks_pb2.TaskContent(**(fields | content)))
        )

    def _roles(self, person: str) -> tuple[str, ...]:
        known = self.live.process.org.current.person(person)
        return tuple(known.roles) if known else ("rep",)


async def looks_on(company: Company, person_id: str) -> None:
    """Somebody joins who may look at everything and decide nothing."""
    person = PersonChanged(person_id=person_id, unit_id="office", name=person_id, active=True, version=1)
    person.roles.append(ROLE_AUDITOR)
    await company.live.hear(person, person_id, source="targets")


def asked(held: requests_pb2.Request) -> list[str]:
    """Who is asked now."""
    state = requests_pb2.SIGNER_STATE_ASKED
    return [signer.person_id for step in held.steps for signer in step.signers if signer.state == state]


def state(held: requests_pb2.Request) -> str:
    return requests_pb2.RequestState.Name(held.state).removeprefix("REQUEST_STATE_").lower()


@pytest.fixture
async def company(live: Live) -> Company:
    await live.organise(units=UNITS, people=PEOPLE)
    for person_id, function in FUNCTIONS:
        person = PersonChanged(person_id=person_id, unit_id="office", name=person_id, function=function, active=True)
        person.roles.append(5)  # signatory
        person.version = 1
        await live.hear(person, person_id, source="targets")
    return Company(live)
