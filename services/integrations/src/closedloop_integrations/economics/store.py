"""Facts and their sums by month, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_integrations.economics.facts import Fact

# In force: one (source, source_id), one transaction.
CLOSE = """
UPDATE economic_fact f SET known_until = %(now)s
  FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS gone (source, source_id)
 WHERE f.known_until IS NULL AND f.source = gone.source AND f.source_id = gone.source_id
"""
CLOSE_EACH = """
UPDATE economic_fact f SET known_until = past.until
  FROM unnest(%(ids)s::uuid[], %(untils)s::timestamptz[]) AS past (id, until)
 WHERE f.known_until IS NULL AND f.transaction_id = past.id
"""
FORGET = "DELETE FROM economic_fact WHERE transaction_id = ANY(%(ids)s::uuid[])"
# What stands on an order without saying whose it is belongs to whom the order does, whichever came first.
ADOPT = """
UPDATE economic_fact f
   SET unit_id = CASE WHEN f.unit_id = '' THEN o.unit_id ELSE f.unit_id END,
       channel = CASE WHEN f.channel = '' THEN o.channel ELSE f.channel END,
       person_id = CASE WHEN f.person_id = '' THEN o.person_id ELSE f.person_id END,
       account_id = coalesce(f.account_id, o.account_id),
       opportunity_id = coalesce(f.opportunity_id, o.opportunity_id),
       contract_id = coalesce(f.contract_id, o.contract_id)
  FROM economic_fact o
 WHERE f.known_until IS NULL AND f.order_number = ANY(%(numbers)s) AND f.code NOT IN ('orders', 'order_products')
   AND o.known_until IS NULL AND o.code = 'orders' AND o.source = f.source AND o.number = f.order_number
   AND (f.unit_id = '' AND o.unit_id <> '' OR f.channel = '' AND o.channel <> '' OR f.person_id = '' AND o.person_id <> ''
        OR f.account_id IS NULL AND o.account_id IS NOT NULL OR f.opportunity_id IS NULL AND o.opportunity_id IS NOT NULL
        OR f.contract_id IS NULL AND o.contract_id IS NOT NULL)
"""
DEALS = """
SELECT DISTINCT opportunity_id FROM economic_fact
 WHERE opportunity_id IS NOT NULL AND known_until IS NULL
   AND (transaction_id = ANY(%(ids)s::uuid[]) OR order_number = ANY(%(numbers)s))
 ORDER BY 1
"""
DEALS_OF = """
SELECT DISTINCT opportunity_id FROM economic_fact f
  JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS gone (source, source_id) USING (source, source_id)
 WHERE f.opportunity_id IS NOT NULL AND f.known_until IS NULL ORDER BY 1
"""
OF_DEALS = """
SELECT opportunity_id, code, currency, day, sum(amount_minor)::bigint AS amount, count(*) AS entries,
       max(account_id::text) AS account_id, max(contract_id::text) AS contract_id
  FROM economic_fact WHERE known_until IS NULL AND opportunity_id = ANY(%(ids)s::uuid[])
 GROUP BY 1, 2, 3, 4
"""
TOLD = """
INSERT INTO deal_margin (opportunity_id, version) SELECT id, 1 FROM unnest(%(ids)s::uuid[]) AS id
ON CONFLICT (opportunity_id) DO UPDATE SET version = deal_margin.version + 1 RETURNING opportunity_id, version
"""

# What figures are shown by. Sums by month know neither customers nor deals.
FINE = ("account", "opportunity")
KEYS = {
    "unit": "unit_id",
    "product": "product_id",
    "channel": "channel",
    "person": "person_id",
    "account": "coalesce(account_id::text, '')",
    "opportunity": "coalesce(opportunity_id::text, '')",
}
SEEN = """(%(scope_company)s OR person_id = %(scope_owner)s OR unit_id = ANY(%(scope_units)s))
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(product_id)s = '' OR product_id = %(product_id)s)
   AND (%(channel)s = '' OR channel = %(channel)s)
   AND (%(person_id)s = '' OR person_id = %(person_id)s)"""
KNOWN = """(%(at)s::timestamptz IS NULL AND known_until IS NULL
        OR known_from <= %(at)s AND (known_until IS NULL OR known_until > %(at)s))"""


def totals_sql(dimensions: Sequence[str], month: str, *, fine: bool, foreign: bool) -> str:
    """`month` is the column that counts: "month" (of the document) or "booked_month". Whole months come from the sums; `fine`
    figures, odd days at either end and, where there is any, foreign money from the facts."""
    keys = ["to_char(" + month + ", 'YYYY-MM')" if name == "month" else KEYS[name] for name in dimensions]
    shown = f"ARRAY[{', '.join(keys)}]::text[] AS keys"
    day = "day" if month == "month" else "booked_month"

    def facts(which: str) -> str:
        return f"""
