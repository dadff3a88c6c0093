"""The work list at a million past and fifty thousand open requests, against an empty database on the same processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from closedloop_proofs.bench import approvals
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import Pressure
from closedloop_proofs.bench.samples import ratios

NAME = "work list of a full database, p99"
# Turns under a second are only to see that it runs.
SMALL = approvals.Size(past=20_000, open=2_000, people=1_000, signers=200)


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    if not only(NAME):
        return []
    size = SMALL if pressure.seconds <= 1 else approvals.Size()
    ground.say(f"the work list among {size.past:,} past and {size.open:,} open requests")
    people = [f"p{number}" for number in range(1, size.signers + 1)]
    with ExitStack() as held:
        empty, full = (held.enter_context(approvals.standing(size)) for _ in range(2))
        approvals.fill(full.url, size)
        pairs = [(approvals.listen(empty, people), approvals.listen(full, people)) for _ in range(rounds)]
    ratio = ratios([theirs.p99 for _, theirs in pairs], [none.p99 for none, _ in pairs])
    return [
        Figure(
            name=NAME,
            value=median(theirs.p99 for _, theirs in pairs),
            unit="ms",
            against="an empty one",
            limit=median(none.p99 for none, _ in pairs),
            ratio=ratio.median,
            wanted=Wanted("<=", approvals.WANTED_RATIO),
            median=median(theirs.p50 for _, theirs in pairs),
            p99=median(theirs.p99 for _, theirs in pairs),
            spread=ratio.spread,
            note=f"{size.past:,} past, {size.open:,} open, {size.signers:,} people; one caller, one list after the other",
        )
    ]
