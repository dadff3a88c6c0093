"""Quotes in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_funnel.clearance.deal import ASKED_FOR, CUSTOMER, DEAL
from closedloop_funnel.pipelines import scope
from closedloop_funnel.quotes.record import Quote, Seen

SEEN = f"""
SELECT {rows.listed(Quote, "q")}, {DEAL} AS deal, {ASKED_FOR.format("q")} AS asked_for_id
  FROM quote q JOIN opportunity o ON o.id = q.opportunity_id {CUSTOMER}
"""
GET = f"{SEEN} WHERE q.id = %(id)s"
LOCK = f"{GET} FOR UPDATE OF q"

PRICES = """
SELECT coalesce(jsonb_object_agg(id, jsonb_build_object('minor', list_minor, 'currency', list_currency)), '{}')
  FROM product WHERE id = ANY(%(product_ids)s)
"""
# What a new quote builds on: its deal, the version it revises, and the next number.
BASIS = f"""
SELECT (SELECT {DEAL} FROM opportunity o {CUSTOMER}
         WHERE o.id = %(opportunity_id)s) AS deal,
       (SELECT to_jsonb(q) || jsonb_build_object('newest', (SELECT max(version) FROM quote WHERE number = q.number))
          FROM quote q WHERE id = %(revises)s::uuid AND opportunity_id = %(opportunity_id)s) AS revised,
       CASE WHEN %(revises)s::uuid IS NULL THEN nextval('quote_number') ELSE 0 END AS sequence
"""


@dataclass(frozen=True, slots=True)
class Superseded:
    """A version out of use, the revision its approval was given for, and when it had gone to the customer."""

    id: str
    submitted_revision: int
    issued_at: datetime | None


INSERT = rows.insert("quote", Quote)
UPDATE = rows.update("quote", Quote)
TAKEN = {
    "quote_number_key": errors.Aborted(
        "QUOTE_REVISED_ALREADY", "somebody revised it meanwhile; read the newest version"
    )
}

# Where a later version is approved, earlier ones are no longer offered, whichever of them was decided first.
SUPERSEDE = """
UPDATE quote earlier
   SET state = 'superseded', revision = earlier.revision + 1, updated_at = %(now)s
  FROM quote decided
 WHERE decided.id = %(id)s::uuid AND earlier.number = decided.number AND earlier.state IN ('approved', 'issued')
   AND EXISTS (SELECT FROM quote newer WHERE newer.number = earlier.number AND newer.version > earlier.version
                  AND newer.state IN ('approved', 'issued', 'accepted'))
RETURNING earlier.id, earlier.submitted_revision, earlier.issued_at
"""

# Only where it is asked for, so that the partial index serves it.
OWN = "AND q.custom_fields <> '{}' AND q.custom_fields @@ %(custom_fields)s::jsonpath"
LIST = f"""
{SEEN}
 WHERE ({Scope.SQL} OR %(scope_owner)s = ANY(o.participant_ids))
   AND (%(opportunity_id)s::uuid IS NULL OR q.opportunity_id = %(opportunity_id)s)
   AND (%(account_id)s::uuid IS NULL OR o.account_id = {scope.PART_OF.format("account_id")})
   AND (%(in_owner)s = '' OR o.owner_id = %(in_owner)s)
   AND (%(units)s::text[] IS NULL OR o.unit_id = ANY(%(units)s))
   AND (%(states)s::text[] IS NULL
        OR CASE WHEN q.state IN ('approved', 'issued') AND q.valid_until < %(today)s THEN 'expired' ELSE q.state END
           = ANY(%(states)s))
   AND (%(from)s::timestamptz IS NULL OR q.created_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR q.created_at < %(to)s)
   {{own}}
   AND (q.created_at < %(after)s::timestamptz OR (q.created_at = %(after)s::timestamptz AND q.id > %(after_id)s::uuid))
 ORDER BY q.created_at DESC, q.id
 LIMIT %(limit)s
"""


class Price(TypedDict):
    """The catalogue's; `minor` is None where it names none."""

    minor: int | None
    currency: str


@dataclass(frozen=True, slots=True)
class Basis:
    deal: dict[str, Any] | None
    revised: dict[str, Any] | None
    sequence: int


async def basis(tx: Transaction, opportunity_id: str, revises: str) -> Basis:
    params = {"opportunity_id": opportunity_id, "revises": revises or None}
    found = await tx.one(BASIS, params, into=Basis)
    assert found is not None
    return found


async def prices(tx: Transaction, product_ids: Iterable[str]) -> dict[str, Price]:
    found: dict[str, Price] = await tx.value(PRICES, {"product_ids": list(product_ids)})
    return found


async def get(db: Reader, quote_id: str) -> Seen:
    """Raises NotFound QUOTE_UNKNOWN."""
    return _there(await db.one(GET, {"id": quote_id}, into=Seen), quote_id)


async def lock(tx: Transaction, quote_id: str) -> Seen:
    """Raises NotFound QUOTE_UNKNOWN."""
    return _there(await tx.one(LOCK, {"id": quote_id}, into=Seen), quote_id)


def _there(found: Seen | None, quote_id: str) -> Seen:
    if found is None:
        raise errors.NotFound("QUOTE_UNKNOWN", f"no quote {quote_id}")
    return found


async def page(db: Reader, params: dict[str, Any]) -> list[Seen]:
    own = OWN if params["custom_fields"] is not None else ""
    return await db.all(LIST.replace("{own}", own), params, into=Seen)


def add(tx: Transaction, quote: Quote) -> None:
    tx.do(INSERT, {"rows": rows.pack([quote], only=rows.columns(Quote))}, refuse=TAKEN)


def save(tx: Transaction, quote: Quote) -> None:
    tx.do(UPDATE, {"rows": rows.pack([quote], only=rows.columns(Quote))})


async def supersede_earlier(tx: Transaction, quote_id: str, now: datetime) -> list[Superseded]:
    """The versions of the offer that go out of use."""
    return await tx.all(SUPERSEDE, {"id": quote_id, "now": now}, into=Superseded)
