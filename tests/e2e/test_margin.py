"""A cost that the ERP booked decides who signs the next quote: integrations, funnel and approvals, each by its contract."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from google.type.decimal_pb2 import Decimal

from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc, quotes_pb2, quotes_pb2_grpc
from closedloop.integrations.v1 import erp_pb2, erp_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import ids
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Stage

QUOTES, RULES = quotes_pb2_grpc.QuoteServiceStub, platform_pb2_grpc.RulebookServiceStub
REP, DIRECTOR, PRODUCT = "E-1", "EAST-HEAD", "MARGIN-1"
THIN = {
    "name": "thin_margin",
    "title": "Thin margin",
    "kinds": ["quote"],
    # Of this product alone: other tests quote theirs on the same platform.
    "condition": f'"{PRODUCT}" in product_ids && margin_ratio < 0.20',
    "explanation": "a margin below 20 % needs the regional director",
    "steps": [{"name": "director", "signers": ["director_of_owner"]}],
}


async def publish(stage: Stage) -> None:
    held = await stage.ask(
        RULES, "GetRulebook", platform_pb2.GetRulebookRequest(name="approvals.policies"), OPERATIONS, "approvals"
    )
    body = json_format.MessageToDict(held.body)
    rules = platform_pb2.PublishRulebookRequest(
        request_id=ids.new_id(), name="approvals.policies", reason="nothing is sold for what it costs"
    )
    rules.body.update({**body, "policies": [*body["policies"], THIN]})
    await stage.ask(RULES, "PublishRulebook", rules, OPERATIONS, "approvals")


async def invoiced(stage: Stage, quantity: str, cost_fen: int) -> None:
    number = ids.new_id()
    line = erp_pb2.InvoiceLine(line=1, product_code=PRODUCT, quantity=Decimal(value=quantity))
    line.net_amount.CopyFrom(loop.cny(3 * loop.LIST_PRICE_FEN))
    line.cost_amount.CopyFrom(loop.cny(cost_fen))
    row = erp_pb2.Transaction(
        number=number,
        date=loop.day(),
        currency="CNY",
        invoice=erp_pb2.Invoice(lines=[line]),
        provenance=Provenance(source="erp", source_id=number),
    )
    request = erp_pb2.ImportTransactionsRequest(request_id=ids.new_id(), rows=[row])
    done = await stage.ask(erp_pb2_grpc.ErpServiceStub, "ImportTransactions", request, OPERATIONS)
    assert done.created == 1, done


async def quoted(stage: Stage, deal_id: str, price_fen: int) -> requests_pb2.Request:
    """What approvals made of a quote of one piece at that price, without a discount."""
    line = quotes_pb2.QuoteLine(product_id=PRODUCT, quantity=1, list_price=loop.cny(price_fen))
    create = quotes_pb2.CreateQuoteRequest(request_id=ids.new_id(), opportunity_id=deal_id, lines=[line])
    made = await stage.ask(QUOTES, "CreateQuote", create, REP)
    submit = quotes_pb2.SubmitQuoteRequest(request_id=ids.new_id(), quote_id=made.id, etag=made.etag)
    await stage.ask(QUOTES, "SubmitQuote", submit, REP)
    await stage.settle()
    stub = requests_pb2_grpc.RequestServiceStub
    listing = requests_pb2.ListRequestsRequest(origin="funnel", subject_id=made.id)
    found = (await stage.ask(stub, "ListRequests", listing, OPERATIONS)).requests
    if not found:
        # Not put on its way at all: the quote came back.
        read = await stage.ask(QUOTES, "GetQuote", quotes_pb2.GetQuoteRequest(quote_id=made.id), REP)
        assert read.state == quotes_pb2.QUOTE_STATE_SENT_BACK, read
        return requests_pb2.Request(reason=read.approval.comment)
    return await stage.ask(stub, "GetRequest", requests_pb2.GetRequestRequest(id=found[0].id), OPERATIONS)


@pytest.mark.mission("S63", "S71")
async def test_below_20_percent_the_regional_director_is_asked(over_redis: Stage) -> None:
    stage = over_redis
    await loop.bring_product(stage, PRODUCT)
    await publish(stage)
    await stage.settle()
    create = opportunities_pb2.CreateOpportunityRequest(
        request_id=ids.new_id(), name="A line for its cost", amount=loop.cny(loop.LIST_PRICE_FEN)
    )
    deal = await stage.ask(opportunities_pb2_grpc.OpportunityServiceStub, "CreateOpportunity", create, REP)

    unknown = await quoted(stage, deal.id, loop.LIST_PRICE_FEN)
    assert "margin_ratio" in unknown.reason, "nobody knows the cost, and the policy asks for it: back with the reason"

    # Three for 24,150.00: 80.5 % of the list price.
    await invoiced(stage, "3", 2_415_000)
    await stage.settle()
    thin = await quoted(stage, deal.id, loop.LIST_PRICE_FEN)
    assert thin.facts.margin_ratio == 0.195
    assert [[one.person_id for one in step.signers] for step in thin.steps] == [[DIRECTOR]]
    assert "thin_margin" in " ".join(rule.rule for rule in thin.rules)

    # At 10,062.50 exactly 20 % are left, and nobody has to sign.
    enough = await quoted(stage, deal.id, 1_006_250)
    assert (enough.facts.margin_ratio, list(enough.steps)) == (0.2, [])
    assert enough.state == requests_pb2.REQUEST_STATE_APPROVED
