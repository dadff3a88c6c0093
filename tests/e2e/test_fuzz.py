"""Each attack of `make fuzz` for a moment, on the platform over Redis: nothing comes through, and nothing breaks.

`CLOSEDLOOP_FUZZ_SEED` draws other requests; the usual seed keeps a run repeatable.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence

import grpc.aio
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest

from closedloop_chassis import client
from closedloop_proofs.fuzz import logs
from closedloop_proofs.fuzz.attacks import (
    aftermath,
    authority,
    calls,
    exhaustion,
    injection,
    reach,
    tokens,
    webhooks,
)
from closedloop_proofs.fuzz.ground import ROLES, Finding, Ground
from closedloop_proofs.fuzz.harvest import harvest
from closedloop_proofs.fuzz.requests import hostile
from closedloop_proofs.fuzz.secrets import seed_persons
from closedloop_proofs.loop import Stage, say

from .conftest import WEBHOOK_SECRET, Standing

pytestmark = pytest.mark.timeout(240)
PLAUSIBLE_SECONDS = 5.0
STREAMS = 1500
RECORDS_EACH = 1


@pytest.fixture(scope="module")
def lived(standing: Callable[[str], Standing]) -> dict[str, int]:
    """Other tests have given this platform poison before, and its logs say so."""
    return logs.lengths(standing("redis").platform.home.logs)


@pytest_asyncio.fixture
async def ground(lived: dict[str, int], over_redis: Stage) -> AsyncIterator[Ground]:
    seed = int(os.environ.get("CLOSEDLOOP_FUZZ_SEED", "20260105"))
    say(f"fuzz of seed {seed}")
    async with Ground(over_redis.platform, seed, lived=lived) as ground:
        await harvest(ground)
        yield ground
        say(dict(ground.codes), ground.measured)


def nothing(found: Sequence[Finding]) -> None:
    assert not found, f"{len(found)} findings\n" + "\n".join(str(finding) for finding in found[:60])


async def test_who_has_no_grant_is_not_let_in(ground: Ground) -> None:
    nothing(await authority.attack(ground))


async def test_nobody_reaches_what_is_not_theirs(ground: Ground) -> None:
    nothing(await reach.attack(ground, RECORDS_EACH))
    # A quiet attack may be one that never got as far.
    assert sum(ground.reached.values()) > 0.7 * len(ground.reached)


async def test_nobodys_tokens(ground: Ground) -> None:
    nothing(await tokens.attack(ground))


async def test_injections(ground: Ground) -> None:
    nothing(await injection.attack(ground))


async def test_webhooks(ground: Ground) -> None:
    nothing(await webhooks.attack(ground, WEBHOOK_SECRET))


async def test_broken_requests(ground: Ground) -> None:
    nothing(await calls.empty(ground) + await calls.broken_rules(ground) + await calls.broken_bytes(ground, 1))


async def test_well_formed_requests(ground: Ground) -> None:
    """They pass the declared rules, so that the slices themselves must know what to say."""
    until = time.monotonic() + PLAUSIBLE_SECONDS
    for number in range(100):
        nothing(await calls.well_formed(ground, number, until))
    # Not all of them may have stopped at the door.
    assert sum(ground.codes[code] for code in ("OK", "NOT_FOUND", "FAILED_PRECONDITION")) > 50


async def test_callers_who_want_all_of_it(ground: Ground) -> None:
    nothing(await exhaustion.attack(ground, STREAMS))


async def test_violations_name_their_fields(ground: Ground) -> None:
    """BadRequest names each wrong field by its path."""
    [intake] = [target for target in ground.targets if target.method.full_name.endswith(".LeadService.IntakeLead")]
    payload = next(iter(hostile(intake.method.request)))[1].SerializeToString()
    bearer = (("authorization", f"Bearer {ground.token('OPS-1', *ROLES)}"),)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ground.channel(intake.service).unary_unary(intake.method.path)(payload, metadata=bearer)
    assert "profile.company_name" in client.violations(refused.value)
    assert BadRequest.DESCRIPTOR.full_name in {any_.TypeName() for any_ in client.status(refused.value).details}


async def test_nothing_is_left_behind(ground: Ground) -> None:
    """No event that cannot be applied, no traceback, and no secret or person in any log of the whole run."""
    await seed_persons(ground)
    nothing(await aftermath.parked(ground))
    nothing(await asyncio.to_thread(aftermath.in_logs, ground))