SELECT {shown}, code, currency, CASE WHEN currency = %(currency)s THEN NULL ELSE day END AS day,
       sum(amount_minor)::bigint AS amount, count(*) AS entries
  FROM economic_fact
 WHERE {which} AND code <> 'stock' AND {KNOWN} AND {SEEN} AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
 GROUP BY 1, 2, 3, 4"""

    if fine:
        return facts(f"{day} BETWEEN %(begin)s AND %(end)s")
    arms = [
        f"""
SELECT {shown}, code, currency, NULL::date AS day, sum(amount_minor)::bigint AS amount, sum(entries)::bigint AS entries
  FROM margin_sum
 WHERE entries <> 0 AND {month} BETWEEN %(first_month)s AND %(last_month)s AND currency = %(currency)s AND {SEEN}
 GROUP BY 1, 2, 3""",
        facts(f"{day} BETWEEN %(begin)s AND %(head_end)s AND currency = %(currency)s"),
        facts(f"{day} BETWEEN %(tail_begin)s AND %(end)s AND currency = %(currency)s"),
    ]
    if foreign:
        arms.append(facts(f"{day} BETWEEN %(begin)s AND %(end)s AND currency <> %(currency)s"))
    return "\nUNION ALL".join(arms)


LOADED = """
SELECT EXISTS (SELECT FROM economic_fact WHERE day BETWEEN %(begin)s AND %(end)s) AS loaded,
       EXISTS (SELECT FROM economic_currency WHERE currency <> %(currency)s) AS is_foreign
"""
AS_OF = "SELECT max(known_from) FROM economic_fact WHERE %(at)s::timestamptz IS NULL OR known_from <= %(at)s"
TITLES = """
SELECT id, name FROM product WHERE id = ANY(%(ids)s)
UNION ALL SELECT id::text, name FROM account WHERE id::text = ANY(%(ids)s)
"""
_SHOWN = """transaction_id, source, source_id, code, currency, day, known_from, amount_minor, number, unit_id, channel, product_id,
       person_id, coalesce(account_id::text, '') AS account_id"""
_PAGE = """(transaction_id, code, product_id) > (%(after)s::uuid, %(after_code)s, %(after_product)s)
 ORDER BY transaction_id, code, product_id LIMIT %(limit)s"""


def trace_sql(which: str, alike: Sequence[str]) -> str:
    """One page of facts. Foreign money is converted where it has been added up, by what is `alike`; `before` is what the rows
    before one add up to there, so that what each row brings adds up to the figure without a rest. Balances are converted one by
    one."""
    return f"""
