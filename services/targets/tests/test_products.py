"""Products: imported with their other names, and moved through their lives."""

from __future__ import annotations

from datetime import date

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from closedloop.targets.v1 import events_pb2, products_pb2, products_pb2_grpc
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .staff import request_id

GROWTH, MATURE = products_pb2.LIFE_CYCLE_STAGE_GROWTH, products_pb2.LIFE_CYCLE_STAGE_MATURE


def product(id_: str, name: str, *aliases: str, price: int = 0, **more: object) -> products_pb2.ProductInput:
    given = products_pb2.ProductInput(id=id_, name=name, aliases=aliases, **more)  # type: ignore[arg-type]
    if price:
        given.list_price.CopyFrom(protos.money(price, "CNY"))
    return given


def catalogue(live: Live) -> products_pb2_grpc.ProductServiceStub:
    return live.stub(products_pb2_grpc.ProductServiceStub, "ops", "operations")


async def import_(live: Live, *products: products_pb2.ProductInput, validate_only: bool = False):  # type: ignore[no-untyped-def]
    request = products_pb2.ImportProductsRequest(
        request_id=request_id(), products=products, validate_only=validate_only
    )
    return await catalogue(live).ImportProducts(request)


async def test_import_is_idempotent_and_tells_aliases(company: Live) -> None:
    rows = [product("GTX-PRO", "GTX Pro", "GTXPro", "GTX pro", price=482_100, line="GTX"), product("MG", "MG Special")]
    rehearsed = await import_(company, *rows, validate_only=True)
    summary = await import_(company, *rows)
    again = await import_(company, *rows)
    assert rehearsed == summary
    assert (summary.created, again.unchanged, again.updated) == (2, 2, 0)
    told = {one.product_id: one for one in await company.told(events_pb2.ProductChanged)}
    assert list(told["GTX-PRO"].aliases) == ["GTXPro"]
    assert told["GTX-PRO"].list_price.units == 4821
    assert told["GTX-PRO"].weight.value == "1"
    renamed = await import_(company, product("MG", "MG Special 2", retired=True))
    assert renamed.updated == 1
    stub = catalogue(company)
    found = await stub.GetProduct(products_pb2.GetProductRequest(product_id="gtx PRO"))
    assert found.id == "GTX-PRO"
    listed = await stub.ListProducts(products_pb2.ListProductsRequest(query="gtxp"))
    assert [one.id for one in listed.products] == ["GTX-PRO"]
    everything = await stub.ListProducts(products_pb2.ListProductsRequest(include_retired=True, page_size=1))
    rest = await stub.ListProducts(
        products_pb2.ListProductsRequest(include_retired=True, page_token=everything.next_page_token)
    )
    assert [one.id for one in (*everything.products, *rest.products)] == ["GTX-PRO", "MG"]


async def test_rows_are_refused_one_by_one(company: Live) -> None:
    await import_(company, product("A", "A", "alpha"))
    summary = await import_(
        company,
        product("B", "B", "ALPHA"),
        product("C", ""),
        product("D", "D"),
        product("D", "D again"),
        product("bad id", "E"),
        product("F", "F", "a"),
    )
    assert {error.row: error.reason for error in summary.errors} == {
        0: "ALIAS_TAKEN",
        1: "PRODUCT_INCOMPLETE",
        3: "ROW_REPEATED",
        4: "ROW_INVALID",
        5: "ALIAS_TAKEN",
    }
    assert summary.created == 1


@pytest.mark.mission("S16")
async def test_stages_weigh_0_7_1_0_and_0_9(company: Live) -> None:
    stub = catalogue(company)
    stages = products_pb2.LifeCycleStage
    for name, weight in (("INTRODUCTION", "0.7"), ("GROWTH", "1"), ("MATURE", "0.9")):
        stage = stages.Value(f"LIFE_CYCLE_STAGE_{name}")
        request = products_pb2.CreateProductRequest(request_id=request_id(), product=product(name, name, stage=stage))
        made = await stub.CreateProduct(request)
        assert (made.stage, made.weight.value) == (stage, weight)
        assert made.weight_rule.rulebook == "targets.products"


@pytest.mark.mission("S16")
async def test_a_product_enters_another_stage_on_its_day(company: Live) -> None:
    stub = catalogue(company)
    made = await stub.CreateProduct(
        products_pb2.CreateProductRequest(request_id=request_id(), product=product("P", "P", stage=GROWTH))
    )
    change = products_pb2.ChangeProductStageRequest(
        product_id="P",
        etag=made.etag,
        stage=MATURE,
        effective_date=protos.date_proto(date(2026, 2, 1)),
        reason="the market is full",
    )
    change.request_id = request_id()
    planned = await stub.ChangeProductStage(change)
    assert (planned.stage, len(planned.stages), planned.weight.value) == (GROWTH, 2, "1")
    change.request_id = request_id()
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await stub.ChangeProductStage(change)
    change.request_id, change.etag = request_id(), planned.etag
    with company.refused("FAILED_PRECONDITION", "STAGE_DATE_TAKEN"):
        await stub.ChangeProductStage(change)
    change.request_id, change.effective_date.day, change.effective_date.month = request_id(), 2, 3
    with company.refused("FAILED_PRECONDITION", "STAGE_UNCHANGED"):
        await stub.ChangeProductStage(change)
    await company.advance(days=28)
    [*_, last] = await company.told(events_pb2.ProductChanged)
    assert (last.stage, last.weight.value) == (MATURE, "0.9")
    now = await stub.GetProduct(products_pb2.GetProductRequest(product_id="P"))
    assert (now.stage, now.stages[1].reason) == (MATURE, "the market is full")


async def test_updates_and_refusals(company: Live) -> None:
    stub = catalogue(company)
    request = products_pb2.CreateProductRequest(request_id=request_id(), product=product("P", "P", "pee", price=100))
    made = await stub.CreateProduct(request)
    assert await stub.CreateProduct(request) == made
    request.request_id = request_id()
    with company.refused("ALREADY_EXISTS", "PRODUCT_EXISTS"):
        await stub.CreateProduct(request)
    update = products_pb2.UpdateProductRequest(
        request_id=request_id(),
        product=product("P", "Product P"),
        update_mask=FieldMask(paths=["name"]),
        etag=made.etag,
    )
    changed = await stub.UpdateProduct(update)
    assert (changed.name, list(changed.aliases), changed.list_price.units) == ("Product P", ["pee"], 1)
    with company.refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
        await stub.GetProduct(products_pb2.GetProductRequest(product_id="nothing"))
    rep = company.stub(products_pb2_grpc.ProductServiceStub, "rep1", "rep")
    with company.refused("PERMISSION_DENIED"):
        await rep.UpdateProduct(update)
