"""After an upgrade: what goods cost is told to those who were told of the invoices before costs were part of it.

Of each product the last invoice that has a cost is told again, as it was told before: who knows its version has no news.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop_chassis.work import Work
from closedloop_integrations.erp import intake, store

# So many documents at a time, from the newest back.
WALK = 500
NEWEST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")


async def costs_of_old(work: Work, reached: Mapping[str, Any]) -> dict[str, Any]:
    """From where the last walk ended ("before", and the products "told"); answers where this one did, empty at the
    end."""
    told = set(reached.get("told", ()))
    documents = await store.walk_back(work.tx, reached.get("before", NEWEST), WALK)
    for entry in documents:
        row = intake.transaction(entry)
        costed = {line.product_id for line in row.invoice.lines if line.product_id and _carried_over(line)}
        # What came back is deducted from what it came back from, wherever that is.
        back = row.invoice.credit_note or row.reverses_source_id
        if costed if back else costed - told:
            intake.tell(work, entry, row)
        if not back:
            told |= costed
    if len(documents) < WALK:
        return {}
    return {"before": [documents[-1].date.isoformat(), documents[-1].id], "told": sorted(told)}


def _carried_over(line: pb.InvoiceLine) -> bool:
    """A cost of zero has not been yet."""
    return bool(line.cost_amount.units or line.cost_amount.nanos)
