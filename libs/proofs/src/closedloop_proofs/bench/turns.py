"""Two sides measured in turns, A B A B, so that a machine that slows down slows both."""

from __future__ import annotations

from collections.abc import Callable

from closedloop_proofs.bench.samples import Sample

Side = Callable[[], Sample]


def in_turns(ours: Side, theirs: Side, rounds: int) -> tuple[list[Sample], list[Sample]]:
    """One turn of each is not counted. Who begins changes from pair to pair."""
    theirs()
    ours()
    measured: tuple[list[Sample], list[Sample]] = ([], [])
    for number in range(rounds):
        first, second = (0, 1) if number % 2 == 0 else (1, 0)
        measured[first].append((ours, theirs)[first]())
        measured[second].append((ours, theirs)[second]())
    return measured
