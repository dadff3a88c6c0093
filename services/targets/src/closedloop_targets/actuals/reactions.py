"""Deals won and taken back, invoices and credit notes: the finance track as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from google.type.money_pb2 import Money

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets.actuals import rules, store
from closedloop_targets.actuals.rules import ActualRules, Fact
from closedloop_targets.amounts import MILLIONTHS
from closedloop_targets.metrics.rules import MetricRules

CRM, ERP, FUNNEL = "crm", "erp", "funnel"
ONE = Decimal(1)

reactions = Reactions()


@reactions.on(funnel.OpportunityWon)
async def opportunity_won(event: Heard[funnel.OpportunityWon], work: Work) -> None:
    won = event.message
    day = protos.day(won.close_date) if won.HasField("close_date") else work.home.today()
    minor, currency = protos.minor_units(won.amount), won.amount.currency_code
    shown = won.reporting_amount if won.HasField("reporting_amount") else won.amount
    base = work.home.currency
    base_minor = rules.in_base(protos.minor_units(shown), shown.currency_code, base)
    products = [line.product_id for line in won.lines]
    known = await store.known(
        work.tx,
        source=CRM,
        subject=won.opportunity_id,
        holders=[(won.ownership.owner_id, day)],
        products=products,
    )
    if known.revision is not None and known.revision >= won.version:
        return
    given = [_line_minor(line.amount, line.unit_price, line.quantity, currency) for line in won.lines] or [minor]
    amounts, bases = rules.lines(minor, given), rules.lines(base_minor, given)
    facts = [
        Fact(
            metric=work.rules(ActualRules).won,
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
    _restate(work, known, facts, CRM, won.opportunity_id, won.version, "the opportunity was won again")


@reactions.on(funnel.OpportunityReopened)
async def opportunity_reopened(event: Heard[funnel.OpportunityReopened], work: Work) -> None:
    reopened = event.message
    known = await store.known(work.tx, source=CRM, subject=reopened.opportunity_id)
    if known.revision is None or known.revision < reopened.version:
        reason = reopened.reason or "the opportunity is open again"
        _restate(work, known, [], CRM, reopened.opportunity_id, reopened.version, reason)


@reactions.on(integrations.InvoiceRecorded)
async def invoice_recorded(event: Heard[integrations.InvoiceRecorded], work: Work) -> None:
    invoice = event.message
    day = protos.day(invoice.date) if invoice.HasField("date") else work.home.today()
    currency, base = invoice.net_amount.currency_code, work.home.currency
    minor = protos.minor_units(invoice.net_amount)
    rules.in_base(minor, currency, base)
    products = [line.product_id for line in invoice.lines]
    known = await store.known(
        work.tx, source=ERP, subject=invoice.number, holders=[(invoice.person_id, day)], products=products
    )
    if known.revision is not None and known.revision >= invoice.version:
        return
    given = [protos.minor_units(line.net_amount) for line in invoice.lines] or [minor]
    facts = [
        Fact(
            metric=work.rules(ActualRules).invoiced,
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
            base_minor=amount,
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
        for number, (product, amount) in enumerate(zip(products or [""], rules.lines(minor, given), strict=True))
    ]
    _restate(work, known, facts, ERP, invoice.number, invoice.version, "the invoice was booked anew")


@reactions.on(funnel.ProcessMetricsMeasured)
async def process_metrics_measured(event: Heard[funnel.ProcessMetricsMeasured], work: Work) -> None:
    """The elastic track: a week's values, weighted by the samples behind them; unknown metrics are left out."""
    measured, catalogue = event.message, work.rules(MetricRules)
    week = protos.day(measured.week)
    subject = f"{measured.person_id}:{week}"
    known = await store.known(work.tx, source=FUNNEL, subject=subject, holders=[(measured.person_id, week)])
    if known.revision is not None and known.revision >= measured.version:
        return
    facts = []
    for one in measured.metrics:
        metric = catalogue.find(one.key)
        if metric is None or metric.kind == "money":
            continue
        minor = round(Decimal(str(one.value)) * MILLIONTHS)
        facts.append(
            Fact(
                metric=metric.code,
                owner_id=measured.person_id,
                unit_id=known.units.get((measured.person_id, week), measured.unit_id),
                product_id="",
                product_line="",
                segment="",
                account_id="",
                subject=subject,
                date=week,
                minor=minor,
                currency="",
                base_minor=minor,
                base_currency="",
                weight=Decimal(max(one.sample_size, 1)),
                stage="",
                reason="",
                source=FUNNEL,
                source_id=f"{subject}:{metric.code}",
                brought_by=event.source,
                observed_at=event.time,
                revision=measured.version,
            )
        )
    _restate(work, known, facts, FUNNEL, subject, measured.version, "the week was measured anew")


def _restate(
    work: Work, known: store.Known, facts: Sequence[Fact], source: str, subject: str, revision: int, reason: str
) -> None:
    taken_back, new = rules.restate(known.live, facts)
    store.write(work, taken_back, new, reason)
    work.tx.do(store.HEARD, {"source": source, "subject": subject, "revision": revision})
    if taken_back or new:
        totals = {"rows": len(known.live), "base_minor": sum(row.fact.base_minor for row in known.live)}
        after = {"rows": len(facts), "base_minor": sum(fact.base_minor for fact in facts)}
        work.audit(f"actual:{source}:{subject}", "restate" if taken_back else "record", before=totals, after=after)


def _line_minor(amount: Money, price: Money, quantity: float, currency: str) -> int:
    if amount.currency_code:
        return protos.minor_units(amount)
    if price.currency_code == currency:
        return round(Decimal(str(quantity)) * protos.minor_units(price))
    return 0
