"""A spreadsheet of 100,000 inquiries through the contract: known again, assigned, timed, told of, one phone per person."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc
from closedloop_chassis import ids
from closedloop_proofs.bench import company, customers
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure
from closedloop_proofs.bench.samples import summary

ROWS, CALL = 100_000, 10_000
NAME = f"import of {ROWS:,} leads"


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    del pressure, rounds  # once: it is long enough to be its own average
    if not only(NAME):
        return []
    ground.say(NAME)
    url = ground.database("customers")
    with ground.api("customers", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        customers.widen(api)
        stub = api.stub(leads_pb2_grpc.LeadServiceStub, "OPS", "operations")
        took = []
        for first in range(0, ROWS, CALL):
            request = leads_pb2.BulkIntakeLeadsRequest(request_id=ids.new_id(), rows=rows(first, CALL))
            began = time.monotonic()
            told = stub.BulkIntakeLeads(request, timeout=300)
            took.append(time.monotonic() - began)
            if told.created != CALL:
                raise LoadFailed(f"{told.created} of {CALL} came in: {list(told.errors)[:1]}")
    rates = summary([CALL / seconds for seconds in took])
    return [
        Figure(
            name=NAME,
            value=ROWS / sum(took),
            unit="rows/s",
            against="",
            ratio=None,
            wanted=Wanted(">=", 2000, of="value"),
            spread=rates.spread,
        )
    ]


def rows(first: int, count: int) -> list[leads_pb2.LeadRow]:
    """Inquiries of as many people and half as many companies."""
    made = []
    for n in range(first, first + count):
        row = leads_pb2.LeadRow(
            provenance=Provenance(source="spreadsheet", source_id=f"row-{n}"),
            profile=leads_pb2.LeadProfile(
                company_name=f"{('华东', '南粤', '燕京', '蜀中')[n % 4]}第{n // 2}精密有限公司",
                contact_name=f"王{n}",
                phone=f"1{3_000_000_000 + n}",
                email_address=f"w{n}@c{n // 2}.example.cn",
                region_code=f"{company.PROVINCES[n % 4]}0000",
                industry="manufacturing",
                need="视觉检测 报价",
            ),
        )
        row.provenance.observed_time.GetCurrentTime()
        row.provenance.observed_time.FromDatetime(
            row.provenance.observed_time.ToDatetime() - timedelta(minutes=n % 600)
        )
        made.append(row)
    return made
