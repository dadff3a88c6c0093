"""Keeps the copy of products: their names and lines for wake-ups, and when each last changed."""

from __future__ import annotations

from closedloop.targets.v1 import events_pb2 as targets
from closedloop.targets.v1 import products_pb2
from closedloop_chassis import enums
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work

reactions = Reactions()

# An older version that arrives late changes nothing.
PUT = """
INSERT INTO product (id, name, line, stage, retired, changed_at, version)
VALUES (%(id)s, %(name)s, %(line)s, %(stage)s, %(retired)s, %(changed_at)s, %(version)s)
ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, line = excluded.line, stage = excluded.stage, retired = excluded.retired,
       changed_at = excluded.changed_at, version = excluded.version
 WHERE product.version < excluded.version
"""


@reactions.on(targets.ProductChanged)
async def copy_product(event: Heard[targets.ProductChanged], work: Work) -> None:
    told = event.message
    row = {
        "id": told.product_id,
        "name": told.name,
        "line": told.line,
        "retired": told.retired,
        "version": told.version,
    }
    stage = enums.word(products_pb2.LifeCycleStage, told.stage)
    work.tx.do(PUT, {**row, "stage": stage, "changed_at": event.time})
