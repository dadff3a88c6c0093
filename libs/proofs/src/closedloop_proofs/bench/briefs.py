"""The visit brief hot: one account among others, six people, a dozen touches, four concerns (S37)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    contacts_pb2,
    contacts_pb2_grpc,
    decision_chain_pb2,
    decision_chain_pb2_grpc,
    interactions_pb2,
    interactions_pb2_grpc,
    visit_brief_pb2,
)
from closedloop_chassis import ids, protos
from closedloop_proofs.bench import company
from closedloop_proofs.bench.ground import Api, Ground
from closedloop_proofs.bench.read import Read

METHOD = "closedloop.customers.v1.VisitBriefService.GetVisitBrief"
TITLES = ("总经理", "财务总监", "技术总监", "采购经理", "工程师", "使用部门主任")
CONCERNS = (
    (decision_chain_pb2.CONCERN_KIND_TECHNICAL_OBJECTION, "integration", "要与现有系统对接", 2),
    (decision_chain_pb2.CONCERN_KIND_TECHNICAL_OBJECTION, "performance", "并发时会不会卡顿", 4),
    (decision_chain_pb2.CONCERN_KIND_TECHNICAL_OBJECTION, "data_security", "数据不能出内网", 2),
    (decision_chain_pb2.CONCERN_KIND_ROI_QUESTION, "payback", "多久能回本", 1),
)
TECHNICAL = 2


@contextmanager
def brief(ground: Ground) -> Iterator[tuple[Api, Read]]:
    """A seller opens the brief before the door."""
    url = ground.database("customers")
    with ground.api("customers", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        seller = company.sellers()[0]
        account_id = _known(api, seller)
        request = visit_brief_pb2.GetVisitBriefRequest(account_id=account_id)
        token = ground.token(seller, "rep")
        yield api, Read("visit brief", METHOD, request.SerializeToString(), token, TECHNICAL)


def _known(api: Api, seller: str) -> str:
    accounts = api.stub(accounts_pb2_grpc.AccountServiceStub, seller, "rep")
    profile = accounts_pb2.AccountProfile(name="华东精密", region_code="310000", industry="manufacturing")
    account_id: str = accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=ids.new_id(), profile=profile)
    ).id
    contacts = api.stub(contacts_pb2_grpc.ContactServiceStub, seller, "rep")
    people = [
        contacts.CreateContact(
            contacts_pb2.CreateContactRequest(
                request_id=ids.new_id(),
                account_id=account_id,
                profile=contacts_pb2.ContactProfile(name=f"王{n}", job_title=title, phones=[f"1380000000{n}"]),
            )
        ).id
        for n, title in enumerate(TITLES)
    ]
    _touch(api, seller, people)
    chain = api.stub(decision_chain_pb2_grpc.DecisionChainServiceStub, seller, "rep")
    for kind, topic, text, whose in CONCERNS:
        chain.RecordConcern(
            decision_chain_pb2.RecordConcernRequest(
                request_id=ids.new_id(),
                account_id=account_id,
                contact_id=people[whose],
                kind=kind,
                topic=topic,
                text=text,
                quote=text,
            )
        )
    return account_id


def _touch(api: Api, seller: str, people: list[str]) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    rows = [
        interactions_pb2.InteractionRow(
            record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_CONTACT, id=people[n % len(people)]),
            channel=interactions_pb2.CHANNEL_PHONE,
            direction=interactions_pb2.INTERACTION_DIRECTION_INBOUND,
            occur_time=protos.timestamp(yesterday - timedelta(hours=n)),
            summary="谈了需求和进度",
            provenance=Provenance(source="crm", source_id=str(n)),
        )
        for n in range(2 * len(people))
    ]
    stub = api.stub(interactions_pb2_grpc.InteractionServiceStub, seller, "rep")
    stub.BulkRecordInteractions(interactions_pb2.BulkRecordInteractionsRequest(request_id=ids.new_id(), rows=rows))
