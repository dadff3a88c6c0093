"""Products with their aliases and stages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_targets.products.rules import Product, Stage, alias_key

# Two who claim the same alias follow each other.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('targets.products'))"

SELECT = """
SELECT product.*,
       ARRAY(SELECT alias FROM product_alias a WHERE a.product_id = product.id ORDER BY position) AS aliases,
       (SELECT jsonb_agg(to_jsonb(s) - 'product_id' ORDER BY start_date) FROM product_stage s
           WHERE s.product_id = product.id)
       AS stages
  FROM product
"""
BY_ID = SELECT + " WHERE id = ANY(%(ids)s)"
BY_NAME = (
    SELECT
    + """
 WHERE id = %(id)s OR (id = (SELECT product_id FROM product_alias WHERE key = %(key)s)
                       AND NOT EXISTS (SELECT FROM product WHERE id = %(id)s))
"""
)
LIST = (
    SELECT
    + """
 WHERE id > %(after)s AND (%(include_retired)s OR NOT retired) AND (%(line)s = '' OR line = %(line)s)
   AND (%(query)s = '' OR id ILIKE %(like)s OR name ILIKE %(like)s
        OR EXISTS (SELECT FROM product_alias a WHERE a.product_id = product.id AND alias ILIKE %(like)s))
   AND (%(stage)s = '' OR %(stage)s = (SELECT stage FROM product_stage s WHERE s.product_id = product.id
                                        ORDER BY start_date <= %(day)s DESC, abs(start_date - %(day)s::date) LIMIT 1))
 ORDER BY id LIMIT %(limit)s
"""
)
TAKEN = """
SELECT key, product_id FROM product_alias WHERE key = ANY(%(keys)s)
UNION ALL
SELECT asked.key, product.id FROM unnest(%(keys)s::text[]) AS asked (key)
  JOIN product ON lower(replace(product.id, ' ', '')) = asked.key
"""
PUT = """
INSERT INTO product SELECT * FROM jsonb_populate_recordset(NULL::product, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, line = excluded.line, series = excluded.series, list_minor = excluded.list_minor,
       list_currency = excluded.list_currency, launch_date = excluded.launch_date, retired = excluded.retired,
       custom_fields = excluded.custom_fields, provenance = excluded.provenance, version = excluded.version,
       updated_at = excluded.updated_at
"""
FORGET_ALIASES = "DELETE FROM product_alias WHERE product_id = ANY(%(ids)s)"
PUT_ALIASES = "INSERT INTO product_alias SELECT * FROM jsonb_populate_recordset(NULL::product_alias, %(rows)s)"
PUT_STAGES = """
INSERT INTO product_stage SELECT * FROM jsonb_populate_recordset(NULL::product_stage, %(rows)s)
ON CONFLICT (product_id, start_date) DO NOTHING
"""


async def by_id(reader: Reader | Transaction, ids: Collection[str]) -> dict[str, Product]:
    return {row["id"]: _product(row) for row in await reader.all(BY_ID, {"ids": list(ids)})}


async def find(reader: Reader | Transaction, name: str) -> Product | None:
    """By code, else by alias."""
    row = await reader.one(BY_NAME, {"id": name, "key": alias_key(name)})
    return None if row is None else _product(row)


async def listed(reader: Reader, params: dict[str, Any]) -> list[Product]:
    return [_product(row) for row in await reader.all(LIST, params)]


async def taken_aliases(tx: Transaction, aliases: Collection[str]) -> dict[str, str]:
    """Keys of these aliases that mean a product already."""
    rows = await tx.all(TAKEN, {"keys": [alias_key(alias) for alias in aliases]})
    return {row["key"]: row["product_id"] for row in rows}


def save(tx: Transaction, products: Sequence[Product]) -> None:
    if not products:
        return
    tx.do(PUT, {"rows": rows.pack(products, "aliases", "stages")})
    tx.do(FORGET_ALIASES, {"ids": [one.id for one in products]})
    aliases = [
        {"key": alias_key(alias), "alias": alias, "product_id": one.id, "position": position}
        for one in products
        for position, alias in enumerate(one.aliases)
    ]
    tx.do(PUT_ALIASES, {"rows": rows.pack(aliases)})
    stages = [{"product_id": one.id, **rows.row(stage)} for one in products for stage in one.stages]
    tx.do(PUT_STAGES, {"rows": rows.pack(stages)})


def _product(row: dict[str, Any]) -> Product:
    stages = tuple(Stage(**{**stage, "start_date": date.fromisoformat(stage["start_date"])}) for stage in row["stages"])
    return Product(**{**row, "stages": stages, "aliases": tuple(row["aliases"])})
