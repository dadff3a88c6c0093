"""The writes everybody waits for, with everything on, against a bare server that writes one row (k6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from closedloop_chassis import ids
from closedloop_proofs.bench import customers, decisions, funnel, limits
from closedloop_proofs.bench.figures import Figure, Wanted, tail, throughput
from closedloop_proofs.bench.ground import Api, Ground, contract_of
from closedloop_proofs.bench.load import Pressure, k6, watched
from closedloop_proofs.bench.samples import Sample
from closedloop_proofs.bench.turns import in_turns
from closedloop_proofs.bench.write import Write

WRITES = {"LogActivity": funnel.logging, "IntakeLead": customers.intake, "Decide": decisions.deciding}
HALF, TAIL = Wanted(">=", 0.5), Wanted("<=", 2.5)


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    figures: list[Figure] = []
    for name, prepare in WRITES.items():
        if only(name):
            with prepare(ground, pressure, rounds) as (api, write):
                figures += against_insert(ground, api, write, pressure, rounds)
    return figures


def against_insert(ground: Ground, api: Api, write: Write, pressure: Pressure, rounds: int) -> list[Figure]:
    """The bare server writes into a database of its own, on the same PostgreSQL."""
    ground.say(f"{write.name} against a bare INSERT")
    bare = limits.database(ground.postgres.url)
    with ground.limit(bare) as limit:
        ours, theirs = in_turns(
            partial(drive, ground, api, write, write.method, pressure),
            partial(drive, ground, limit, write, f"{limits.SERVICE}.Insert", pressure),
            rounds,
        )
    return [
        throughput(write.name, ours, "bare INSERT", theirs, HALF),
        tail(f"{write.name}, p99", ours, "bare INSERT", theirs, TAIL),
    ]


def drive(ground: Ground, api: Api, write: Write, method: str, pressure: Pressure) -> Sample:
    """One turn; every request has an id of its own, whatever turn it is."""
    service, _, name = method.rpartition(".")
    told = {
        **write.told(next(write.turns) if method == write.method else 0),
        "contract": str(contract_of(write.method, ground.folder)),
        "addresses": [api.address],
        "method": f"{service}/{name}",
        "tokens": list(write.tokens),
        "run": ids.new_id()[-12:],
        "start_time": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    }
    return watched([api.pid], lambda: k6(write.script, pressure, ground.folder, told))
