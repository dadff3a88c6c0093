"""Delegations in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_approvals.delegations.rules import Standing
from closedloop_chassis.data.transaction import Reader, Transaction

COLUMNS = """id, delegator_id, delegate_id, starts_at, ends_at, request_kinds, task_kinds, limit_minor, limit_currency,
       reason, created_by, created_at, unit_id, version"""


@dataclass(frozen=True, slots=True)
class Delegation:
    """One person standing in for another; `unit_id` is the delegator's, for who may see it."""

    id: str
    delegator_id: str
    delegate_id: str
    starts_at: datetime
    ends_at: datetime
    request_kinds: list[str]
    task_kinds: list[str]
    limit_minor: int | None
    limit_currency: str
    reason: str
    created_by: str
    created_at: datetime
    unit_id: str
    version: int

    @property
    def standing(self) -> Standing:
        kinds = tuple(self.request_kinds), tuple(self.task_kinds)
        return Standing(self.id, self.delegator_id, self.delegate_id, self.starts_at, self.ends_at, *kinds)


# Delegations of the same persons are made one after the other; locks in one order.
LOCK = """
SELECT pg_advisory_xact_lock(hashtext('delegation'), h)
  FROM (SELECT hashtext(p) AS h FROM unnest(%(people)s::text[]) p ORDER BY 1) in_order
"""
NEAR = f"""
SELECT {COLUMNS} FROM delegation
 WHERE delegator_id = ANY(%(people)s) AND starts_at < %(ends_at)s AND ends_at > %(starts_at)s
"""
ADD = f"""
INSERT INTO delegation ({COLUMNS})
VALUES (%(id)s, %(delegator_id)s, %(delegate_id)s, %(starts_at)s, %(ends_at)s, %(request_kinds)s, %(task_kinds)s,
        %(limit_minor)s, %(limit_currency)s, %(reason)s, %(created_by)s, %(created_at)s, %(unit_id)s, %(version)s)
"""
GET = f"SELECT {COLUMNS} FROM delegation WHERE id = %(id)s"
END = """
UPDATE delegation SET ends_at = %(ends_at)s, starts_at = least(starts_at, %(ends_at)s), version = version + 1
 WHERE id = %(id)s
"""
LIST = f"""
SELECT {COLUMNS} FROM delegation
 WHERE (%(scope_company)s OR delegator_id = %(scope_owner)s OR delegate_id = %(scope_owner)s
        OR unit_id = ANY(%(scope_units)s))
   AND (delegator_id = %(person)s OR delegate_id = %(person)s)
   AND (%(states)s::text[] IS NULL OR ANY_STATE = ANY(%(states)s))
   AND starts_at < coalesce(%(to)s::timestamptz, 'infinity') AND ends_at > coalesce(%(from)s::timestamptz, '-infinity')
   AND (starts_at, id) < (%(before)s::timestamptz, %(before_id)s::uuid)
 ORDER BY starts_at DESC, id DESC LIMIT %(limit)s
""".replace(
    "ANY_STATE",
    "CASE WHEN ends_at <= %(now)s THEN 'ended' WHEN starts_at > %(now)s THEN 'planned' ELSE 'in_force' END",
)


async def near(tx: Transaction, people: list[str], starts_at: datetime, ends_at: datetime) -> list[Delegation]:
    """Delegations given by these people that touch the period; they give no others meanwhile."""
    tx.do(LOCK, {"people": people})
    return await tx.all(NEAR, {"people": people, "starts_at": starts_at, "ends_at": ends_at}, into=Delegation)


def add(tx: Transaction, delegation: Delegation) -> None:
    tx.do(ADD, {name: getattr(delegation, name) for name in Delegation.__slots__})


async def get(db: Reader, delegation_id: str) -> Delegation | None:
    return await db.one(GET, {"id": delegation_id}, into=Delegation)


async def lock(tx: Transaction, delegation_id: str) -> Delegation | None:
    return await tx.one(f"{GET} FOR UPDATE", {"id": delegation_id}, into=Delegation)


def end(tx: Transaction, delegation_id: str, ends_at: datetime) -> None:
    tx.do(END, {"id": delegation_id, "ends_at": ends_at})


async def page(db: Reader, params: Mapping[str, Any]) -> list[Delegation]:
    return await db.all(LIST, dict(params), into=Delegation)
