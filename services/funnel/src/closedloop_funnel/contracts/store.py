"""Contracts in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.clearance.deal import ASKED_FOR, CUSTOMER, DEAL
from closedloop_funnel.contracts.record import Contract, Seen
from closedloop_funnel.pipelines import scope

QUOTE = """
jsonb_build_object('id', q.id, 'state', q.state, 'valid_until', q.valid_until, 'total_minor', q.total_minor,
                   'currency', q.currency, 'discount_ratio', q.discount_ratio, 'lines', q.lines,
                   'product_ids', (SELECT coalesce(jsonb_agg(DISTINCT l ->> 'product_id'), '[]')
                                     FROM jsonb_array_elements(q.lines) l))
"""
# What the customer was offered last, for a contract that names no quote.
OFFERED = """
(SELECT jsonb_build_object('total_minor', i.total_minor, 'currency', i.currency) FROM quote i
  WHERE i.opportunity_id = {0} AND i.state IN ('issued', 'accepted') ORDER BY i.issued_at DESC, i.id DESC LIMIT 1)
"""
SEEN = f"""
SELECT {rows.listed(Contract, "c")}, {DEAL} AS deal, CASE WHEN q.id IS NOT NULL THEN {QUOTE} END AS quote,
       {ASKED_FOR.format("c")} AS asked_for_id,
       CASE WHEN c.quote_id IS NULL THEN {OFFERED.format("c.opportunity_id")} END AS offered
  FROM contract c JOIN opportunity o ON o.id = c.opportunity_id {CUSTOMER} LEFT JOIN quote q ON q.id = c.quote_id
"""
GET = f"{SEEN} WHERE c.id = %(id)s"
LOCK = f"{GET} FOR UPDATE OF c"

BASIS = f"""
SELECT (SELECT {DEAL} FROM opportunity o {CUSTOMER}
         WHERE o.id = %(opportunity_id)s) AS deal,
       (SELECT {QUOTE} FROM quote q WHERE id = %(quote_id)s::uuid AND opportunity_id = %(opportunity_id)s) AS quote,
       CASE WHEN %(numbered)s THEN 0 ELSE nextval('contract_number') END AS sequence
"""

INSERT = rows.insert("contract", Contract)
UPDATE = rows.update("contract", Contract)
TAKEN = {"contract_number_key": errors.AlreadyExists("CONTRACT_NUMBER_TAKEN", "another contract has this number")}

# Only where it is asked for, so that the partial index serves it.
OWN = "AND c.custom_fields <> '{}' AND c.custom_fields @@ %(custom_fields)s::jsonpath"
LIST = f"""
{SEEN}
 WHERE (%(scope_company)s OR c.owner_id = %(scope_owner)s OR c.unit_id = ANY(%(scope_units)s)
        OR %(scope_owner)s = ANY(o.participant_ids))
   AND (%(opportunity_id)s::uuid IS NULL OR c.opportunity_id = %(opportunity_id)s)
   AND (%(account_id)s::uuid IS NULL OR o.account_id = {scope.PART_OF.format("account_id")})
   AND (%(in_owner)s = '' OR c.owner_id = %(in_owner)s)
   AND (%(units)s::text[] IS NULL OR c.unit_id = ANY(%(units)s))
   AND (%(states)s::text[] IS NULL OR c.state = ANY(%(states)s))
   AND (%(from)s::date IS NULL OR c.sign_date >= %(from)s)
   AND (%(to)s::date IS NULL OR c.sign_date <= %(to)s)
   {{own}}
   AND (c.created_at < %(after)s::timestamptz OR (c.created_at = %(after)s::timestamptz AND c.id > %(after_id)s::uuid))
 ORDER BY c.created_at DESC, c.id
 LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Basis:
    deal: dict[str, Any] | None
    quote: dict[str, Any] | None
    sequence: int


async def basis(tx: Transaction, opportunity_id: str, quote_id: str, *, numbered: bool) -> Basis:
    params = {"opportunity_id": opportunity_id, "quote_id": quote_id or None, "numbered": numbered}
    found = await tx.one(BASIS, params, into=Basis)
    assert found is not None
    return found


async def get(db: Reader, contract_id: str) -> Seen:
    """Raises NotFound CONTRACT_UNKNOWN."""
    return _there(await db.one(GET, {"id": contract_id}, into=Seen), contract_id)


async def lock(tx: Transaction, contract_id: str) -> Seen:
    """Raises NotFound CONTRACT_UNKNOWN."""
    return _there(await tx.one(LOCK, {"id": contract_id}, into=Seen), contract_id)


def _there(found: Seen | None, contract_id: str) -> Seen:
    if found is None:
        raise errors.NotFound("CONTRACT_UNKNOWN", f"no contract {contract_id}")
    return found


async def lock_many(tx: Transaction, ids: Sequence[str]) -> list[Seen]:
    """Those that are there, locked in the order of their ids."""
    return await tx.all(
        f"{SEEN} WHERE c.id = ANY(%(ids)s::uuid[]) ORDER BY c.id FOR UPDATE OF c", {"ids": list(ids)}, into=Seen
    )


async def page(db: Reader, params: dict[str, Any]) -> list[Seen]:
    own = OWN if params["custom_fields"] is not None else ""
    return await db.all(LIST.replace("{own}", own), params, into=Seen)


def add(tx: Transaction, contract: Contract) -> None:
    tx.do(INSERT, {"rows": rows.pack([contract], only=rows.columns(Contract))}, refuse=TAKEN)


def save_many(tx: Transaction, contracts: Sequence[Contract]) -> None:
    if contracts:
        tx.do(UPDATE, {"rows": rows.pack(contracts, only=rows.columns(Contract))})


def save(tx: Transaction, contract: Contract) -> None:
    tx.do(UPDATE, {"rows": rows.pack([contract], only=rows.columns(Contract))})
