"""What a test could find, before it begins: of two independent means, by statsmodels (t-test, two-sided; Cohen 1988)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from statistics import stdev
from typing import Any

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
        _needed(test, effect, power, error),
        _power(test.power(effect, one, error, ratio=other / one)),
        (found * deviation if (found := _solved(test, power=power, **known)) is not None else None),
    )


def _power(found: float) -> float:
    """Where the distribution cannot be computed any more, the effect is far beyond being missed."""
    return float(found) if isfinite(found) else 1.0


def _needed(test: Any, effect: float, power: float, error: float) -> int:
    """Where the solver finds nothing, by the normal approximation."""
    if _power(test.power(effect, 2, error)) >= power:
        return 2
    found = _solved(test, effect_size=effect, power=power, alpha=error)
    if found is None:
        from statsmodels.stats.power import normal_sample_size_one_tail

        found = 2 * float(normal_sample_size_one_tail(effect, power, error / 2))
    return max(ceil(found), 2)


def _solved(test: Any, **known: float) -> float | None:
    import numpy
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            # A number, or an array of one.
            found = float(numpy.ravel(test.solve_power(**known))[0])
    except (ValueError, RuntimeError):
        return None
    return found if isfinite(found) and found > 0 else None
