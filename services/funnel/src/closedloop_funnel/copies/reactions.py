"""Keeps the copies by what their owners tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop.targets.v1 import rates_pb2
from closedloop_chassis import protos
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.copies import costs, invoices, store
from closedloop_funnel.words import word

reactions = Reactions()


@reactions.batch(customers.AccountChanged)
async def copy_accounts(events: Sequence[Heard[customers.AccountChanged]], work: Work) -> None:
    accounts = newest(events, lambda account: account.account_id).values()
    store.put_accounts(work.tx, [_account(event.message) for event in accounts])


def _account(account: customers.AccountChanged) -> dict[str, Any]:
    return {
        "id": account.account_id,
        "name": account.name,
        "industry": account.industry,
        "customer_type": account.customer_type,
        "region_code": account.region_code,
        "grade": account.grade,
        "status": word(accounts_pb2.AccountStatus, account.status),
        "account_owner_id": account.ownership.owner_id,
        "account_unit_id": account.ownership.unit_id,
        "account_participant_ids": list(account.participant_ids),
        "merged_into_id": account.merged_into_id or None,
        "words": store.folded([account.account_id, account.name, account.legal_name, *account.aliases]),
        "version": account.version,
    }


@reactions.on(targets.ProductChanged)
async def copy_product(event: Heard[targets.ProductChanged], work: Work) -> None:
    product = event.message
    priced = product.HasField("list_price")
    store.put_product(
        work.tx,
        {
            "id": product.product_id,
            "name": product.name,
            "line": product.line,
            "list_minor": protos.minor_units(product.list_price, "list_price") if priced else None,
            "list_currency": product.list_price.currency_code if priced else "",
            "retired": product.retired,
            "words": store.folded([product.product_id, product.name, *product.aliases]),
            "version": product.version,
        },
    )


@reactions.on(targets.ExchangeRateChanged)
async def copy_rates(event: Heard[targets.ExchangeRateChanged], work: Work) -> None:
    # The last one of a day wins, and one statement may not touch a row twice.
    rates = {
        (rate.base_currency, rate.quote_currency, rate.kind, protos.day(rate.start_date, "start_date")): rate.rate.value
        for rate in event.message.rates
    }
    rows = [
        {"base": base, "quote": quote, "kind": word(rates_pb2.RateKind, kind), "date": day, "rate": rate}
        for (base, quote, kind, day), rate in rates.items()
    ]
    store.put_rates(work.tx, rows)


@reactions.batch(integrations.InvoiceRecorded)
async def copy_costs(events: Sequence[Heard[integrations.InvoiceRecorded]], work: Work) -> None:
    told = newest(events, lambda invoice: "/".join(invoices.key(invoice)))
    newest_ones = [event.message for event in told.values()]
    keys = [(*invoices.key(invoice), invoice.version) for invoice in newest_ones]
    heard = [{"source": source, "source_id": source_id, "version": version} for source, source_id, version in keys]
    costs.put(work.tx, heard, [goods for invoice in newest_ones for goods in invoices.goods(invoice)])
