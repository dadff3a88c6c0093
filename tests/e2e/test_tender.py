"""A notice that names a customer has the customer judged anew within seconds, two services further on."""

from __future__ import annotations

import time

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import potential_pb2, potential_pb2_grpc
from closedloop.integrations.v1 import notices_pb2, notices_pb2_grpc
from closedloop_chassis import ids
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, PROGRAM, Stage, say

# "Within seconds", on a machine that others use as well.
JUDGED_SECONDS = 10.0


@pytest.mark.mission("S39", "S70")
async def test_a_match_has_the_customer_judged_anew_within_seconds(over_redis: Stage) -> None:
    stage, turn = over_redis, loop.new_turn()
    for step in (loop.lead_in, loop.converted):
        await step(stage, turn)
    first = potential_pb2.EvaluatePotentialsRequest(request_id=ids.new_id(), account_ids=[turn.account_id])
    await stage.ask(potential_pb2_grpc.PotentialServiceStub, "EvaluatePotentials", first, OPERATIONS)
    # The first notice waits until integrations has heard of the account; the second finds everybody at home.
    await _judged(stage, turn, await _published(stage, turn, "一"), loop.PATIENCE_SECONDS)
    began = time.monotonic()
    second = await _published(stage, turn, "二")
    after = await _judged(stage, turn, second, JUDGED_SECONDS)
    seconds = time.monotonic() - began
    say(f"from the notice's import to the customer's new judgement: {seconds:.2f} s")
    assert seconds < JUDGED_SECONDS
    assert after.cause == "event:NoticeMatched"
    assert after.account_id == turn.account_id
    assert len(after.tender_matches) == 2


async def _published(stage: Stage, turn: loop.Turn, number: str) -> str:
    """A tender of the customer's, brought in by a program; its id at the source."""
    name = ids.new_id()
    notice = notices_pb2.Notice(
        kind=notices_pb2.NOTICE_KIND_TENDER,
        title=f"{turn.company}智慧实训平台第{number}批采购公开招标公告",
        buyer=turn.company,
        publish_date=loop.day(),
        provenance=Provenance(source="e2e", source_id=name),
    )
    brought = notices_pb2.BulkImportNoticesRequest(request_id=ids.new_id(), rows=[notice])
    summary = await stage.ask(notices_pb2_grpc.NoticeServiceStub, "BulkImportNotices", brought, PROGRAM)
    assert summary.created == 1, summary
    return name


async def _judged(stage: Stage, turn: loop.Turn, source_id: str, seconds: float) -> potential_pb2.Potential:
    """The customer's potential, once it was evaluated on account of that notice."""
    potentials, notices = potential_pb2_grpc.PotentialServiceStub, notices_pb2_grpc.NoticeServiceStub

    async def anew() -> potential_pb2.Potential | None:
        asked = potential_pb2.GetPotentialRequest(account_id=turn.account_id)
        found: potential_pb2.Potential = await stage.ask(potentials, "GetPotential", asked, OPERATIONS)
        listed = notices_pb2.ListMatchesRequest(account_id=turn.account_id)
        matches = (await stage.ask(notices, "ListMatches", listed, OPERATIONS)).matches
        mine = {match.notice_id for match in matches if match.notice.provenance.source_id == source_id}
        return found if mine & {tender.notice_id for tender in found.tender_matches} else None

    return await stage.until(f"{turn.company} to be judged anew", anew, seconds)
