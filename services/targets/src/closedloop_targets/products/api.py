"""ProductService: the catalogue, and products moving through their lives."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date

from closedloop.targets.v1 import products_pb2 as pb
from closedloop_chassis import errors, etags, masks, pages, protos
from closedloop_chassis.data import patterns
from closedloop_chassis.rulebook.rules import LONGEST
from closedloop_chassis.work import Call
from closedloop_targets.products import rules, shapes, store
from closedloop_targets.products.reactions import STAGE_DAY
from closedloop_targets.products.rpcs import rpcs
from closedloop_targets.products.rules import Product, Stage


@rpcs.method
async def get_product(request: pb.GetProductRequest, call: Call) -> pb.Product:
    product = await store.find(call.db, request.product_id)
    if product is None:
        raise errors.NotFound("PRODUCT_NOT_FOUND", f"no product is called {request.product_id!r}")
    return shapes.to_proto(product, call, call.home.today(), stages=True)


@rpcs.method
async def list_products(request: pb.ListProductsRequest, call: Call) -> pb.ListProductsResponse:
    (after,) = pages.after(request, "")
    today = call.home.today()
    params = {
        "after": after,
        "include_retired": request.include_retired,
        "line": request.line,
        "query": request.query,
        "like": patterns.containing(request.query),
        "stage": shapes.life_cycle(request.stage) if request.stage else "",
        "day": today,
        "limit": pages.size(request) + 1,
    }
    page, token = pages.split(await store.listed(call.db, params), request, lambda product: (product.id,))
    return pb.ListProductsResponse(
        products=[shapes.to_proto(product, call, today) for product in page], next_page_token=token
    )


@rpcs.method
async def create_product(request: pb.CreateProductRequest, call: Call) -> pb.Product:
    today = call.home.today()
    product = shapes.created(request.product, call, today)
    call.tx.do(store.LOCK)
    if await store.by_id(call.tx, (product.id,)):
        raise errors.AlreadyExists("PRODUCT_EXISTS", f"there is a product {product.id} already")
    return await _saved(call, None, product, today, "create")


@rpcs.method
async def update_product(request: pb.UpdateProductRequest, call: Call) -> pb.Product:
    call.tx.do(store.LOCK)
    before = await _known(call, request.product.id)
    etags.check(request.etag, before.version)
    paths = masks.paths(request.update_mask, shapes.FIELDS) or set(shapes.FIELDS)
    if "name" in paths and not request.product.name:
        raise errors.InvalidArgument("PRODUCT_INCOMPLETE", "a product has a name", {"product.name": "is needed"})
    after = shapes.updated(before, request.product, paths, call)
    return await _saved(call, before, after, call.home.today(), "update")


@rpcs.method
async def change_product_stage(request: pb.ChangeProductStageRequest, call: Call) -> pb.Product:
    call.tx.do(store.LOCK)
    before = await _known(call, request.product_id)
    etags.check(request.etag, before.version)
    today = call.home.today()
    day = protos.day(request.effective_date, "effective_date") if request.HasField("effective_date") else today
    entered = Stage(day, shapes.life_cycle(request.stage), call.actor, request.reason)
    stages = rules.enter_stage(before.stages, entered)
    call.rules(rules.ProductRules).weight(entered.stage)
    after = replace(before, stages=stages, version=before.version + 1, updated_at=call.now)
    if day > today:
        _look_again(call, day)
    call.audit(
        f"product:{before.id}",
        "change_stage",
        before={"stage": before.stage_on(day).stage},
        after={"stage": entered.stage, "effective_date": day},
        business_action=request.reason,
    )
    store.save(call.tx, [after])
    call.tell(shapes.changed_event(after, call, today), subject=after.id)
    return shapes.to_proto(after, call, today, stages=True)


async def _known(call: Call, product_id: str) -> Product:
    found = await store.by_id(call.tx, (product_id,))
    if product_id not in found:
        raise errors.NotFound("PRODUCT_NOT_FOUND", f"there is no product {product_id}")
    return found[product_id]


async def _saved(call: Call, before: Product | None, after: Product, today: date, action: str) -> pb.Product:
    if after != before:
        rules.check_aliases(after.id, after.aliases, await store.taken_aliases(call.tx, after.aliases))
        hidden = ("stages", "version", "updated_at")
        old, new = (
            {name: value for name, value in asdict(one).items() if name not in hidden} if one else {}
            for one in (before, after)
        )
        call.audit(f"product:{after.id}", action, before=old, after=new)
        store.save(call.tx, [after])
        call.tell(shapes.changed_event(after, call, today), subject=after.id)
    return shapes.to_proto(after, call, today, stages=True)


def _look_again(call: Call, day: date) -> None:
    midnight = call.home.moment(day)
    if midnight - call.now > LONGEST:
        raise errors.InvalidArgument(
            "DATE_TOO_FAR", "a stage is planned ten years ahead at most", {"effective_date": "too far"}
        )
    call.timers.set(STAGE_DAY, day.isoformat(), midnight, {"day": day.isoformat()})
