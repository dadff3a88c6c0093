"""What goods cost when they were invoiced last, as integrations told it (S63, S71)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.rows import pack
from closedloop_chassis.data.transaction import Transaction

# Only the newest telling of a document leaves goods behind, in whatever order tellings come and however often.
PUT = """
WITH news AS (
  INSERT INTO costed_invoice (source, source_id, version)
  SELECT source, source_id, version FROM jsonb_populate_recordset(NULL::costed_invoice, %(invoices)s)
   ORDER BY source, source_id
  ON CONFLICT (source, source_id) DO UPDATE SET version = excluded.version
   WHERE costed_invoice.version < excluded.version
  RETURNING source, source_id, version
), replaced AS (
  DELETE FROM invoiced_cost old USING news
   WHERE old.source = news.source AND old.source_id = news.source_id AND old.version < news.version
)
INSERT INTO invoiced_cost (source, source_id, version, product_id, number, back_to, date, quantity, cost_minor,
                           currency)
SELECT source, source_id, version, product_id, number, back_to, date, quantity, cost_minor, currency
  FROM jsonb_populate_recordset(NULL::invoiced_cost, %(goods)s) JOIN news USING (source, source_id, version)
"""

# Less what came back of that invoice: one that was taken back whole says nothing.
LAST = """
SELECT wanted.product_id, last.cost_minor, last.quantity, last.currency
  FROM unnest(%(product_ids)s::text[]) AS wanted (product_id)
 CROSS JOIN LATERAL (
    SELECT sold.currency, sold.quantity - back.quantity AS quantity,
           (sold.cost_minor - back.cost_minor)::bigint AS cost_minor
      FROM invoiced_cost sold
     CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS quantity, coalesce(sum(cost_minor), 0) AS cost_minor
                           FROM invoiced_cost
                          WHERE source = sold.source AND back_to <> ''
                            AND back_to IN ('id:' || sold.source_id, 'number:' || sold.number)
                            AND product_id = sold.product_id AND currency = sold.currency) back
     WHERE sold.product_id = wanted.product_id AND sold.back_to = ''
       AND sold.quantity > back.quantity AND sold.cost_minor > back.cost_minor
     ORDER BY sold.date DESC, sold.number DESC, sold.source, sold.source_id
     LIMIT 1) last
"""


@dataclass(frozen=True, slots=True)
class Goods:
    """Of one product on one document: so much of it cost so many minor units. A row of `invoiced_cost`."""

    source: str
    source_id: str
    version: int
    product_id: str
    number: str
    back_to: str
    date: date
    quantity: Decimal
    cost_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Cost:
    """`quantity` of a product cost `cost_minor`; both are above zero."""

    product_id: str
    cost_minor: int
    quantity: Decimal
    currency: str


def put(tx: Transaction, invoices: Sequence[Mapping[str, Any]], goods: Sequence[Goods]) -> None:
    """Invoices as source, source_id and version, each once; the goods of all of them."""
    tx.do(PUT, {"invoices": Jsonb(invoices), "goods": pack(goods)})


async def last(tx: Transaction, product_ids: Iterable[str]) -> dict[str, Cost]:
    """By product; without those whose cost nobody has told."""
    found = await tx.all(LAST, {"product_ids": sorted(set(product_ids))}, into=Cost)
    return {cost.product_id: cost for cost in found}