WITH part AS NOT MATERIALIZED ({which}),
     page AS (SELECT {_SHOWN} FROM part WHERE {_PAGE}),
     abroad AS (
    SELECT transaction_id, code, product_id,
           sum(amount_minor) OVER (PARTITION BY currency, code, {", ".join(alike)} ORDER BY transaction_id, product_id
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM part
     WHERE currency <> %(currency)s AND code <> 'stock' AND EXISTS (SELECT FROM page WHERE currency <> %(currency)s))
SELECT page.*, coalesce(abroad.before, 0)::bigint AS before
  FROM page LEFT JOIN abroad USING (transaction_id, code, product_id)
 ORDER BY transaction_id, code, product_id
"""


TRACE = f"""
SELECT * FROM economic_fact
 WHERE {{day}} BETWEEN %(begin)s AND %(end)s AND {KNOWN} AND {SEEN}
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s) AND code = ANY(%(codes)s)
"""

# With a moment, what was known then; else what is known now, which partial indexes hold.
NOW = "known_until IS NULL"


def known(at: datetime | None) -> str:
    return NOW if at is None else KNOWN


# The last balance of each product and warehouse; `products` empty: of all.
_HELD = """
SELECT DISTINCT ON (product_id, warehouse) *
  FROM economic_fact
 WHERE code = 'stock' AND {known} AND day <= %(day)s
   AND (cardinality(%(products)s::text[]) = 0 OR product_id = ANY(%(products)s))
 ORDER BY product_id, warehouse, day DESC, known_from DESC, transaction_id
"""
HELD = f"SELECT product_id, warehouse, day, currency, amount_minor AS amount, quantity FROM ({_HELD}) AS held"
_SOLD = """
SELECT * FROM economic_fact
 WHERE code = %(goods)s AND {known} AND day BETWEEN %(since)s AND %(day)s
   AND (cardinality(%(products)s::text[]) = 0 OR product_id = ANY(%(products)s))
"""
SOLD = f"""
SELECT product_id, currency, CASE WHEN currency = %(currency)s THEN NULL ELSE day END AS day, sum(amount_minor)::bigint AS amount,
       count(*) AS entries
  FROM ({_SOLD}) AS sold GROUP BY 1, 2, 3
"""
TRACE_STOCK = f"SELECT * FROM ({_HELD}) AS held UNION ALL {_SOLD}"
LIGHTS = "SELECT product_id, light FROM stock_light WHERE product_id = ANY(%(products)s)"
PUT_LIGHTS = """
INSERT INTO stock_light (product_id, light) SELECT * FROM unnest(%(products)s::text[], %(lights)s::text[])
ON CONFLICT (product_id) DO UPDATE SET light = excluded.light
"""

FOREIGN = "SELECT DISTINCT currency, month FROM account_sum WHERE currency <> %(currency)s AND entries <> 0"
# Foreign money is worth what it was worth on the first of its month.
LIFETIMES = """
WITH monthly AS (
    SELECT s.account_id, s.month, coalesce(sum(s.entries) FILTER (WHERE s.code = 'orders'), 0) AS orders,
           round(sum(s.amount_minor * coalesce(r.factor, 1) * CASE WHEN s.code = 'revenue' THEN 1
                     WHEN s.code = %(goods)s OR s.code LIKE 'cost:%%' THEN -1 ELSE 0 END))::bigint AS margin
      FROM account_sum s
      LEFT JOIN jsonb_to_recordset(%(rates)s) AS r (currency text, month date, factor numeric) USING (currency, month)
     WHERE s.entries <> 0 AND (%(account_id)s::uuid IS NULL OR s.account_id = %(account_id)s) GROUP BY 1, 2),
whole AS (
    SELECT account_id, sum(margin)::bigint AS realised, sum(orders)::bigint AS orders, jsonb_object_agg(month, margin) AS margins
      FROM monthly GROUP BY 1)
SELECT a.id, a.name, a.owner_id, a.unit_id, w.realised, w.orders, w.margins, f.day AS first_day, f.channel, l.day AS last_day
  FROM whole w JOIN account a ON a.id = w.account_id
 CROSS JOIN LATERAL (SELECT day, channel FROM economic_fact WHERE account_id = a.id AND known_until IS NULL
                        AND code IN ('orders', 'revenue') ORDER BY day LIMIT 1) f
 CROSS JOIN LATERAL (SELECT day FROM economic_fact WHERE account_id = a.id AND known_until IS NULL
                        AND code IN ('orders', 'revenue') ORDER BY day DESC LIMIT 1) l
 WHERE (%(scope_company)s OR a.owner_id = %(scope_owner)s OR a.unit_id = ANY(%(scope_units)s))
   AND (%(units)s::text[] IS NULL OR a.unit_id = ANY(%(units)s)) AND (%(owner_id)s = '' OR a.owner_id = %(owner_id)s)
   AND (%(channel)s = '' OR f.channel = %(channel)s)
   AND (%(first_from)s::date IS NULL OR f.day >= %(first_from)s) AND (%(first_to)s::date IS NULL OR f.day <= %(first_to)s)
   AND (-w.realised, a.id) > (%(after)s, %(after_id)s::uuid)
 ORDER BY -w.realised, a.id LIMIT %(limit)s
