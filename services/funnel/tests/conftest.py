"""A funnel with a small company around it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import opportunities_pb2_grpc as rpc
from closedloop.funnel.v1 import pipelines_pb2
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.data import rows
from closedloop_chassis.service import Service
from closedloop_devstack.testing.service import Live
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.service import SERVICE

ACME = "0190a000-0000-7000-8000-000000000001"
NORTH = "0190a000-0000-7000-8000-000000000002"

UNITS = [
    ("co", "", "company", "总公司", "boss"),
    ("east", "co", "region", "华东", "m1"),
    ("team1", "east", "team", "一队", "lead1"),
    ("north", "co", "region", "华北", "m2"),
]
PEOPLE = [
    ("boss", "co", "老板", ["executive", "manager"]),
    ("m1", "east", "李经理", ["manager"]),
    ("lead1", "team1", "王队长", ["manager"]),
    ("rep1", "team1", "张三", ["rep"]),
    ("rep2", "north", "李四", ["rep"]),
    ("m2", "north", "赵经理", ["manager"]),
    ("eng1", "co", "周工", ["engineer"]),
    ("ops", "co", "运营", ["operations"]),
]


@pytest.fixture
def service() -> Service:
    return SERVICE


def rid() -> str:
    """A request id nobody used before."""
    return uuid.uuid4().hex


def cny(yuan: float) -> Money:
    fen = round(yuan * 100)
    return Money(currency_code="CNY", units=fen // 100, nanos=fen % 100 * 10_000_000)


def day(year: int, month: int, dom: int) -> Date:
    return Date(year=year, month=month, day=dom)


def account(account_id: str, name: str, version: int = 1, **more: Any) -> customers.AccountChanged:
    return customers.AccountChanged(
        account_id=account_id, name=name, status=accounts_pb2.ACCOUNT_STATUS_PROSPECT, version=version, **more
    )


def product(product_id: str, name: str, yuan: float, aliases: tuple[str, ...] = ()) -> targets.ProductChanged:
    return targets.ProductChanged(
        product_id=product_id, name=name, list_price=cny(yuan), aliases=aliases, line="GTX", version=1
    )


@dataclass
class Company:
    """The live service with its people's clients."""

    live: Live

    def deals(self, person: str, *roles: str) -> rpc.OpportunityServiceStub:
        return self.live.stub(rpc.OpportunityServiceStub, person, *roles)

    async def open(self, person: str = "rep1", role: str = "rep", **fields: Any) -> pb.Opportunity:
        fields.setdefault("name", "MES 升级")
        fields.setdefault("amount", cny(200_000))
        return await self.deals(person, role).CreateOpportunity(pb.CreateOpportunityRequest(request_id=rid(), **fields))

    async def gateless(self) -> str:
        """A pipeline of the company's own that asks for nothing; the imported history's takes no deals by hand."""
        rules = PipelineRules()
        plain = rules.pipelines["crm-import"].model_copy(update={"name": "洽谈", "history_only": False})
        request = platform_pb2.PublishRulebookRequest(request_id=rid(), name=PipelineRules.rulebook, reason="简易流程")
        request.body.update(
            rules.model_copy(update={"pipelines": {**rules.pipelines, "plain": plain}}).model_dump(mode="json")
        )
        await self.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations").PublishRulebook(request)
        await self.live.settle()
        return "plain"

    async def read(self, deal_id: str) -> pb.Opportunity:
        return await self.deals("ops", "operations").GetOpportunity(pb.GetOpportunityRequest(opportunity_id=deal_id))

    async def climb(self, deal: pb.Opportunity, *evidence: pb.StageEvidence, **fields: Any) -> pb.Opportunity:
        return await self.deals("rep1", "rep").AdvanceOpportunity(
            pb.AdvanceOpportunityRequest(
                request_id=rid(), opportunity_id=deal.id, etag=deal.etag, evidence=evidence, **fields
            )
        )


@pytest.fixture
async def company(live: Live) -> Company:
    await live.organise(units=UNITS, people=PEOPLE)
    owner = {"owner_id": "rep1", "unit_id": "team1"}
    await live.hear(
        account(ACME, "阿克姆", grade="A", industry="machinery", ownership=owner, aliases=["Acme Corporation"])
    )
    await live.hear(account(NORTH, "北方重工", grade="B", ownership={"owner_id": "rep2", "unit_id": "north"}))
    await live.hear(product("gtx-pro", "GTX Pro", 4821, ("GTXPro",)))
    await live.hear(product("mg-special", "MG Special", 55))
    return Company(live)


async def remember(company: Company, table: str, given: list[dict[str, Any]]) -> None:
    """Rows of history, as an import of years would have left them."""
    names = ", ".join(given[0])
    tx = company.live.process.database.transaction()
    tx.do(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s)",
        {"rows": rows.pack(given)},
    )
    await tx.commit()


PROFILE = pb.StageEvidence(
    requirement_key="customer_profile",
    kind=pipelines_pb2.EVIDENCE_KIND_NOTE,
    note="年营收5亿, 三条产线, 决策人为生产总监",
)
PROPOSAL = pb.StageEvidence(
    requirement_key="proposal", kind=pipelines_pb2.EVIDENCE_KIND_PROPOSAL, note="方案书 v2, 存于项目共享盘"
)


def matrix() -> pb.StageEvidence:
    given = pb.StageEvidence(requirement_key="pain_matrix", kind=pipelines_pb2.EVIDENCE_KIND_MATRIX)
    given.content.update({"rows": [{"pain": "换线慢", "capability": "快速换型"}]})
    return given
