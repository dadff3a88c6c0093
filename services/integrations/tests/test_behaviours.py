"""What visitors do: kept as reported first, told once, and again when a visitor turns out to be somebody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import json_format

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import behaviours_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import sources_pb2
from closedloop.integrations.v1.behaviours_pb2_grpc import BehaviourServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_devstack.testing.service import Live

Known = Any


def seen(live: Live, id: str, minutes: int = 0, **given: Any) -> pb.Behaviour:
    usual: dict[str, Any] = {
        "kind": pb.BEHAVIOUR_KIND_PAGE_VIEWED,
        "visitor_id": "cookie-1",
        "object": f"/{id}",
        "provenance": Provenance(source="web", source_id=id),
    }
    made = pb.Behaviour(**{**usual, **given})
    made.time.FromDatetime(live.now + timedelta(minutes=minutes))
    return made


async def bring(live: Live, *rows: pb.Behaviour, dry: bool = False) -> Any:
    stub = live.stub(BehaviourServiceStub, "ops", "operations")
    request = pb.ImportBehavioursRequest(request_id=str(uuid4()), rows=rows, validate_only=dry)
    return await stub.ImportBehaviours(request)


async def told(live: Live) -> list[tuple[str, str]]:
    return [(each.behaviour.object, each.behaviour.account_id) for each in await live.told(events.BehaviourObserved)]


@pytest.mark.mission("S72", "S36")
async def test_actions_come_once_and_become_a_customers_when_the_visitor_is_known(company: Live, known: Known) -> None:
    account = await known.account("济南市第三中学")
    other = await known.account("青岛实验", owner="rep2", unit="north")
    contact = await known.contact("王老师", account, "wang@school.cn")
    assert (await bring(company, seen(company, "b"), dry=True)).created == 1
    # The later action comes first, and the first of two reports of it stands.
    assert (await bring(company, seen(company, "b", 5), seen(company, "b", 9, object="/other"))).created == 1
    assert (await bring(company, seen(company, "a"), seen(company, "c", contact_id=contact))).created == 2
    again = await bring(company, seen(company, "b", 5), seen(company, "a"), pb.Behaviour())
    assert (again.created, again.unchanged, again.rejected) == (0, 2, 1)
    assert await told(company) == [("/b", ""), ("/a", ""), ("/c", account)]

    mine = company.stub(BehaviourServiceStub, "rep1", "rep")
    link = pb.LinkVisitorRequest(request_id=str(uuid4()), visitor_id="cookie-1", account_id=account, contact_id=contact)
    done = await mine.LinkVisitor(link)
    assert (done.read, done.updated) == (3, 2)
    assert sorted((await told(company))[3:]) == [("/a", account), ("/b", account)]
    assert (await bring(company, seen(company, "d", 10))).created == 1
    assert (await told(company))[-1] == ("/d", account)

    page = await mine.ListBehaviours(pb.ListBehavioursRequest(visitor_id="cookie-1", page_size=2))
    rest = pb.ListBehavioursRequest(visitor_id="cookie-1", page_size=2, page_token=page.next_page_token)
    rows = [*page.behaviours, *(await mine.ListBehaviours(rest)).behaviours]
    assert [each.object for each in rows[:2]] == ["/d", "/b"]
    assert {each.object for each in rows[2:]} == {"/a", "/c"}
    theirs = company.stub(BehaviourServiceStub, "rep2", "rep")
    assert not (await theirs.ListBehaviours(pb.ListBehavioursRequest())).behaviours

    def wrong(**given: str) -> pb.LinkVisitorRequest:
        return pb.LinkVisitorRequest(
            request_id=str(uuid4()), **{"visitor_id": "cookie-1", "account_id": other, **given}
        )

    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await mine.LinkVisitor(wrong())
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await theirs.LinkVisitor(wrong())
    with company.refused("INVALID_ARGUMENT", "CONTACT_OF_ANOTHER"):
        await theirs.LinkVisitor(wrong(visitor_id="cookie-2", contact_id=contact))
    with company.refused("NOT_FOUND", "ACCOUNT_UNKNOWN"):
        await theirs.LinkVisitor(wrong(account_id=str(uuid4())))

    gone = customers.PersonErased()
    gone.records.add(id=contact)
    await company.hear(gone, contact)
    assert not (await mine.ListBehaviours(pb.ListBehavioursRequest(visitor_id="cookie-1"))).behaviours
    assert {each.visitor_id for each in (await mine.ListBehaviours(pb.ListBehavioursRequest())).behaviours} == {""}


@pytest.mark.mission("S72")
async def test_posted_actions_are_read_and_those_without_an_id_wait(company: Live) -> None:
    good = json_format.MessageToDict(seen(company, "a"))
    nameless = {**good, "provenance": {}}
    fetched = events.FeedFetched(
        feed="behaviours", items=[json.dumps(good), json.dumps(nameless), json.dumps({"kind": 99})]
    )
    await company.hear(fetched, "behaviours", source="integrations.courier")
    await company.hear(fetched, "behaviours", source="integrations.courier")
    assert await told(company) == [("/a", "")]
    operations = company.stub(SourceServiceStub, "ops", "operations")
    waiting = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="web"))).items
    assert sorted(each.reason for each in waiting) == ["PROVENANCE_MISSING", "ROW_INVALID"]