"""

# What one customer brought, up to a day, in the company's money. The worth of a month is rounded once, as in LIFETIMES: a row
# brings the difference it makes to what is rounded.
_BROUGHT = """
SELECT f.*, round(upto) - round(upto - worth) AS brought
  FROM (SELECT w.*, sum(worth) OVER (PARTITION BY month ORDER BY transaction_id, code, product_id) AS upto
          FROM (SELECT f.*, amount_minor * coalesce(r.factor, 1) * CASE WHEN code = 'revenue' THEN 1 ELSE -1 END AS worth
                  FROM economic_fact f
                  LEFT JOIN jsonb_to_recordset(%(rates)s) AS r (currency text, month date, factor numeric) USING (currency, month)
                 WHERE account_id = %(account_id)s AND {known} AND day <= %(end)s
                   AND (code IN ('revenue', %(goods)s) OR code LIKE 'cost:%%')) w) f
"""
BROUGHT = (
    f"SELECT code, sum(brought)::bigint AS amount, count(*) AS entries FROM ({_BROUGHT}) AS f GROUP BY 1 ORDER BY 1"
)
TRACE_LIFETIME = f"""
SELECT {_SHOWN}, 0::bigint AS before, brought::bigint AS brought FROM ({_BROUGHT}) AS f WHERE {_PAGE}
"""
ACCOUNT_MONEY = """
SELECT DISTINCT currency, month FROM economic_fact
 WHERE account_id = %(account_id)s AND {known} AND day <= %(end)s AND currency <> %(currency)s
"""
OWNER = "SELECT owner_id, unit_id FROM account WHERE id = %(account_id)s"


@dataclass(frozen=True, slots=True)
class Worth:
    """What one customer has brought; `margins` by first day of the month, minor units of the company's money."""

    id: str
    name: str
    owner_id: str
    unit_id: str
    realised: int
    orders: int
    margins: dict[str, int]
    first_day: date
    channel: str
    last_day: date


@dataclass(frozen=True, slots=True)
class Summed:
    """What one group of facts adds up to; `day` is there where the money is foreign."""

    keys: list[str]
    code: str
    currency: str
    day: date | None
    amount: int
    entries: int


@dataclass(frozen=True, slots=True)
class Traced:
    """One fact behind a figure."""

    transaction_id: str
    source: str
    source_id: str
    code: str
    currency: str
    day: date
    known_from: datetime
    amount_minor: int
    number: str
    unit_id: str
    channel: str
    product_id: str
    person_id: str
    account_id: str
    # What the rows before it add up to where its money is converted.
    before: int
    # In the company's money, where the query says so.
    brought: int = 0


def supersede(tx: Transaction, keys: Sequence[tuple[str, str]], now: datetime) -> None:
    tx.do(CLOSE, {"sources": [key[0] for key in keys], "source_ids": [key[1] for key in keys], "now": now})


def close(tx: Transaction, until: dict[str, datetime]) -> None:
    """By transaction: when it was superseded."""
    tx.do(CLOSE_EACH, {"ids": list(until), "untils": list(until.values())})


def forget(tx: Transaction, transaction_ids: Sequence[str]) -> None:
    tx.do(FORGET, {"ids": list(transaction_ids)})


def put(tx: Transaction, facts: Sequence[Fact], numbers: Sequence[str]) -> None:
    """`numbers` are the orders they are, or stand on."""
    if facts:
        tx.do(rows.insert("economic_fact", Fact), {"rows": rows.pack(facts)})
    if numbers:
        tx.do(ADOPT, {"numbers": list(numbers)})


