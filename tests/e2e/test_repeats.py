"""The same request id, twice and eight times at once, acts once and answers the same, in every service as it runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message

from closedloop.approvals.v1 import tasks_pb2, tasks_pb2_grpc
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop.integrations.v1 import notices_pb2, notices_pb2_grpc
from closedloop.targets.v1 import products_pb2, products_pb2_grpc
from closedloop_chassis import client, ids
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Stage

AT_ONCE = 8
REP = "E-1"


@dataclass(frozen=True)
class Mutation:
    """A call that makes one record named `word`, and the listing in which that record is found by its name."""

    stub: Callable[[Any], Any]
    rpc: str
    request: Any
    person: str
    listing: str
    query: Message
    names: Callable[[Any], list[str]]


def _mutation(service: str, word: str) -> Mutation:
    request_id = ids.new_id()
    provenance = Provenance(source="e2e", source_id=word)
    match service:
        case "targets":
            product = products_pb2.ProductInput(
                id=word, name=word, line="automation", list_price=loop.cny(100), launch_date=loop.day(),
                stage=products_pb2.LIFE_CYCLE_STAGE_GROWTH, provenance=provenance,
            )  # fmt: skip
            return Mutation(
                products_pb2_grpc.ProductServiceStub, "ImportProducts",
                products_pb2.ImportProductsRequest(request_id=request_id, products=[product]), OPERATIONS,
                "ListProducts", products_pb2.ListProductsRequest(query=word),
                lambda found: [one.name for one in found.products],
            )  # fmt: skip
        case "customers":
            profile = leads_pb2.LeadProfile(company_name=word, region_code="310000")
            return Mutation(
                leads_pb2_grpc.LeadServiceStub, "IntakeLead",
                leads_pb2.IntakeLeadRequest(request_id=request_id, profile=profile, provenance=provenance), REP,
                "ListLeads", leads_pb2.ListLeadsRequest(query=word),
                lambda found: [one.profile.company_name for one in found.leads],
            )  # fmt: skip
        case "funnel":
            create = opportunities_pb2.CreateOpportunityRequest(
                request_id=request_id, name=word, amount=loop.cny(5_000_00), expected_close_date=loop.day(30)
            )
            return Mutation(
                opportunities_pb2_grpc.OpportunityServiceStub, "CreateOpportunity", create, REP,
                "ListOpportunities", opportunities_pb2.ListOpportunitiesRequest(query=word),
                lambda found: [one.name for one in found.opportunities],
            )  # fmt: skip
        case "approvals":
            task = tasks_pb2.TaskContent(
                kind="follow_up", title=word, assignee_id=REP, origin="e2e", cause_key=word, subject_id=word
            )
            return Mutation(
                tasks_pb2_grpc.TaskServiceStub, "RaiseTask",
                tasks_pb2.RaiseTaskRequest(request_id=request_id, content=task), OPERATIONS,
                "ListTasks", tasks_pb2.ListTasksRequest(subject_id=word),
                lambda found: [one.content.title for one in found.tasks],
            )  # fmt: skip
        case "integrations":
            notice = notices_pb2.Notice(
                kind=notices_pb2.NOTICE_KIND_TENDER, title=word, buyer="no customer of ours", publish_date=loop.day(),
                provenance=provenance,
            )  # fmt: skip
            return Mutation(
                notices_pb2_grpc.NoticeServiceStub, "BulkImportNotices",
                notices_pb2.BulkImportNoticesRequest(request_id=request_id, rows=[notice]), OPERATIONS,
                "ListNotices", notices_pb2.ListNoticesRequest(query=word),
                lambda found: [one.title for one in found.notices],
            )  # fmt: skip
        case _:
            raise LookupError(service)


def _word() -> str:
    # Names nobody would take for one another: records that look alike are merged, and rightly so.
    return "".join(random.SystemRandom().choices("bcdfghjklmnpqrstvwxz", k=14))


@pytest.mark.mission("S21", "U15")
@pytest.mark.parametrize("service", ["targets", "customers", "funnel", "approvals", "integrations"])
async def test_a_repeat_acts_once(over_redis: Stage, service: str) -> None:
    for at_once in (2, AT_ONCE):
        word = _word()
        one = _mutation(service, word)

        async def call(one: Mutation = one) -> Any:
            return await over_redis.once(one.stub, one.rpc, one.request, one.person)

        answers = await asyncio.gather(*(call() for _ in range(at_once)))
        # And once more when all is over.
        answers.append(await call())
        # A summary that says "created" every time says so too: a second act would have found it unchanged.
        assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
        assert getattr(answers[0], "created", 1) == 1
        found = await over_redis.once(one.stub, one.listing, one.query, OPERATIONS)
        assert one.names(found) == [word]


async def test_an_id_used_for_something_else_is_refused(over_redis: Stage) -> None:
    one = _mutation("customers", _word())
    await over_redis.once(one.stub, one.rpc, one.request, one.person)
    one.request.profile.need = "another thing"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await over_redis.once(one.stub, one.rpc, one.request, one.person)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.info(refused.value).reason == "REQUEST_ID_REUSED"
