"""Proposals in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One row of `proposal`."""

    id: str
    version: int = 1
    opportunity_id: str
    account_id: str | None
    owner_id: str
    unit_id: str
    title: str
    custom: bool
    summary: str = ""
    clauses: list[dict[str, Any]] = field(default_factory=list)
    attachment_ids: list[str] = field(default_factory=list)
    submitted_at: datetime
    feedback: str = ""
    feedback_at: datetime | None = None
    updated_at: datetime


DEAL = """
SELECT owner_id, unit_id, participant_ids, account_id, state FROM opportunity WHERE id = %(id)s FOR SHARE
"""
INSERT = rows.insert("proposal", Proposal)
UPDATE = rows.update("proposal", Proposal)
GET = f"SELECT {rows.listed(Proposal, 'p')} FROM proposal p WHERE id = %(id)s"
LIST = f"""
SELECT {rows.listed(Proposal, "p")} FROM proposal p
 WHERE {Scope.SQL}
   AND (%(deal)s::uuid IS NULL OR opportunity_id = %(deal)s) AND (%(account)s::uuid IS NULL OR account_id = %(account)s)
   AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(from)s::timestamptz IS NULL OR submitted_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR submitted_at < %(to)s)
   AND (submitted_at < %(after)s::timestamptz OR (submitted_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY submitted_at DESC, id LIMIT %(limit)s
"""


async def deal(tx: Transaction, opportunity_id: str) -> dict[str, Any]:
    """Raises NotFound OPPORTUNITY_UNKNOWN."""
    found = await tx.one(DEAL, {"id": opportunity_id})
    if found is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {opportunity_id}")
    return found


async def get(db: Reader, proposal_id: str) -> Proposal:
    """Raises NotFound PROPOSAL_UNKNOWN."""
    return _there(await db.one(GET, {"id": proposal_id}, into=Proposal), proposal_id)


async def lock(tx: Transaction, proposal_id: str) -> Proposal:
    """Raises NotFound PROPOSAL_UNKNOWN."""
    return _there(await tx.one(f"{GET} FOR UPDATE", {"id": proposal_id}, into=Proposal), proposal_id)


def _there(found: Proposal | None, proposal_id: str) -> Proposal:
    if found is None:
        raise errors.NotFound("PROPOSAL_UNKNOWN", f"no proposal {proposal_id}")
    return found
