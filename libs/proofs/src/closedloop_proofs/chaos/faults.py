"""Faults, each done and undone. What cannot be done here is reported, not passed over."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from closedloop_devstack import faketime
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform.process import ServiceProcess
from closedloop_devstack.processes.identity import Identity, send, tree
from closedloop_proofs.chaos import disk, unruly
from closedloop_proofs.chaos.ground import Ground
from closedloop_proofs.chaos.plan import SERVICES, Fault

LEAVE_SECONDS = 20.0
# A skewed clock counts from when its process serves.
WELL_SECONDS = 30.0
NO_SMALL_DISK = "PostgreSQL's disk is not a small one of its own: that needs root"


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it was: when it began and was undone, in seconds of the load, and what there is to say."""

    fault: Fault
    began: float
    ended: float
    said: str = ""
    cannot: str = ""

    @property
    def document(self) -> dict[str, Any]:
        return {**asdict(self.fault), "began": round(self.began, 2), "ended": round(self.ended, 2), "said": self.said,
                **({"not_done": self.cannot} if self.cannot else {})}  # fmt: skip


class _Cannot(Exception):
    """This machine lacks what the fault needs."""


class Faults:
    """Carries a plan out on the ground. Faults overlap; two on the same target take turns."""

    def __init__(self, ground: Ground, seed: int, say: Callable[[str], None]) -> None:
        self._ground = ground
        self._seed = seed
        self._say = say
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._frozen: list[list[Identity]] = []
        self.done: list[Done] = []

    async def carry_out(self, plan: Iterable[Fault]) -> None:
        """Returns when the last one is undone."""
        began = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        for fault in plan:
            await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
            tasks.append(asyncio.create_task(self._one(fault, began)))
        await asyncio.gather(*tasks)

    async def bring_back(self) -> None:
        """Everything as it was, whatever happened meanwhile."""
        ground = self._ground
        for family in self._frozen:
            send(family, signal.SIGCONT)
        await asyncio.to_thread(ground.wire.calm)
        if ground.disk_is_small:
            disk.empty(ground.servers["postgres"].folder)
        for server in ground.servers.values():
            await asyncio.to_thread(server.start)
        for process in ground.platform.processes.values():
            process.extra.clear()
            await asyncio.to_thread(process.start)
        await asyncio.to_thread(ground.platform.wait_healthy, seconds=180)

    async def _one(self, fault: Fault, began: float) -> None:
        act: Callable[[Fault], Awaitable[str | None]] = getattr(self, f"_{fault.kind}")
        async with self._turns[fault.whom]:
            at, said, cannot = time.monotonic() - began, "", ""
            try:
                said = await act(fault) or ""
            except _Cannot as lack:
                cannot = str(lack)
            except Exception as error:
                # A fault that itself falls victim to another: the broker died while we stood in between.
                said = f"{type(error).__name__}: {error}"
            self.done.append(Done(fault, at, time.monotonic() - began, said, cannot))
        self._say(f"{fault}{f' — {said}' if said else ''}{f' — NOT DONE: {cannot}' if cannot else ''}")

    # Processes.

    def _process(self, fault: Fault) -> ServiceProcess:
        return self._ground.platform.processes[fault.whom]

    async def _kill(self, fault: Fault) -> str | None:
        process = self._process(fault)
        if process.pid is None:
            return "was down already"
        await asyncio.to_thread(process.kill)
        return None

    async def _restart(self, fault: Fault) -> str:
        process = self._process(fault)
        began = time.monotonic()
        code = await asyncio.to_thread(process.stop, LEAVE_SECONDS)
        spent = time.monotonic() - began
        await asyncio.to_thread(process.start)
        return f"left with {code} after {spent:.1f} s"

    async def _freeze(self, fault: Fault) -> str | None:
        server = self._ground.servers.get(fault.whom)
        pid = server.pid if server else self._process(fault).pid
        if pid is None:
            return "was down already"
        family = tree(pid)
        self._frozen.append(family)
        send(family, signal.SIGSTOP)
        await asyncio.sleep(fault.lasts)
        send(family, signal.SIGCONT)
        self._frozen.remove(family)
        return None

    async def _clock_skewed(self, fault: Fault) -> str:
        library = faketime.library()
        if library is None:
            raise _Cannot(faketime.LACKING)
        process = self._process(fault)
        await asyncio.to_thread(process.stop, LEAVE_SECONDS)
        process.extra = faketime.skewed(fault.dose, library)
        await asyncio.to_thread(process.start)
        well = await self._well(process)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(process.stop, LEAVE_SECONDS)
        process.extra = {}
        await asyncio.to_thread(process.start)
        return f"served {fault.lasts:.1f} s with it" if well else "did not become healthy with it"

    async def _well(self, process: ServiceProcess) -> bool:
        try:
            await asyncio.to_thread(self._ground.platform.wait_healthy, process.name, seconds=WELL_SECONDS)
        except PlatformError:
            return False
        return True

    # Servers.

    async def _server_stopped(self, fault: Fault) -> None:
        server = self._ground.servers[fault.whom]
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(server.start)

    async def _server_killed(self, fault: Fault) -> None:
        server = self._ground.servers[fault.whom]
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(server.start)

    async def _disk_filled(self, fault: Fault) -> str:
        return await self._fill(fault, log_too=False)

    async def _log_disk_filled(self, fault: Fault) -> str:
        return await self._fill(fault, log_too=True)

    async def _fill(self, fault: Fault, *, log_too: bool) -> str:
        if not self._ground.disk_is_small:
            raise _Cannot(NO_SMALL_DISK)
        server = self._ground.servers[fault.whom]
        taken = await asyncio.to_thread(disk.fill, server.folder)
        if log_too:
            await asyncio.to_thread(disk.exhaust_log, server.url)
        await asyncio.sleep(fault.lasts)
        alive = server.alive
        await asyncio.to_thread(disk.empty, server.folder)
        try:
            await asyncio.to_thread(server.start)
        except PlatformError:
            # It was about to end, of what it had met before there was room again.
            await asyncio.to_thread(server.start)
        return f"{taken} MB taken; PostgreSQL {'lived on' if alive else 'died of it'}"

    # Messages.

    async def _events_unruly(self, fault: Fault) -> str:
        return await self._between(fault, late=fault.dose)

    async def _events_lost(self, fault: Fault) -> str:
        return await self._between(fault, late=0.0)

    async def _between(self, fault: Fault, late: float) -> str:
        draw = random.Random(f"{self._seed}/{fault.at}")
        url = self._ground.broker_url
        # Nobody stands between at a broker that is down; one that comes back takes its time on a slow machine.
        async with self._turns[self._ground.broker]:
            pass
        tally = await asyncio.to_thread(unruly.stand_between, url, fault.whom, fault.lasts, late, draw)
        return str(tally)

    async def _broker_emptied(self, fault: Fault) -> str:
        queues = [f"{service}.{queue}" for service in SERVICES for queue in ("inbox", "receipts")]
        held = await asyncio.to_thread(unruly.empty, self._ground.broker_url, queues)
        return f"{held} messages gone"

    # Connections.

    async def _cut_mid_call(self, fault: Fault) -> str:
        wire = self._ground.wire
        before = wire.cuts.get(fault.whom, 0)
        await asyncio.to_thread(wire.order, fault.whom, "cut", share=fault.dose)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(wire.order, fault.whom, "calm")
        return f"{wire.cuts[fault.whom] - before} cut"

    async def _link_silent(self, fault: Fault) -> str:
        wire = self._ground.wire
        connections = await asyncio.to_thread(wire.order, fault.whom, "silence")
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(wire.order, fault.whom, "calm")
        return f"{connections} connections"

    async def _link_slow(self, fault: Fault) -> str:
        wire = self._ground.wire
        connections = await asyncio.to_thread(wire.order, fault.whom, "slow", seconds=fault.dose)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(wire.order, fault.whom, "calm")
        return f"{connections} connections"
