"""ImportProducts: the catalogue of another system in one call."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.targets.v1 import products_pb2 as pb
from closedloop_chassis import bulk, errors
from closedloop_chassis.work import Call
from closedloop_targets.products import shapes, store
from closedloop_targets.products.rpcs import rpcs
from closedloop_targets.products.rules import Product, alias_key, check_aliases

# A stage is taken when the product is new; later it moves by ChangeProductStage alone.
PATHS = set(shapes.FIELDS)


@rpcs.method
async def import_products(request: pb.ImportProductsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.products)
    today = call.home.today()
    call.tx.do(store.LOCK)
    known = await store.by_id(call.tx, {given.id for _, given in good})
    taken = await store.taken_aliases(call.tx, {alias for _, given in good for alias in given.aliases})
    coming: dict[str, Product] = {}
    created = 0
    for position, given in good:
        try:
            product = _product(given, known.get(given.id), call, taken)
            if given.id in coming:
                raise errors.InvalidArgument("ROW_REPEATED", f"product {given.id} stands in the batch twice")
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        taken |= {alias_key(alias): product.id for alias in product.aliases}
        coming[product.id] = product
        created += given.id not in known
    changed = [product for product in coming.values() if product != known.get(product.id)]
    if not request.validate_only and changed:
        store.save(call.tx, changed)
        for product in changed:
            call.tell(shapes.changed_event(product, call, today), subject=product.id)
        call.audit("products", "import", after={"products": [product.id for product in changed], "created": created})
    updated = len(changed) - created
    return bulk.summary(read=len(request.products), created=created, updated=updated, refused=refused)


def _product(given: pb.ProductInput, known: Product | None, call: Call, taken: dict[str, str]) -> Product:
    if not given.name:
        raise errors.InvalidArgument("PRODUCT_INCOMPLETE", "a product has a name")
    today = call.home.today()
    product = shapes.updated(known, given, PATHS, call) if known else shapes.created(given, call, today)
    check_aliases(product.id, product.aliases, taken)
    return product
