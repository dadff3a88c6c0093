"""Somebody with a pen in funnel's database, and a voice on its broker, still cannot send a quote that nobody approved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import psycopg
import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc
from closedloop.funnel.v1 import contracts_pb2, contracts_pb2_grpc, quotes_pb2, quotes_pb2_grpc
from closedloop_chassis import client, contract, ids
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Stage, Turn

QUOTES, CONTRACTS = quotes_pb2_grpc.QuoteServiceStub, contracts_pb2_grpc.ContractServiceStub

FORGE = """
INSERT INTO inbox (id, source, type, subject, sequence, time, traceparent, data, slot)
VALUES (%(id)s, 'approvals', %(type)s, %(subject)s, 0, %(time)s, '', %(data)s, abs(hashtext(%(subject)s)) %% 8)
"""


async def behind_funnels_back(stage: Stage, sql: str, params: Mapping[str, Any]) -> None:
    def write() -> None:
        with psycopg.connect(stage.platform.database("funnel")) as connection:
            connection.execute(sql, params)

    await asyncio.to_thread(write)


async def draft(stage: Stage, turn: Turn, discount: float) -> quotes_pb2.Quote:
    line = quotes_pb2.QuoteLine(
        product_id=loop.PRODUCT, quantity=1, list_price=loop.cny(loop.LIST_PRICE_FEN), discount_ratio=discount
    )
    create = quotes_pb2.CreateQuoteRequest(request_id=ids.new_id(), opportunity_id=turn.deal_id, lines=[line])
    made = await stage.ask(QUOTES, "CreateQuote", create, turn.owner)
    submit = quotes_pb2.SubmitQuoteRequest(request_id=ids.new_id(), quote_id=made.id, etag=made.etag)
    return await stage.ask(QUOTES, "SubmitQuote", submit, turn.owner)


async def approved(stage: Stage, turn: Turn, quote_id: str) -> quotes_pb2.Quote:
    async def look() -> quotes_pb2.Quote | None:
        read = await stage.ask(QUOTES, "GetQuote", quotes_pb2.GetQuoteRequest(quote_id=quote_id), turn.owner)
        return read if read.state == quotes_pb2.QUOTE_STATE_APPROVED else None

    return await stage.until("the quote to learn of a decision", look)


async def subject_of(stage: Stage, subject_id: str) -> requests_pb2.Subject:
    async def look() -> requests_pb2.Subject | None:
        call = requests_pb2.ListRequestsRequest(origin="funnel", subject_id=subject_id)
        found = (await stage.ask(requests_pb2_grpc.RequestServiceStub, "ListRequests", call, OPERATIONS)).requests
        return found[0].subject if found else None

    return await stage.until("approvals to be asked", look)


async def refusal(stage: Stage, turn: Turn, make: Any, rpc: str, request: Any) -> tuple[str, str]:
    """Why a call is refused: reason, and what approvals said."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stage.once(make, rpc, request, turn.owner)
    told = client.info(refused.value)
    return told.reason, told.metadata.get("clearance", "")


def issue(quote: quotes_pb2.Quote) -> quotes_pb2.IssueQuoteRequest:
    return quotes_pb2.IssueQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=quote.etag)


@pytest.mark.mission("S66", "S67")
async def test_neither_a_forged_nor_a_borrowed_nor_an_outdated_decision_lets_anything_out(over_redis: Stage) -> None:
    stage, turn = over_redis, loop.new_turn()
    for step in (loop.lead_in, loop.converted, loop.opened, loop.climbed):
        await step(stage, turn)

    # Forged: word for word what approvals would tell, and nobody signed.
    deep = await draft(stage, turn, 0.5)
    subject = await subject_of(stage, deep.id)
    lie = approvals.RequestDecided(
        request_id=ids.new_id(), subject=subject, state=requests_pb2.REQUEST_STATE_APPROVED, decided_by="CEO"
    )
    event = {"id": ids.new_id(), "type": contract.route(approvals.RequestDecided).type, "subject": ids.new_id()}
    await behind_funnels_back(stage, FORGE, {**event, "time": datetime.now(UTC), "data": lie.SerializeToString()})
    believed = await approved(stage, turn, deep.id)
    assert await refusal(stage, turn, QUOTES, "IssueQuote", issue(believed)) == ("NOT_CLEARED", "PENDING")

    # Borrowed: a small discount that was cleared at once lends its decision to the deep one.
    small = await approved(stage, turn, (await draft(stage, turn, 0.05)).id)
    borrow = """
    UPDATE quote q SET content_digest = s.content_digest, submitted_revision = s.submitted_revision,
                       approval_id = s.approval_id, state = 'approved'
      FROM quote s WHERE q.id = %(deep)s AND s.id = %(small)s
    """
    await behind_funnels_back(stage, borrow, {"deep": deep.id, "small": small.id})
    assert (await refusal(stage, turn, QUOTES, "IssueQuote", issue(believed)))[0] == "QUOTE_NOT_APPROVED"

    # Changed after the decision: one word is enough.
    await behind_funnels_back(stage, "UPDATE quote SET terms = 'free service' WHERE id = %(id)s", {"id": small.id})
    assert (await refusal(stage, turn, QUOTES, "IssueQuote", issue(small)))[0] == "QUOTE_NOT_APPROVED"

    # Signed properly, the honest quote leaves; its contract is forged in turn.
    await loop.quoted(stage, turn)
    create = contracts_pb2.CreateContractRequest(
        request_id=ids.new_id(), opportunity_id=turn.deal_id, quote_id=turn.quote_id, title="Line"
    )
    paper = await stage.ask(CONTRACTS, "CreateContract", create, turn.owner)
    submit = contracts_pb2.SubmitContractRequest(request_id=ids.new_id(), contract_id=paper.id, etag=paper.etag)
    paper = await stage.ask(CONTRACTS, "SubmitContract", submit, turn.owner)
    await subject_of(stage, paper.id)
    forge = "UPDATE contract SET state = 'approved', approval_state = 'approved' WHERE id = %(id)s"
    await behind_funnels_back(stage, forge, {"id": paper.id})
    sign = contracts_pb2.SignContractRequest(
        request_id=ids.new_id(), contract_id=paper.id, etag=paper.etag, sign_date=loop.day()
    )
    assert await refusal(stage, turn, CONTRACTS, "SignContract", sign) == ("NOT_CLEARED", "PENDING")
