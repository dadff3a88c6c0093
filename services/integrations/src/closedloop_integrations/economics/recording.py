"""Facts follow their transactions, in the same unit of work; deals whose margin moves are told (S74, S94)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Work
from closedloop_integrations.economics import operational, statutory, stock, store
from closedloop_integrations.economics.facts import facts
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import STOCK, EconomicsRules, Margin, Total, converted


async def record(work: Work, rows: Sequence[pb.Transaction]) -> None:
    """New versions of transactions, with our ids; those they replace count no longer."""
    replaced = [(row.provenance.source, row.provenance.source_id) for row in rows if row.version > 1]
    left = await store.deals_of(work.tx, replaced) if replaced else []
    store.supersede(work.tx, [(row.provenance.source, row.provenance.source_id) for row in rows], work.now)
    await _put(work, rows, left)


async def restate(work: Work, rows: Sequence[pb.Transaction]) -> None:
    """The same transactions, whose codes mean something else by now."""
    store.forget(work.tx, [row.id for row in rows])
    await _put(work, rows)


async def record_old(work: Work, rows: Sequence[pb.Transaction]) -> None:
    """Transactions in force that have no facts yet, known since they came."""
    await _put(work, rows)


def record_past(work: Work, rows: Sequence[tuple[pb.Transaction, datetime]]) -> None:
    """Versions that were superseded, with when: figures as they were known then have them."""
    found = [fact for row, _ in rows for fact in facts(row, protos.instant(row.create_time))]
    store.put(work.tx, found, ())
    store.close(work.tx, {row.id: until for row, until in rows})


async def _put(work: Work, rows: Sequence[pb.Transaction], left: Sequence[str] = ()) -> None:
    """`left` are deals whose margin a version that is gone was part of."""
    found = [fact for row in rows for fact in facts(row, protos.instant(row.create_time))]
    numbers = sorted(
        {row.order_number for row in rows if row.order_number} | {r.number for r in rows if r.HasField("order")}
    )
    store.put(work.tx, found, numbers)
    if products := sorted({fact.product_id for fact in found if fact.code == STOCK}):
        await stock.tell(work, products)
    deals = await store.deals(work.tx, [row.id for row in rows], numbers)
    if deals or left:
        await _tell(work, sorted({*deals, *left}))


async def _tell(work: Work, deals: Sequence[str]) -> None:
    rules, home = work.rules(EconomicsRules), work.home.currency
    # One of which nothing is left has a margin of nothing.
    totals: dict[str, dict[str, Total]] = {deal: {} for deal in deals}
    whose: dict[str, dict[str, str]] = defaultdict(lambda: {"account_id": "", "contract_id": ""})
    untold: set[str] = set()
    for row in await store.of_deals(work.tx, deals):
        deal, code = str(row["opportunity_id"]), row["code"]
        for name, kept in whose[deal].items():
            whose[deal][name] = kept or row[name] or ""
        try:
            amount = converted(row["amount"], row["currency"], home, rules.worth(row["currency"], row["day"], home))
        except errors.FailedPrecondition:
            # A deal in money nobody has given a rate for is kept and has no margin yet.
            untold.add(deal)
            continue
        totals[deal][code] = totals[deal].get(code, Total()) + Total(amount, row["entries"])
    versions = await store.told(work.tx, [deal for deal in totals if deal not in untold])
    for deal, version in versions.items():
        ledger, acted = statutory.calculate(totals[deal], rules), operational.calculate(totals[deal], rules)
        message = events.DealMarginRestated(
            opportunity_id=deal,
            account_id=whose[deal]["account_id"],
            contract_id=whose[deal]["contract_id"],
            revenue=protos.money(ledger.revenue, home),
            statutory_margin=protos.money(ledger.margin, home),
            operational_margin=protos.money(acted.margin, home),
            version=version,
            rule=reference(work, "items", _sentence(ledger, acted)),
        )
        if ledger.ratio is not None and acted.ratio is not None:
            message.statutory_margin_ratio, message.operational_margin_ratio = ledger.ratio, acted.ratio
        work.tell(message, deal)


def _sentence(ledger: Margin, acted: Margin) -> str:
    if ledger.ratio is None or acted.ratio is None:
        return "no revenue yet"
    return f"{ledger.ratio:.1%} by the ledger, {acted.ratio:.1%} with every cost charged where it arises"
