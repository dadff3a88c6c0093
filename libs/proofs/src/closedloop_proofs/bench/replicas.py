"""Two api replicas against one, half of the callers on each as round_robin leaves them; and what was the limit.

Everything may run on every core here: with two replicas there is no core to keep for the server. What a call costs each
of those who take part is told, because it says what two replicas could reach at all: cores / (all CPU of a call).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median

import psutil

from closedloop_chassis import ids
from closedloop_devstack.ports import LOOPBACK
from closedloop_proofs.bench import funnel
from closedloop_proofs.bench.figures import Figure, Wanted, throughput
from closedloop_proofs.bench.ground import Api, Ground, contract_of
from closedloop_proofs.bench.load import Pressure, cpu, k6, watched
from closedloop_proofs.bench.samples import Sample
from closedloop_proofs.bench.turns import in_turns
from closedloop_proofs.bench.write import Write

NAME = "two replicas"


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    if not only(NAME):
        return []
    cores = sorted(os.sched_getaffinity(0))
    free = replace(pressure, cores=())
    postgres = ground.postgres.pid
    assert postgres is not None
    with funnel.logging(ground, pressure, rounds) as (first, write):
        base, url = ground.layout.base, _url(first)
        second_address = {
            "CLOSEDLOOP_GRPC_ADDRESS": f"{LOOPBACK}:{base + 97}",
            "CLOSEDLOOP_METRICS_ADDRESS": f"{LOOPBACK}:{base + 98}",
        }
        with ground.api("funnel", url, **second_address) as second:
            for pid in (postgres, first.pid, second.pid):
                for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                    ground.pin(each.pid, cores)
            ground.say("LogActivity by two replicas against one")
            costs: dict[int, list[dict[str, float]]] = {1: [], 2: []}

            def by(apis: Sequence[Api]) -> Callable[[], Sample]:
                return lambda: _turn(ground, apis, write, free, postgres, costs[len(apis)])

            ours, theirs = in_turns(by([first, second]), by([first]), rounds)
    both = _middle(costs[2][1:])
    per_call = both["api_us"] + both["postgresql_us"] + both["generator_us"]
    most, used = len(cores) * 1e6 / per_call, both["cores"]
    one = throughput("one replica", theirs, "", theirs, None).value
    # One PostgreSQL is many processes; what holds it is its share of the cores, as it is for the others.
    limit = "the machine's cores" if both["busy_cores"] > 0.9 * len(cores) else "none of the cores"
    figure = throughput(f"LogActivity by {NAME}", ours, "one replica", theirs, Wanted(">=", 1.7))
    note = (
        f"a call costs {both['api_us']:.0f} us of the api, {both['postgresql_us']:.0f} of PostgreSQL and "
        f"{both['generator_us']:.0f} of k6, so {len(cores)} cores answer {most:.0f}/s at most, {most / one:.2f} x one "
        f"replica; {used:.2f} cores worked for it and {both['busy_cores']:.2f} in all: the limit is {limit}"
    )
    return [replace(figure, note=note, more={**figure.more, "one": _middle(costs[1][1:]), "two": both})]


def _turn(
    ground: Ground, apis: Sequence[Api], write: Write, pressure: Pressure, postgres: int, costs: list[dict[str, float]]
) -> Sample:
    service, _, name = write.method.rpartition(".")
    told = {
        **write.told(next(write.turns)),
        "contract": str(contract_of(write.method, ground.folder)),
        "addresses": [api.address for api in apis],
        "method": f"{service}/{name}",
        "tokens": list(write.tokens),
        "run": ids.new_id()[-12:],
        "start_time": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    }
    pids = [api.pid for api in apis]
    before, ended, busy, began = cpu([postgres]), _of_children(), _of_machine(), time.monotonic()
    sample = watched(pids, lambda: k6(write.script, pressure, ground.folder, told))
    took = time.monotonic() - began
    stored, driven = cpu([postgres]) - before, _of_children() - ended
    served, calls = sample.cpu_us * sample.calls / 1e6, max(sample.calls, 1)
    costs.append(
        {
            "api_us": sample.cpu_us,
            "postgresql_us": stored / calls * 1e6,
            "generator_us": driven / calls * 1e6,
            "busy_cores": (_of_machine() - busy) / took,
            "cores": (served + stored + driven) / min(took, sample.seconds),
        }
    )
    return sample


def _of_children() -> float:
    """CPU of the generators that have ended, in seconds."""
    times = os.times()
    return times.children_user + times.children_system


def _of_machine() -> float:
    """CPU of everything that runs, in seconds."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _middle(costs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(one[name] for one in costs), 3) for name in costs[0]}


def _url(api: Api) -> str:
    return psutil.Process(api.pid).environ()["CLOSEDLOOP_DATABASE_URL"]
