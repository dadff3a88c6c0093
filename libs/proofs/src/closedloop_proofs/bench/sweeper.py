"""One process that fires clocks: `python -m closedloop_proofs.bench.sweeper URL`.

Says "ready"; for every line on its input it sweeps until nothing is due and says how many it fired, when it began and
when it ended (seconds since 1970). Every clock that fires leaves a row, in the transaction that fires it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from pydantic import SecretStr

from closedloop_chassis.clocks.due import Due
from closedloop_chassis.clocks.firing import Firing
from closedloop_chassis.process import Process
from closedloop_chassis.service import Reactions, Service, Slice
from closedloop_chassis.settings import Settings
from closedloop_chassis.work import Work

KIND = "proofs.bench"
RECORD = "INSERT INTO fired (subject) SELECT unnest(%(subjects)s::text[])"


def service() -> Service:
    none = Path(__file__).parent / "none"
    return Service(name="sweeper", package="closedloop.platform.v1", slices=(_slice(),), migrations=none)


def _slice() -> Slice:
    reactions = Reactions()

    @reactions.clock(KIND)
    async def fired(due: Sequence[Due], work: Work) -> None:
        work.tx.do(RECORD, {"subjects": [one.subject for one in due]})

    return Slice("sweeper", reactions=reactions)


async def sweep(url: str) -> None:
    process = Process(service(), Settings(database_url=SecretStr(url), development=False))
    await process.start()
    await process.ready.wait()
    firing = Firing(process, process.slices)
    _say("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        began, count = time.time(), 0
        while fired := await firing.round():
            count += fired
        _say(f"{count} {began} {time.time()}")
    await process.stop()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(sweep(sys.argv[1]))
