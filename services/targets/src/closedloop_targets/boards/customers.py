"""ListKeyCustomers: key customers with the stage each is in, the stalest first (S12)."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import Ownership, RuleReference
from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import amounts, company
from closedloop_targets.boards import customers_store as store
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.boards.rules import BoardRules


@rpcs.method
async def list_key_customers(request: pb.ListKeyCustomersRequest, call: Call) -> pb.ListKeyCustomersResponse:
    allowed = call.rules(BoardRules)
    if request.unit_id:
        await company.unit(call, request.unit_id)
    key, key_id = pages.after(request, -(2**31), "")
    params = {
        "grades": [request.grade] if request.grade else list(allowed.key_grades),
        "now": call.now,
        "days": allowed.stale_after_days,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "person_id": request.person_id,
        "stage": request.stage,
        "stale_only": request.stale_only,
        "key": key,
        "key_id": key_id,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST, params)
    page, token = pages.split(rows, request, lambda row: (-row["days"], row["id"]))
    version = call.process.rulebooks.version(BoardRules, call.now)
    return pb.ListKeyCustomersResponse(
        customers=[
            pb.KeyCustomer(
                account_id=row["id"],
                name=row["name"],
                grade=row["grade"],
                ownership=Ownership(owner_id=row["owner_id"], unit_id=row["unit_id"]),
                opportunity_id=row["opportunity_id"] or "",
                pipeline=row["pipeline"] or "",
                stage=row["stage"] or "",
                stage_time=protos.timestamp(row["stage_at"]),
                open_amount=amounts.amount(row["open_minor"], row["currency"] or call.home.currency),
                last_activity_time=protos.timestamp(row["last_at"]),
                stale=row["days"] > allowed.stale_after_days,
                days_without_movement=row["days"],
                remind_time=protos.timestamp(row["reminded_at"]),
                rule=RuleReference(
                    rulebook=BoardRules.rulebook,
                    version=version,
                    rule="stale_after_days",
                    explanation=f"{row['days']} days without activity or new stage; {allowed.stale_after_days} are allowed",
                ),
            )
            for row in page
        ],
        next_page_token=token,
        as_of_time=protos.timestamp(call.now),
    )
