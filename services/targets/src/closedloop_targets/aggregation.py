"""How values of a metric come together, of the ledger, of targets and of children: the one place that says it.

Sums add up. A mean comes together by weights (what each value rests on: days, heads, visits), a last value is the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from closedloop_chassis.work import Work
from closedloop_targets.metrics.rules import Aggregation, Metric, MetricRules

# Rows of the ledger that count towards a mean: what was taken back and what took it back are no values.
LIVE = "{row}.reverses_id IS NULL AND {row}.reversed_by_id IS NULL"


# What took no time at all is twice as good as was asked: infinitely good says nothing to anybody.
AT_ONCE = 2.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How one metric's values come together, and which of two is better."""

    aggregation: Aggregation = "sum"
    lower_is_better: bool = False

    @property
    def adds_up(self) -> bool:
        return self.aggregation == "sum"

    def attained(self, done: int | None, asked: int | None) -> float | None:
        """Done over asked, or asked over done where less is better; None where either is not known or asks for nothing."""
        if done is None or not asked:
            return None
        if self.lower_is_better:
            return asked / done if done > 0 else AT_ONCE
        return done / asked

    def short(self, done: int, asked: int) -> int:
        """What is lacking of what was asked; negative where it is better than that."""
        return done - asked if self.lower_is_better else asked - done

    def together(self, values: Sequence[tuple[int, Fraction | None]]) -> int:
        """Of (value, weight): their sum, or their mean by weights; without all weights nobody knows the mean, and the
        loosest of them stands for it. Not of nothing."""
        if self.adds_up:
            return sum(value for value, _ in values)
        weights = [weight for _, weight in values if weight is not None]
        if len(weights) < len(values) or not sum(weights):
            return max(value for value, _ in values) if self.lower_is_better else min(value for value, _ in values)
        mean = sum(Fraction(value) * weight for (value, _), weight in zip(values, weights, strict=True)) / sum(weights)
        # As PostgreSQL rounds.
        return floor(mean + Fraction(1, 2))

    def missing(self, whole: int, passed: int) -> int:
        """What children lack of what their parent has: of sums the difference either way, of others how much looser they
        are, 0 where they are not."""
        return whole - passed if self.adds_up or self.short(passed, whole) > 0 else 0


SUM = Manner()


def manner(metric: Metric | None) -> Manner:
    """Of a metric that is no more in the catalogue: its values add up."""
    return Manner(metric.aggregation, metric.lower_is_better) if metric else SUM


def of(work: Work, code: str) -> Manner:
    return manner(work.rules(MetricRules).find(code))


def manners(work: Work) -> dict[str, list[str]]:
    """Parameters of SQL that is made of `values`, `asked` and `passed` below: metrics by how they come together."""
    catalogue: Iterable[Metric] = work.rules(MetricRules).metrics
    named: dict[Aggregation, list[str]] = {"mean": [], "last": [], "sum": []}
    for metric in catalogue:
        named[metric.aggregation].append(metric.code)
    lower = [metric.code for metric in catalogue if metric.lower_is_better]
    return {"means": named["mean"], "lasts": named["last"], "apart": named["mean"] + named["last"], "lower": lower}


def value(aggregation: Aggregation, row: str, live: str = LIVE) -> str:
    """The SQL value of some rows of the ledger of one metric, NULL of none. Sums read nothing that their index lacks; of
    others only rows count that are `live`."""
    live = live.format(row=row)
    return {
        "sum": f"sum({row}.base_minor)::bigint",
        "mean": f"(round(sum({row}.base_minor * {row}.weight) FILTER (WHERE {live})"
        f" / nullif(sum({row}.weight) FILTER (WHERE {live}), 0)))::bigint",
        "last": f"(array_agg({row}.base_minor ORDER BY {row}.date DESC, {row}.id DESC) FILTER (WHERE {live}))[1]",
    }[aggregation]


def values(metric: str, row: str, live: str = LIVE) -> str:
    """The same of rows of several metrics, grouped by `metric`, with the parameters `manners`."""
    return f"""CASE WHEN {metric} = ANY(%(means)s::text[]) THEN {value("mean", row, live)}
            WHEN {metric} = ANY(%(lasts)s::text[]) THEN {value("last", row, live)} ELSE {value("sum", row, live)} END"""


def asked(metric: str, minor: str, days: str, end: str) -> str:
    """The SQL value of what several targets, or cells of them, ask for together: the sum, the mean by their days, the
    last. With the parameters `manners`."""
    return f"""(CASE WHEN {metric} = ANY(%(means)s::text[]) THEN round(sum({minor} * ({days})) / nullif(sum({days}), 0))
            WHEN {metric} = ANY(%(lasts)s::text[]) THEN (array_agg({minor} ORDER BY {end} DESC))[1]
            ELSE sum({minor}) END)::bigint"""


def passed(minor: str, child: str = "child") -> str:
    """The SQL twin of `together` over the children of one target, with the parameters `manners`."""
    return f"""(CASE WHEN max({child}.metric) <> ALL(%(apart)s::text[]) THEN sum({child}.{minor})
            WHEN bool_and({child}.weight IS NOT NULL) AND sum({child}.weight) > 0
            THEN round(sum({child}.{minor} * {child}.weight) / sum({child}.weight))
            WHEN max({child}.metric) = ANY(%(lower)s::text[]) THEN max({child}.{minor}) ELSE min({child}.{minor}) END)::bigint"""


def missing(whole: str, minor: str, metric: str) -> str:
    """The SQL twin of `Manner.missing` over the children of one target, with the parameters `manners`."""
    together = passed(minor)
    return f"""(CASE WHEN {metric} <> ALL(%(apart)s::text[]) THEN {whole} - {together}
            WHEN {metric} = ANY(%(lower)s::text[]) THEN least({whole} - {together}, 0)
            ELSE greatest({whole} - {together}, 0) END)"""
