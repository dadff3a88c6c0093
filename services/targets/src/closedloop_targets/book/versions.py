"""Plans and versions as whoever works on their targets needs them."""

from __future__ import annotations

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_targets.book.model import Plan, Version

PLAN = "SELECT * FROM plan WHERE id = %(id)s"
VERSION = "SELECT * FROM plan_version WHERE plan_id = %(plan_id)s AND number = %(number)s"
LOCK_VERSION = VERSION + " FOR UPDATE"
TOUCH = "UPDATE plan_version SET version = version + 1 WHERE plan_id = %(plan_id)s AND number = %(number)s"


async def plan(reader: Reader | Transaction, plan_id: str) -> Plan:
    """Raises NotFound PLAN_NOT_FOUND."""
    found = await reader.one(PLAN, {"id": plan_id}, into=Plan)
    if found is None:
        raise errors.NotFound("PLAN_NOT_FOUND", f"there is no plan {plan_id}")
    return found


async def lock_version(tx: Transaction, plan_id: str, number: int) -> Version:
    """Raises NotFound VERSION_NOT_FOUND."""
    return _found(await tx.one(LOCK_VERSION, {"plan_id": plan_id, "number": number}, into=Version), plan_id, number)


async def version(reader: Reader | Transaction, plan_id: str, number: int) -> Version:
    return _found(await reader.one(VERSION, {"plan_id": plan_id, "number": number}, into=Version), plan_id, number)


def _found(found: Version | None, plan_id: str, number: int) -> Version:
    if found is None:
        raise errors.NotFound("VERSION_NOT_FOUND", f"plan {plan_id} has no version {number or 'in force'}")
    return found
