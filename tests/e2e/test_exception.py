"""A plan that does not sum is published once approvals, and nobody else, has signed for its difference."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.targets.v1 import metrics_pb2, plans_pb2, plans_pb2_grpc
from closedloop_chassis import client, ids
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Stage

PLANS = plans_pb2_grpc.PlanServiceStub


def _target(yuan: int, **holder: str) -> plans_pb2.TargetInput:
    return plans_pb2.TargetInput(
        metric=loop.METRIC,
        period=_quarter(),
        holder=plans_pb2.Holder(**holder),
        amount=metrics_pb2.Amount(money=loop.cny(yuan * 100)),
        provenance=Provenance(source="e2e", source_id=ids.new_id()),
    )


def _quarter() -> str:
    today = loop.day()
    return f"{today.year}-Q{(today.month + 2) // 3}"


@pytest.mark.mission("S4", "S16")
async def test_a_difference_is_asked_by_targets_signed_in_approvals_and_published(over_redis: Stage) -> None:
    create = plans_pb2.CreatePlanRequest(
        request_id=ids.new_id(), name="West", unit_id="WEST", period=_quarter(), owner_id="WEST-HEAD",
        strategy="a branch of its own in the west",
    )  # fmt: skip
    plan = await over_redis.ask(PLANS, "CreatePlan", create, OPERATIONS)
    rows = [_target(1000, unit_id="WEST"), _target(900, person_id="W-1")]
    given = plans_pb2.ImportTargetsRequest(request_id=ids.new_id(), plan_id=plan.id, version=1, targets=rows)
    summary = await over_redis.ask(PLANS, "ImportTargets", given, OPERATIONS)
    assert not summary.errors, summary.errors

    async def publish() -> plans_pb2.PlanVersion:
        get = plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1)
        held = await over_redis.ask(PLANS, "GetPlanVersion", get, OPERATIONS)
        request = plans_pb2.PublishPlanVersionRequest(
            request_id=ids.new_id(), plan_id=plan.id, version=1, etag=held.etag
        )
        published: plans_pb2.PlanVersion = await over_redis.once(PLANS, "PublishPlanVersion", request, OPERATIONS)
        return published

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await publish()
    assert client.info(refused.value).reason == "PLAN_DOES_NOT_SUM"
    version = await over_redis.ask(
        PLANS, "GetPlanVersion", plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1), OPERATIONS
    )
    [obstacle] = version.obstacles
    ask = plans_pb2.RequestSumExceptionRequest(
        request_id=ids.new_id(), target_id=obstacle.target_id, reason="kept for the new branch"
    )
    exception = await over_redis.ask(PLANS, "RequestSumException", ask, OPERATIONS)
    turn = loop.new_turn()
    await loop.signed(over_redis, turn, exception.id, origin="targets")

    async def signed() -> plans_pb2.SumException | None:
        listing = plans_pb2.ListSumExceptionsRequest(plan_id=plan.id)
        [one] = (await over_redis.ask(PLANS, "ListSumExceptions", listing, OPERATIONS)).exceptions
        return one if one.state == plans_pb2.SUM_EXCEPTION_STATE_SIGNED else None

    told = await over_redis.until("the signature to reach targets", signed)
    assert [told.approval_request_id] == turn.approval_ids
    # Whoever asks does not sign.
    assert told.decided_by not in ("", OPERATIONS)
    assert (await publish()).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE
