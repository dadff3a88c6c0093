"""What a caller says of an actual, as a fact."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from closedloop.targets.v1 import actuals_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call
from closedloop_targets import amounts
from closedloop_targets.actuals import rules
from closedloop_targets.actuals.rules import Fact
from closedloop_targets.actuals.store import Known
from closedloop_targets.book import rates
from closedloop_targets.book.rates import Rates
from closedloop_targets.metrics.rules import Entry, Metric, MetricRules


@dataclass(frozen=True, slots=True)
class Claim:
    """An input that was read and is right as far as memory can tell."""

    given: pb.ActualInput
    metric: Metric
    person_id: str
    unit_id: str
    day: date
    minor: int
    currency: str
    base_minor: int


async def rates_of(call: Call, given: Iterable[pb.ActualInput]) -> Rates:
    """Spot rates of the days on which money of another currency came in; a round trip where there is any."""
    base = call.home.currency
    foreign = [one for one in given if one.amount.money.currency_code not in ("", base)]
    days = set()
    for one in foreign:
        with suppress(errors.DomainError):
            days.add(protos.day(one.date))
    return await rates.held(call.tx, base, days)


def read(call: Call, given: pb.ActualInput, entry: Entry, today: date, known: Rates) -> Claim:
    """Raises the reasons of RecordActual that need no database."""
    metric = call.rules(MetricRules).metric(given.metric)
    rules.check_entry(metric, entry)
    person = call.org.person(given.holder.person_id)
    if given.holder.person_id and person is None:
        raise errors.NotFound("PERSON_NOT_FOUND", f"there is no person {given.holder.person_id}")
    if given.holder.unit_id and call.org.unit(given.holder.unit_id) is None:
        raise errors.NotFound("UNIT_NOT_FOUND", f"there is no unit {given.holder.unit_id}")
    day = protos.day(given.date, "date")
    rules.check_date(day, today)
    quantity = amounts.read(given.amount, "amount")
    rules.check_kind(metric, quantity.currency)
    base = quantity.minor
    if quantity.currency:
        base = known.convert(quantity.minor, quantity.currency, call.home.currency, day)
    unit_id = person.unit_id if person else given.holder.unit_id
    return Claim(given, metric, given.holder.person_id, unit_id, day, quantity.minor, quantity.currency, base)


def fact(call: Call, claim: Claim, known: Known, source_id: str) -> Fact:
    """Raises NotFound PRODUCT_NOT_FOUND."""
    given, scope = claim.given, claim.given.scope
    if scope.product_id and scope.product_id not in known.products:
        raise errors.NotFound("PRODUCT_NOT_FOUND", f"there is no product {scope.product_id}")
    return Fact(
        metric=claim.metric.code,
        owner_id=claim.person_id,
        unit_id=known.units.get((claim.person_id, claim.day), claim.unit_id),
        product_id=scope.product_id,
        product_line=scope.product_line or known.line(scope.product_id),
        segment=scope.segment,
        account_id=given.account_id,
        subject=given.subject,
        date=claim.day,
        minor=claim.minor,
        currency=claim.currency,
        base_minor=claim.base_minor,
        base_currency=call.home.currency if claim.currency else "",
        weight=Decimal(given.weight.value) if given.HasField("weight") else Decimal(1),
        stage=known.stage(scope.product_id, claim.day),
        reason=given.reason,
        source=given.provenance.source,
        source_id=source_id,
        brought_by=call.actor,
        observed_at=_observed(given),
        revision=0,
    )


def _observed(given: pb.ActualInput) -> datetime | None:
    if not given.provenance.HasField("observed_time"):
        return None
    return protos.instant(given.provenance.observed_time, "provenance.observed_time")
