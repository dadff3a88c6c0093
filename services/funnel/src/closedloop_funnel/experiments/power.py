"""What a test could find, before it begins: of two independent means, by Student's t (two-sided; Cohen 1988)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from closedloop_funnel import student

# In deviations: below, no company has units enough; above, two tell it from nothing. Nothing beyond is worked out.
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
    effect = min(max(abs(least_effect) / deviation, SMALLEST), LARGEST)
    one, other = len(values) // 2, len(values) - len(values) // 2
    found = student.detectable(one, other, power, error)
    return Plan(
        deviation,
        student.fewest(lambda each: student.power(effect, each, each, error), power, effect, error, least=2),
        student.power(effect, one, other, error),
        found * deviation if found is not None else None,
    )
