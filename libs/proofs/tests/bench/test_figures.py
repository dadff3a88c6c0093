"""Statistics, verdicts and the file: what decides whether a figure is good is itself held to cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from closedloop_proofs.bench.__main__ import wanted
from closedloop_proofs.bench.figures import Figure, Wanted, tail, throughput, write
from closedloop_proofs.bench.samples import Sample, percentile, ratios, summary
from closedloop_proofs.bench.turns import in_turns


def sample(rate: float, p99: float = 10.0) -> Sample:
    return Sample(calls=int(rate * 2), seconds=2.0, median_ms=p99 / 2, p99_ms=p99)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 100)
    assert percentile([7.0], 0.99) == 7
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_the_spread_tells_how_far_turns_lie_apart() -> None:
    found = summary([80.0, 100.0, 130.0])
    assert (found.median, found.least, found.greatest, found.spread) == (100, 80, 130, 0.5)


def test_a_machine_that_slows_down_slows_both_of_a_pair() -> None:
    # The second half runs at a quarter of the speed; the ratio does not see it.
    ours, theirs = [500.0, 520.0, 130.0, 125.0], [1000.0, 1040.0, 260.0, 250.0]
    found = ratios(ours, theirs)
    assert (found.median, found.spread) == (0.5, 0)


@pytest.mark.parametrize(
    ("wish", "value", "ratio", "holds"),
    [
        (Wanted(">=", 0.5), 10, 0.5, True),
        (Wanted(">=", 0.5), 10, 0.49, False),
        (Wanted("<=", 2.5), 10, 2.6, False),
        (Wanted("<", 200, "value"), 199, None, True),
        (Wanted("<", 200, "value"), 200, None, False),
        # What was not measured is not good.
        (Wanted(">=", 0.5), 10, None, False),
    ],
)
def test_a_promise_holds_or_does_not(wish: Wanted, value: float, ratio: float | None, holds: bool) -> None:
    assert wish.holds(value, ratio) is holds


def test_throughput_and_tail_are_held_against_the_limit_of_the_same_turn() -> None:
    ours, theirs = [sample(600, 20), sample(300, 44)], [sample(1000, 10), sample(500, 20)]
    rate = throughput("LogActivity", ours, "bare INSERT", theirs, Wanted(">=", 0.5))
    assert (rate.value, rate.limit, rate.ratio, rate.ok) == (450, 750, 0.6, True)
    late = tail("LogActivity, p99", ours, "bare INSERT", theirs, Wanted("<=", 2.05))
    assert (late.ratio, late.ok) == (2.1, False)


def test_turns_alternate_and_the_first_of_each_is_not_counted() -> None:
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return sample(len(order))

    ours, theirs = in_turns(lambda: side("a"), lambda: side("b"), rounds=3)
    assert "".join(order) == "ba" + "ab" + "ba" + "ab"
    assert (len(ours), len(theirs)) == (3, 3)


def test_the_file_says_what_is_good_and_what_is_not(tmp_path: Path) -> None:
    good = Figure("a", 1.0, "calls/s", "x", 0.7, Wanted(">=", 0.5))
    bad = Figure("b", 1.0, "calls/s", "x", 0.3, Wanted(">=", 0.5))
    told = Figure("c", 1.0, "ms", "x", None, None)
    write([good, bad, told], tmp_path / "build" / "bench.json", {"machine": {}})
    found = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert [(one["name"], one["ok"]) for one in found["figures"]] == [("a", True), ("b", False), ("c", True)]
    assert {"name", "value", "unit", "against", "ratio", "wanted", "ok", "median", "p99", "spread"} <= set(
        found["figures"][0]
    )
    assert (found["ok"], found["figures"][0]["wanted"]) == (False, ">= 0.5")


def test_one_figure_or_one_group_can_be_asked_for() -> None:
    assert wanted([], "writes", "Decide")
    assert wanted(["writes"], "writes", "Decide")
    assert not wanted(["reads"], "writes", "Decide")
    assert wanted(["decide"], "writes", "Decide")
    assert not wanted(["decide"], "writes", "LogActivity")
