"""The funnel under load: sellers with accounts and deals, made through the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop.funnel.v1 import activities_pb2, opportunities_pb2, opportunities_pb2_grpc  # noqa: F401
from closedloop_chassis import ids
from closedloop_proofs.bench import company
from closedloop_proofs.bench.ground import Api, Ground
from closedloop_proofs.bench.load import Pressure
from closedloop_proofs.bench.write import Write

DEALS = 5


@contextmanager
def logging(ground: Ground, pressure: Pressure, rounds: int) -> Iterator[tuple[Api, Write]]:
    url = ground.database("funnel")
    accounts = list(company.accounts(per_seller=1))
    with ground.api("funnel", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        ground.hear(url, "customers", accounts)
        ground.settle(url)
        callers = company.sellers()[: pressure.callers]
        owned = {m.ownership.owner_id: id_ for id_, m in accounts if isinstance(m, AccountChanged)}
        deals = [_deals(api, seller, owned[seller]) for seller in callers]
        tokens = [ground.token(seller, "rep") for seller in callers]
        method = "closedloop.funnel.v1.ActivityService.LogActivity"
        yield api, Write("LogActivity", method, "log_activity", tokens, lambda turn: {"deals": deals})


def _deals(api: Api, seller: str, account_id: str) -> list[str]:
    stub = api.stub(opportunities_pb2_grpc.OpportunityServiceStub, seller, "rep")
    made = []
    for number in range(DEALS):
        request = opportunities_pb2.CreateOpportunityRequest(
            request_id=ids.new_id(), name=f"{seller} {number}", account_id=account_id, need="三条产线的视觉检测"
        )
        request.amount.currency_code, request.amount.units = "CNY", 480_000
        made.append(stub.CreateOpportunity(request).id)
    return made
