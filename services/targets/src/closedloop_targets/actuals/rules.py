"""Facts, and how the ledger is restated when their source says otherwise: by reversal, never by change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets.cascade.apportion import apportion
from closedloop_targets.metrics.rules import Entry, Metric


class ActualRules(Rules):
    """Which metric each event feeds."""

    rulebook: ClassVar[str] = "targets.actuals"

    won: str = "won_value"
    invoiced: str = "invoiced_value"
    conversion: str = "lead_conversion"
    delivery: str = "on_time_delivery"
    resolution: str = "resolution_time"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. Amounts in minor units, or millionths where the currency is empty; `base_*` in the company's currency.

    (source, source_id) names it in its source; `revision` is the version of the record it was read from.
    """

    metric: str
    owner_id: str
    unit_id: str
    product_id: str
    product_line: str
    segment: str
    account_id: str
    subject: str
    date: date
    minor: int
    currency: str
    base_minor: int
    base_currency: str
    weight: Decimal
    stage: str
    reason: str
    source: str
    source_id: str
    brought_by: str
    observed_at: datetime | None
    revision: int


def measurement(
    metric: str,
    minor: int,
    *,
    subject: str,
    day: date,
    source: str,
    revision: int,
    brought_by: str,
    observed_at: datetime,
    owner_id: str = "",
    unit_id: str = "",
    weight: Decimal = Decimal(1),
) -> Fact:
    """What was measured rather than sold: no money (`minor` in millionths), of no product or customer, and one for each
    subject and metric."""
    return Fact(
        metric=metric,
        owner_id=owner_id,
        unit_id=unit_id,
        product_id="",
        product_line="",
        segment="",
        account_id="",
        subject=subject,
        date=day,
        minor=minor,
        currency="",
        base_minor=minor,
        base_currency="",
        weight=weight,
        stage="",
        reason="",
        source=source,
        source_id=f"{subject}:{metric}",
        brought_by=brought_by,
        observed_at=observed_at,
        revision=revision,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A fact in the ledger."""

    id: str
    fact: Fact
    reverses_id: str | None = None
    reversed_by_id: str | None = None
    reversed_at: datetime | None = None
    recorded_at: datetime | None = None


# Who brought a fact in, when and out of which version does not make it another fact; nor does a stage entered since.
ASIDE = frozenset({"brought_by", "observed_at", "revision", "reason", "stage"})
SAME = tuple(field.name for field in fields(Fact) if field.name not in ASIDE)


def same(one: Fact, other: Fact) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in SAME)


def restate(live: Iterable[Row], wanted: Sequence[Fact]) -> tuple[list[Row], list[Fact]]:
    """What to take back and what to write, so that the live facts are the wanted ones."""
    by_source = {(fact.source, fact.source_id): fact for fact in wanted}
    standing: set[tuple[str, str]] = set()
    taken_back: list[Row] = []
    for row in live:
        key = (row.fact.source, row.fact.source_id)
        if key in by_source and same(row.fact, by_source[key]):
            standing.add(key)
        else:
            taken_back.append(row)
    return taken_back, [fact for key, fact in by_source.items() if key not in standing]


def lines(amount: int, weights: Sequence[int]) -> list[int]:
    """An amount over lines in proportion to theirs, exact; all of it on the first where the lines say nothing."""
    if not weights:
        return []
    size = [abs(weight) for weight in weights]
    if sum(weights) == amount:
        return list(weights)
    if not any(size):
        return [amount] + [0] * (len(weights) - 1)
    parts = apportion(abs(amount), size)
    return parts if amount >= 0 else [-part for part in parts]


def check_kind(metric: Metric, currency: str) -> None:
    """Raises InvalidArgument WRONG_KIND_OF_AMOUNT."""
    if (metric.kind == "money") is not bool(currency):
        wanted = "money" if metric.kind == "money" else "a plain number"
        raise errors.InvalidArgument(
            "WRONG_KIND_OF_AMOUNT", f"{metric.code} is measured in {wanted}", {"amount": "kind"}
        )


def check_entry(metric: Metric, entry: Entry) -> None:
    """Raises FailedPrecondition FED_BY_EVENTS."""
    if entry not in metric.entry:
        raise errors.FailedPrecondition(
            "FED_BY_EVENTS", f"{metric.code} is fed by {', '.join(metric.fed_by) or 'events'}, not by {entry}"
        )


def check_date(day: date, today: date) -> None:
    """Raises FailedPrecondition DATE_IN_FUTURE."""
    if day > today:
        raise errors.FailedPrecondition("DATE_IN_FUTURE", f"{day} has not come yet")
