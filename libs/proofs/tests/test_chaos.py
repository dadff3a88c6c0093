"""The short form of `make chaos`: every kind of fault once, over the broker in between."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import get_args

import pytest

from closedloop_devstack.testing.notices import lack
from closedloop_devstack.testing.servers import require_rabbitmq
from closedloop_proofs.chaos import plan
from closedloop_proofs.chaos.faults import Faults
from closedloop_proofs.chaos.plan import Broker
from closedloop_proofs.chaos.run import Chosen, lines, run

SECONDS = 24.0
USUAL_SEED = 28


# The run is patient with a slow machine while something moves; this is for one in which nothing does.
@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_whatever_fails(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    require_rabbitmq(pytestconfig)
    seed = int(os.environ.get("CLOSEDLOOP_CHAOS_SEED", USUAL_SEED))
    document = run(Chosen(seed, SECONDS, "rabbitmq", tmp_path / "chaos.json"), _say)
    for line in lines(document):
        _say(line)
    assert document["ok"], "\n".join(lines(document))
    assert document["acknowledged"] > 150
    assert document["figures"]["turns"] > 0
    assert document["figures"]["clocks"] > 10
    for missing in document["not_done"]:
        lack(pytestconfig, missing)


@pytest.mark.parametrize("broker", get_args(Broker))
def test_a_seed_repeats_its_plan_and_every_kind_comes(broker: Broker) -> None:
    made = plan.make(7, 600, broker)
    assert made == plan.make(7, 600, broker)
    assert made != plan.make(8, 600, broker)
    assert {fault.kind for fault in made} == {kind.name for kind in plan.kinds(broker)}
    assert all(fault.at + fault.lasts <= 600 for fault in made)
    assert sorted(made, key=lambda fault: fault.at) == made


@pytest.mark.parametrize("broker", get_args(Broker))
def test_in_a_short_run_each_kind_comes_once(broker: Broker) -> None:
    wanted = sorted(kind.name for kind in plan.kinds(broker))
    for seed in range(200):
        made = plan.make(seed, SECONDS, broker)
        assert sorted(fault.kind for fault in made) == wanted, seed
        assert all(fault.at + fault.lasts <= SECONDS for fault in made)


@pytest.mark.parametrize("broker", get_args(Broker))
def test_every_fault_of_a_plan_is_one_that_can_be_done(broker: Broker) -> None:
    assert all(asyncio.iscoroutinefunction(getattr(Faults, f"_{kind.name}")) for kind in plan.kinds(broker))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
