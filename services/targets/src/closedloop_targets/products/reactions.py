"""A day has come on which products enter another stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_targets.products import shapes, store

STAGE_DAY = "targets.product_stage"
ENTERING = "SELECT product_id FROM product_stage WHERE start_date = ANY(%(days)s::date[])"

reactions = Reactions()


@reactions.timer(STAGE_DAY)
# Set as clocks by releases before there were timers.
@reactions.clock(STAGE_DAY)
async def day_of_stage(due: Sequence[Due | Rung], work: Work) -> None:
    days = [date.fromisoformat(one.attributes["day"]) for one in due]
    work.tx.do(store.LOCK)
    ids = {row["product_id"] for row in await work.tx.all(ENTERING, {"days": days})}
    products = [
        replace(product, version=product.version + 1, updated_at=work.now)
        for product in (await store.by_id(work.tx, ids)).values()
    ]
    store.save(work.tx, products)
    for product in products:
        work.tell(shapes.changed_event(product, work, max(days)), subject=product.id)
