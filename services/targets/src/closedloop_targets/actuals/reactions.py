"""Deals won and taken back, invoices and credit notes: the finance track as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from google.type.money_pb2 import Money
from psycopg.types.json import Jsonb

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets.actuals import rules, store
from closedloop_targets.actuals.rules import ActualRules, Fact, Row, measurement
from closedloop_targets.amounts import MILLIONTHS
from closedloop_targets.book import rates
from closedloop_targets.book.rates import Rates
from closedloop_targets.metrics.rules import MetricRules

CRM, ERP, FUNNEL = "crm", "erp", "funnel"
CARE = "customer_care"
FIRST_RESPONSE = "first_response"
AGAIN = "the first answer was told anew"
ONE, HOUR = Decimal(1), timedelta(hours=1)

reactions = Reactions()


@dataclass(frozen=True, slots=True)
class Said:
    """What a source says of a record now: its facts as of a revision, and why they are others than before."""

    subject: str
    revision: int
    facts: Sequence[Fact]
    reason: str


@reactions.batch(funnel.OpportunityWon)
async def opportunities_won(events: Sequence[Heard[funnel.OpportunityWon]], work: Work) -> None:
    deals = newest(events, lambda won: won.opportunity_id)
    today, metric, base = work.home.today(), work.rules(ActualRules).won, work.home.currency
    days = {subject: _close_day(event.message, today) for subject, event in deals.items()}
    known = await store.known(
        work.tx,
        source=CRM,
        subjects=list(deals),
        holders=[(event.message.ownership.owner_id, days[subject]) for subject, event in deals.items()],
        products=sorted({line.product_id for event in deals.values() for line in event.message.lines}),
    )
    again = "the opportunity was won again"
    held = await _rates(work, base, [(_shown(event.message), days[subject]) for subject, event in deals.items()])
    said = [
        Said(subject, event.message.version, _won(event, days[subject], metric, base, known, held), again)
        for subject, event in deals.items()
        if known.news(subject, event.message.version)
    ]
    restate(work, known, CRM, said)


def _close_day(won: funnel.OpportunityWon, today: date) -> date:
    return protos.day(won.close_date) if won.HasField("close_date") else today


def _shown(won: funnel.OpportunityWon) -> Money:
    """What the funnel converted itself counts as it is."""
    return won.reporting_amount if won.HasField("reporting_amount") else won.amount


async def _rates(work: Work, base: str, given: Sequence[tuple[Money, date]]) -> Rates:
    """Those of the days on which money is foreign; one round trip, none where all is the company's."""
    return await rates.held(work.tx, base, {day for money, day in given if money.currency_code not in ("", base)})


def _in_base(money: Money, day: date, base: str, held: Rates) -> int:
    """Raises FailedPrecondition RATE_NOT_FOUND: the event waits, parked, for whoever brings the rate."""
    return held.convert(protos.minor_units(money), money.currency_code or base, base, day)


def _won(
    event: Heard[funnel.OpportunityWon], day: date, metric: str, base: str, known: store.Known, held: Rates
) -> Sequence[Fact]:
    won = event.message
    minor, currency = protos.minor_units(won.amount), won.amount.currency_code
    base_minor = _in_base(_shown(won), day, base, held)
    products = [line.product_id for line in won.lines]
    given = [_line_minor(line.amount, line.unit_price, line.quantity, currency) for line in won.lines] or [minor]
    amounts, bases = rules.lines(minor, given), rules.lines(base_minor, given)
    return [
        Fact(
            metric=metric,
            owner_id=won.ownership.owner_id,
            unit_id=known.units.get((won.ownership.owner_id, day), won.ownership.unit_id),
            product_id=product,
            product_line=known.line(product),
            segment="",
            account_id=won.account_id,
            subject=won.opportunity_id,
            date=day,
            minor=amount,
            currency=currency,
            base_minor=in_base,
            base_currency=base,
            weight=ONE,
            stage=known.stage(product, day),
            reason="",
            source=CRM,
            source_id=f"{won.opportunity_id}:{number}",
            brought_by=event.source,
            observed_at=event.time,
            revision=won.version,
        )
        for number, (product, amount, in_base) in enumerate(zip(products or [""], amounts, bases, strict=True))
    ]


