"""Customers under load: inquiries from programs, each of a person and a company nobody knows, given to 160 sellers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from closedloop.customers.v1 import leads_pb2  # noqa: F401
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import ids
from closedloop_proofs.bench import company
from closedloop_proofs.bench.ground import Api, Ground
from closedloop_proofs.bench.load import Pressure
from closedloop_proofs.bench.write import Write

METHOD = "closedloop.customers.v1.LeadService.IntakeLead"
# Room for every inquiry of a run: past their capacity sellers get nothing, which is another, cheaper way.
CAPACITY = 10_000


@contextmanager
def intake(ground: Ground, pressure: Pressure, rounds: int) -> Iterator[tuple[Api, Write]]:
    url = ground.database("customers")
    with ground.api("customers", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        widen(api)
        tokens = [ground.token(f"integration:site{n}", "integration") for n in range(pressure.callers)]
        yield api, Write("IntakeLead", METHOD, "intake_lead", tokens, _told)


def _told(turn: int) -> dict[str, object]:
    return {"first_phone": 13_000_000_000 + turn * 10_000_000, "provinces": company.PROVINCES}


def widen(api: Api) -> None:
    stub = api.stub(platform_pb2_grpc.RulebookServiceStub, "admin", "admin", "operations")
    held = stub.GetRulebook(platform_pb2.GetRulebookRequest(name="customers.assignment"))
    held.body.update({"lead_capacity": CAPACITY})
    stub.PublishRulebook(
        platform_pb2.PublishRulebookRequest(
            request_id=ids.new_id(),
            name=held.name,
            base_version=held.version,
            body=held.body,
            reason="room for a whole run",
        )
    )
