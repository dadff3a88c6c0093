"""What a customer is expected to bring (S76): the mean of its last months, thinned by those who leave, discounted.

With weights w_k = (retention / (1 + discount))^k over the months of the horizon, the expectation is mean * sum(w), and the
variance of what will come, s^2 * (sum(w^2) + sum(w)^2 / n), counts that the mean of n months is itself uncertain.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from math import sqrt

from psycopg.types.json import Jsonb

from closedloop_chassis.currency import coins
from closedloop_integrations.economics.rules import EconomicsRules, LifetimeRules


@dataclass(frozen=True, slots=True)
class Expected:
    """Minor units over the horizon; or the reason why nobody can say."""

    margin: int = 0
    low: int = 0
    high: int = 0
    reason: str = ""


def expect(margins: Mapping[date, int], orders: int, first: date, today: date, rules: LifetimeRules) -> Expected:
    """`margins` by first day of the month; the month that runs is not over and does not count."""
    this = _index(today)
    begin = max(_index(first), this - rules.history_months)
    by_index = {_index(month): amount for month, amount in margins.items()}
    series = [by_index.get(index, 0) for index in range(begin, this)]
    if len(series) < rules.least_months:
        return Expected(reason=f"{len(series)} full months of history, {rules.least_months} needed")
    if orders < rules.least_orders:
        return Expected(reason=f"{orders} orders, {rules.least_orders} needed")
    weights = [(rules.retention / (1 + rules.discount)) ** month for month in range(1, rules.horizon_months + 1)]
    whole = sum(weights)
    middle = statistics.fmean(series) * whole
    spread = statistics.stdev(series) * sqrt(sum(weight**2 for weight in weights) + whole**2 / len(series))
    return Expected(round(middle), round(middle - rules.interval * spread), round(middle + rules.interval * spread))


def rates(months: Iterable[tuple[str, date]], rules: EconomicsRules, home: str) -> Jsonb:
    """What a minor unit of each currency is worth in each month, in minor units of `home`: as on the first of the month.

    Raises FailedPrecondition RATE_MISSING."""
    return Jsonb(
        [
            {
                "currency": currency,
                "month": month.isoformat(),
                "factor": str(rules.worth(currency, month, home) * coins(home) / coins(currency)),
            }
            for currency, month in months
        ]
    )


def _index(day: date) -> int:
    return day.year * 12 + day.month