@reactions.batch(funnel.OpportunityReopened)
async def opportunities_reopened(events: Sequence[Heard[funnel.OpportunityReopened]], work: Work) -> None:
    deals = newest(events, lambda reopened: reopened.opportunity_id)
    known = await store.known(work.tx, source=CRM, subjects=list(deals))
    said = [
        Said(subject, event.message.version, [], event.message.reason or "the opportunity is open again")
        for subject, event in deals.items()
        if known.news(subject, event.message.version)
    ]
    restate(work, known, CRM, said)


@reactions.batch(integrations.InvoiceRecorded)
async def invoices_recorded(events: Sequence[Heard[integrations.InvoiceRecorded]], work: Work) -> None:
    invoices = newest(events, lambda invoice: invoice.number)
    today, metric, base = work.home.today(), work.rules(ActualRules).invoiced, work.home.currency
    days = {
        number: protos.day(event.message.date) if event.message.HasField("date") else today
        for number, event in invoices.items()
    }
    known = await store.known(
        work.tx,
        source=ERP,
        subjects=list(invoices),
        holders=[(event.message.person_id, days[number]) for number, event in invoices.items()],
        products=sorted({line.product_id for event in invoices.values() for line in event.message.lines}),
    )
    anew = "the invoice was booked anew"
    held = await _rates(work, base, [(event.message.net_amount, days[number]) for number, event in invoices.items()])
    said = [
        Said(number, event.message.version, _invoiced(event, days[number], metric, base, known, held), anew)
        for number, event in invoices.items()
        if known.news(number, event.message.version)
    ]
    restate(work, known, ERP, said)


def _invoiced(
    event: Heard[integrations.InvoiceRecorded], day: date, metric: str, base: str, known: store.Known, held: Rates
) -> Sequence[Fact]:
    """Of money of another currency: at the rate of the invoice's day, the lines' shares exact in either (U16)."""
    invoice = event.message
    currency = invoice.net_amount.currency_code
    minor = protos.minor_units(invoice.net_amount)
    base_minor = _in_base(invoice.net_amount, day, base, held)
    products = [line.product_id for line in invoice.lines]
    given = [protos.minor_units(line.net_amount) for line in invoice.lines] or [minor]
    parts, bases = rules.lines(minor, given), rules.lines(base_minor, given)
    return [
        Fact(
            metric=metric,
            owner_id=invoice.person_id,
            unit_id=known.units.get((invoice.person_id, day), invoice.unit_id),
            product_id=product,
            product_line=known.line(product),
            segment="",
            account_id=invoice.account_id,
            subject=invoice.number,
            date=day,
            minor=amount,
            currency=currency,
            base_minor=in_base,
            base_currency=base,
            weight=ONE,
            stage=known.stage(product, day),
            reason="credit note" if invoice.credit_note else "",
            source=ERP,
            source_id=f"{invoice.number}:{number}",
            brought_by=event.source,
            observed_at=event.time,
            revision=invoice.version,
        )
        for number, (product, amount, in_base) in enumerate(zip(products or [""], parts, bases, strict=True))
    ]


@reactions.on(funnel.ProcessMetricsMeasured)
async def process_metrics_measured(event: Heard[funnel.ProcessMetricsMeasured], work: Work) -> None:
    """The elastic track: a week's values, weighted by the samples behind them; unknown metrics are left out."""
    measured, catalogue = event.message, work.rules(MetricRules)
    week = protos.day(measured.week)
    subject = f"{measured.person_id}:{week}"
    known = await store.known(work.tx, source=FUNNEL, subjects=[subject], holders=[(measured.person_id, week)])
    if not known.news(subject, measured.version):
        return
    facts = []
    for one in measured.metrics:
        metric = catalogue.find(one.key)
        if metric is None or metric.kind == "money":
            continue
        minor = round(Decimal(str(one.value)) * MILLIONTHS)
        facts.append(
            measurement(
                metric.code,
                minor,
                subject=subject,
                day=week,
                source=FUNNEL,
                revision=measured.version,
                brought_by=event.source,
                observed_at=event.time,
                owner_id=measured.person_id,
                unit_id=known.units.get((measured.person_id, week), measured.unit_id),
                weight=Decimal(max(one.sample_size, 1)),
            )
        )
    restate(work, known, FUNNEL, [Said(subject, measured.version, facts, "the week was measured anew")])


