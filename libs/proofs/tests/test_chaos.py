"""The plan of `make chaos`: the same for the same seed, every kind of fault in it."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest

from closedloop_proofs.chaos import plan
from closedloop_proofs.chaos.faults import Faults
from closedloop_proofs.chaos.plan import Broker

SECONDS = 24.0


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
