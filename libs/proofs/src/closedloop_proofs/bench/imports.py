"""An import through the contract: 8,800 opportunities, with everything an import tells and keeps."""

from __future__ import annotations

import time
from collections.abc import Callable

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop_chassis import ids
from closedloop_proofs.bench import company
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure
from closedloop_proofs.bench.samples import summary

ROWS = 8_800
NAME = f"import of {ROWS:,} opportunities"


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    del pressure
    if not only(NAME):
        return []
    ground.say(NAME)
    accounts = list(company.accounts(per_seller=1))
    took = []
    url = ground.database("funnel")
    with ground.api("funnel", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        ground.hear(url, "customers", accounts)
        ground.settle(url)
        stub = api.stub(opportunities_pb2_grpc.OpportunityServiceStub, "OPS", "operations")
        # The first is not counted: its statements are prepared and planned.
        for number in range(rounds + 1):
            request = opportunities_pb2.BulkImportOpportunitiesRequest(request_id=ids.new_id(), rows=rows(number))
            began = time.monotonic()
            told = stub.BulkImportOpportunities(request, timeout=120).summary
            took.append(time.monotonic() - began)
            if told.created != ROWS:
                raise LoadFailed(f"{told.created} of {ROWS} came in: {list(told.errors)[:1]}")
    rates = summary([ROWS / seconds for seconds in took[1:]])
    return [
        Figure(
            name=NAME,
            value=rates.median,
            unit="rows/s",
            against="",
            ratio=None,
            wanted=Wanted(">=", 5000, of="value"),
            spread=rates.spread,
        )
    ]


def rows(number: int) -> list[opportunities_pb2.OpportunityRow]:
    """Half of them open; `number` tells one call's from another's."""
    sellers = company.sellers()
    made = []
    for n in range(ROWS):
        seller = sellers[n % len(sellers)]
        row = opportunities_pb2.OpportunityRow(
            provenance=Provenance(source="crm", source_id=f"{number}-{n}"),
            owner=seller,
            account=f"客户 {seller}-0",
            stage=("Won", "Lost", "Engaging", "Prospecting")[n % 4],
        )
        row.engage_date.year, row.engage_date.month, row.engage_date.day = 2025, 1 + n % 6, 1 + n % 28
        if n % 4 < 2:
            row.close_date.year, row.close_date.month, row.close_date.day = 2025, 7 + n % 5, 1 + n % 28
            row.value.currency_code, row.value.units = "CNY", 1_000 + n
        made.append(row)
    return made
