"""What a test could find, before it begins: of two independent means, by statsmodels (t-test, two-sided; Cohen 1988)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from statistics import stdev

# In deviations: below, no company has units enough; above, two tell it from nothing. The solver is asked for nothing beyond.
SMALLEST, LARGEST = 1e-6, 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`needed`: units per arm for the power wanted; `power`: with the units there are; `detectable`: the least effect that
    these would find at the power wanted, in the metric's unit. None: it cannot be said."""

    deviation: float
    needed: int
    power: float
    detectable: float | None


def plan(values: Sequence[float], least_effect: float, power: float, error: float) -> Plan | None:
    """By how much the units differed before, in as long a time; None where they did not differ at all or are fewer than
    four. Half of the units go into each arm."""
    deviation = stdev(values) if len(values) >= 4 else 0.0
    if not deviation:
        return None
    from statsmodels.stats.power import TTestIndPower

    test, effect = TTestIndPower(), min(max(abs(least_effect) / deviation, SMALLEST), LARGEST)
    one, other = len(values) // 2, len(values) - len(values) // 2
    known = {"nobs1": one, "alpha": error, "ratio": other / one}
    return Plan(
        deviation,
        _needed(test.solve_power, effect, power, error),
        float(test.power(effect, one, error, ratio=other / one)),
        (found * deviation if (found := _solved(test.solve_power, power=power, **known)) is not None else None),
    )


def _needed(solve: object, effect: float, power: float, error: float) -> int:
    """Two units tell an effect so large that the solver finds nothing below."""
    found = _solved(solve, effect_size=effect, power=power, alpha=error)
    return 2 if found is None else max(ceil(found), 2)


def _solved(solve: object, **known: float) -> float | None:
    assert callable(solve)
    with warnings.catch_warnings():
        # What the solver does not find it says by a warning as well.
        warnings.simplefilter("ignore")
        found = float(solve(**known))
    return found if isfinite(found) and found > 0 else None
