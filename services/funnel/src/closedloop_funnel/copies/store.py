"""Accounts, products and rates as their owners told them last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.transaction import Transaction

PUT_ACCOUNTS = """
INSERT INTO account (id, name, industry, customer_type, region_code, grade, status, account_owner_id, account_unit_id,
                     account_participant_ids, merged_into_id, words, version)
SELECT id, name, industry, customer_type, region_code, grade, status, account_owner_id, account_unit_id,
       account_participant_ids, merged_into_id, words, version
  FROM jsonb_populate_recordset(NULL::account, %(rows)s) ORDER BY id
ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, industry = excluded.industry, customer_type = excluded.customer_type,
       region_code = excluded.region_code, grade = excluded.grade, status = excluded.status,
       account_owner_id = excluded.account_owner_id, account_unit_id = excluded.account_unit_id,
       account_participant_ids = excluded.account_participant_ids, merged_into_id = excluded.merged_into_id,
       words = excluded.words, version = excluded.version
 WHERE account.version < excluded.version
"""

PUT_PRODUCT = """
INSERT INTO product (id, name, line, list_minor, list_currency, retired, words, version)
VALUES (%(id)s, %(name)s, %(line)s, %(list_minor)s, %(list_currency)s, %(retired)s, %(words)s, %(version)s)
ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, line = excluded.line, list_minor = excluded.list_minor,
       list_currency = excluded.list_currency, retired = excluded.retired, words = excluded.words,
       version = excluded.version
 WHERE product.version < excluded.version
"""

PUT_RATES = """
INSERT INTO exchange_rate (base_currency, quote_currency, kind, start_date, rate)
SELECT * FROM unnest(%(bases)s::text[], %(quotes)s::text[], %(kinds)s::text[], %(dates)s::date[], %(rates)s::numeric[])
ON CONFLICT (base_currency, quote_currency, kind, start_date) DO UPDATE SET rate = excluded.rate
"""


def folded(words: Iterable[str]) -> list[str]:
    """Words as they are compared: case and spacing do not tell names apart."""
    return sorted({" ".join(word.casefold().split()) for word in words} - {""})


def put_accounts(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Accounts as their columns, each once."""
    tx.do(PUT_ACCOUNTS, {"rows": Jsonb(rows)})


def put_product(tx: Transaction, row: dict[str, Any]) -> None:
    tx.do(PUT_PRODUCT, row)


def put_rates(tx: Transaction, rates: list[dict[str, Any]]) -> None:
    columns = {name: [rate[name[:-1]] for rate in rates] for name in ("bases", "quotes", "kinds", "dates", "rates")}
    tx.do(PUT_RATES, columns)
