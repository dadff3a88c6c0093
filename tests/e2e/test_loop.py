"""The loop turns once around, on the real platform, over each broker."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import grpc.aio
import pytest

from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc, leads_pb2, leads_pb2_grpc
from closedloop.targets.v1 import boards_pb2, boards_pb2_grpc
from closedloop_chassis import client
from closedloop_devstack import report
from closedloop_devstack.platform.memory import footprints
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Stage, say

from .conftest import Standing

HEALTHY_SECONDS = 20.0


@pytest.mark.mission("S10", "S21", "S23", "S40", "S63", "S66", "S67")
async def test_one_turn(stage: Stage) -> None:
    turn = loop.new_turn()
    before = await _board(stage)
    await loop.play(stage, turn)
    await loop.expect_once(stage, [turn])
    assert turn.won_fen == turn.quantity * loop.LIST_PRICE_FEN * 75 // 100
    after = await _board(stage)
    # Who has done nothing yet has no line.
    moved = {person: done - before.get(person, 0) for person, done in after.items() if done != before.get(person, 0)}
    assert moved == {turn.owner: turn.won_fen}


async def _board(stage: Stage) -> dict[str, int]:
    """What everybody has done this quarter, in fen, on the live board of progress."""
    request = boards_pb2.ListPersonProgressRequest(
        unit_id="CO", metric=loop.METRIC, view=boards_pb2.BOARD_VIEW_LIVE, page_size=100
    )
    people = (await stage.ask(boards_pb2_grpc.BoardServiceStub, "ListPersonProgress", request, OPERATIONS)).people
    return {line.person_id: loop.to_fen(line.progress.done.money) for line in people}


@pytest.mark.mission("S82", "U7")
async def test_another_regions_customer_stays_theirs(over_redis: Stage) -> None:
    turn = loop.new_turn()
    await loop.lead_in(over_redis, turn)
    await loop.converted(over_redis, turn)
    account = accounts_pb2.GetAccountRequest(id=turn.account_id)
    mine = await over_redis.once(accounts_pb2_grpc.AccountServiceStub, "GetAccount", account, turn.owner)
    assert mine.id == turn.account_id
    for person in ("W-1", "WEST-HEAD"):
        for stub, rpc, request in (
            (accounts_pb2_grpc.AccountServiceStub, "GetAccount", account),
            (leads_pb2_grpc.LeadServiceStub, "GetLead", leads_pb2.GetLeadRequest(id=turn.lead_id)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await over_redis.once(stub, rpc, request, person)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
            assert client.info(refused.value).reason


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_memory_and_start(standing: Callable[[str], Standing], busy: Callable[[], float], broker: str) -> None:
    """After the turns before, and although these ten also export traces."""
    found = standing(broker)
    sizes = footprints(found.platform.home.ledger)
    assert report.promised(sizes) < report.LIMIT_BYTES, sizes
    say(*(f"{one.name:<24}{one.rss / 1e6:8.0f} MB RSS {one.pss / 1e6:8.0f} MB PSS" for one in sizes))
    say(f"resident without RabbitMQ: {report.promised(sizes) / 1e6:.0f} MB; healthy after {found.seconds:.1f} s")
    assert len(sizes) >= 12
    assert found.seconds < HEALTHY_SECONDS * (1 if broker == "redis" else 2) * (1 if found.alone else busy())