@reactions.on(customers.StewardshipMeasured)
async def stewardship_measured(event: Heard[customers.StewardshipMeasured], work: Work) -> None:
    """Whoever owns customers answers for them (S82): a month's care, weighted by the accounts behind it."""
    told = event.message
    person_id, month = told.ownership.owner_id, protos.day(told.month)
    metric = work.rules(MetricRules).find(CARE)
    if metric is None or not told.accounts:
        return
    subject = f"care:{person_id}:{month}"
    # Of senders that do not count yet their moment, which is what those that do count by.
    revision = told.version or protos.timestamp(event.time).ToMicroseconds()
    known = await store.known(work.tx, source=CRM, subjects=[subject], holders=[(person_id, month)])
    if not known.news(subject, revision):
        return
    care = (told.fresh_ratio + told.fill_ratio + told.resolved_ratio) / 3
    minor = round(Decimal(str(care)) * MILLIONTHS)
    fact = measurement(
        metric.code,
        minor,
        subject=subject,
        day=month,
        source=CRM,
        revision=revision,
        brought_by=event.source,
        observed_at=event.time,
        owner_id=person_id,
        unit_id=known.units.get((person_id, month), told.ownership.unit_id),
        weight=Decimal(told.accounts),
    )
    restate(work, known, CRM, [Said(subject, revision, [fact], "the month was measured anew")])


@reactions.batch(customers.LeadResponded)
async def leads_responded(events: Sequence[Heard[customers.LeadResponded]], work: Work) -> None:
    """Whoever answered leads for the first time, and after how many working hours of his unit (S23)."""
    metric = work.rules(MetricRules).find(FIRST_RESPONSE)
    leads = {f"response:{lead}": event for lead, event in newest(events, lambda told: told.lead_id).items()}
    if metric is None:
        return
    days = {subject: work.home.day(protos.instant(event.message.respond_time)) for subject, event in leads.items()}
    holders = [(event.message.ownership.owner_id, days[subject]) for subject, event in leads.items()]
    known = await store.known(work.tx, source=CRM, subjects=list(leads), holders=holders)
    said = [
        Said(
            subject, event.message.version, [_response(event, metric.code, subject, days[subject], known, work)], AGAIN
        )
        for subject, event in leads.items()
        if event.message.ownership.owner_id and known.news(subject, event.message.version)
    ]
    restate(work, known, CRM, said)


def _response(
    event: Heard[customers.LeadResponded], metric: str, subject: str, day: date, known: store.Known, work: Work
) -> Fact:
    told, person_id = event.message, event.message.ownership.owner_id
    unit_id = known.units.get((person_id, day), told.ownership.unit_id)
    came, answered = protos.instant(told.receive_time), protos.instant(told.respond_time)
    minor = round(work.calendars.between(came, answered, "business", unit_id) / HOUR * MILLIONTHS)
    return measurement(
        metric,
        minor,
        subject=subject,
        day=day,
        source=CRM,
        revision=told.version,
        brought_by=event.source,
        observed_at=event.time,
        owner_id=person_id,
        unit_id=unit_id,
    )


def restate(work: Work, known: store.Known, source: str, said: Sequence[Said]) -> None:
    """Writes and takes back what has become otherwise, and notes how new it is."""
    if not said:
        return
    standing: dict[str, list[Row]] = {}
    for row in known.live:
        standing.setdefault(row.fact.subject, []).append(row)
    taken_back: list[tuple[Row, str]] = []
    written: list[Fact] = []
    for one in said:
        live = standing.get(one.subject, [])
        back, new = rules.restate(live, one.facts)
        taken_back += [(row, one.reason) for row in back]
        written += new
        if back or new:
            totals = {"rows": len(live), "base_minor": sum(row.fact.base_minor for row in live)}
            after = {"rows": len(one.facts), "base_minor": sum(fact.base_minor for fact in one.facts)}
            action = "restate" if back else "record"
            work.audit(f"actual:{source}:{one.subject}", action, before=totals, after=after)
    store.write(work, taken_back, written)
    revisions = {one.subject: one.revision for one in said}
    work.tx.do(store.HEARD, {"source": source, "revisions": Jsonb(revisions)})


def _line_minor(amount: Money, price: Money, quantity: float, currency: str) -> int:
    if amount.currency_code:
        return protos.minor_units(amount)
    if price.currency_code == currency:
        return round(Decimal(str(quantity)) * protos.minor_units(price))
    return 0