async def deals(tx: Transaction, transaction_ids: Sequence[str], numbers: Sequence[str]) -> list[str]:
    found = await tx.all(DEALS, {"ids": list(transaction_ids), "numbers": list(numbers)})
    return [str(row["opportunity_id"]) for row in found]


async def deals_of(tx: Transaction, keys: Sequence[tuple[str, str]]) -> list[str]:
    """Whose margin what is in force of these documents is part of."""
    asked = {"sources": [key[0] for key in keys], "source_ids": [key[1] for key in keys]}
    return [str(row["opportunity_id"]) for row in await tx.all(DEALS_OF, asked)]


async def of_deals(tx: Transaction, ids: Sequence[str]) -> list[dict[str, Any]]:
    return await tx.all(OF_DEALS, {"ids": list(ids)})


async def told(tx: Transaction, ids: Sequence[str]) -> dict[str, int]:
    """Counts the tellings of these deals up."""
    return {str(row["opportunity_id"]): row["version"] for row in await tx.all(TOLD, {"ids": list(ids)})}


async def totals(
    db: Reader, dimensions: Sequence[str], month: str, params: dict[str, Any], *, fine: bool, foreign: bool
) -> list[Summed]:
    return await db.all(totals_sql(dimensions, month, fine=fine, foreign=foreign), params, into=Summed)


async def loaded(db: Reader, begin: date, end: date, currency: str) -> tuple[bool, bool]:
    """Whether anything is known of these days; whether anything was ever in other money."""
    found = await db.one(LOADED, {"begin": begin, "end": end, "currency": currency})
    return (found["loaded"], found["is_foreign"]) if found else (False, False)


async def as_of(db: Reader, at: datetime | None) -> datetime | None:
    found: datetime | None = await db.value(AS_OF, {"at": at})
    return found


async def titles(db: Reader, ids: Sequence[str]) -> dict[str, str]:
    return {row["id"]: row["name"] for row in await db.all(TITLES, {"ids": list(ids)})} if ids else {}


async def trace(db: Reader, month: str, params: dict[str, Any]) -> list[Traced]:
    which = TRACE.format(day="day" if month == "month" else "booked_month")
    return await db.all(trace_sql(which, ("day",)), params, into=Traced)


async def trace_stock(db: Reader, params: dict[str, Any]) -> list[Traced]:
    which = TRACE_STOCK.format(known=known(params["at"]))
    return await db.all(trace_sql(which, ("product_id", "day")), params, into=Traced)


async def brought(db: Reader, params: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """By code: what a customer brought, and by how many facts."""
    found = await db.all(BROUGHT.format(known=known(params["at"])), params)
    return {row["code"]: (row["amount"], row["entries"]) for row in found}


async def trace_lifetime(db: Reader, params: dict[str, Any]) -> list[Traced]:
    return await db.all(TRACE_LIFETIME.format(known=known(params["at"])), params, into=Traced)


async def account_money(db: Reader, params: dict[str, Any]) -> list[tuple[str, date]]:
    found = await db.all(ACCOUNT_MONEY.format(known=known(params["at"])), params)
    return [(row["currency"], row["month"]) for row in found]


async def owner(db: Reader, account_id: str) -> tuple[str, str] | None:
    """Owner and unit of a customer."""
    found = await db.one(OWNER, {"account_id": account_id})
    return (found["owner_id"], found["unit_id"]) if found else None


async def lights(tx: Transaction, products: Sequence[str]) -> dict[str, str]:
    return {row["product_id"]: row["light"] for row in await tx.all(LIGHTS, {"products": list(products)})}


def put_lights(tx: Transaction, told: dict[str, str]) -> None:
    if told:
        tx.do(PUT_LIGHTS, {"products": list(told), "lights": list(told.values())})


async def foreign(db: Reader, currency: str) -> list[tuple[str, date]]:
    return [(row["currency"], row["month"]) for row in await db.all(FOREIGN, {"currency": currency})]


async def lifetimes(db: Reader, params: dict[str, Any]) -> list[Worth]:
    return await db.all(LIFETIMES, params, into=Worth)
