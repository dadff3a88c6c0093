"""Lets in whom the contract grants the RPC, and says how far the caller's sight reaches in this call."""

from __future__ import annotations

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.work import Caller, Scope

REACHES = ("own", "unit", "subtree", "company")


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    table = _table(method)
    org = edge.process.org

    async def authorization(exchange: Exchange) -> bytes:
        caller = exchange.caller
        width = max((table[role] for role in caller.roles if role in table), default=-1)
        if width < 0:
            raise errors.PermissionDenied(
                "ROLE_NOT_GRANTED",
                f"none of the caller's roles may call {method.name}",
                allowed=", ".join(sorted(table)),
            )
        exchange.scope = scope(caller, REACHES[width], org.current)
        return await following(exchange)

    return authorization


def scope(caller: Caller, reach: str, org: OrgSnapshot) -> Scope:
    """The records `caller` may touch by a grant of `reach`; who is not in the org, or no longer, has only their own."""
    if reach == "company":
        return Scope(company=True, owner_id=caller.subject, unit_ids=frozenset())
    person = None if reach == "own" else org.person(caller.subject)
    units: frozenset[str] = frozenset()
    if person is not None and person.active:
        units = org.subtree(person.unit_id) if reach == "subtree" else frozenset({person.unit_id})
    return Scope(company=False, owner_id=caller.subject, unit_ids=units)


def _table(method: Method) -> dict[str, int]:
    """Role to the index of its widest reach."""
    table: dict[str, int] = {}
    for role, reach in method.grants:
        if reach not in REACHES:
            raise LookupError(f"{method.full_name} grants {role} no reach")
        table[role] = max(table.get(role, -1), REACHES.index(reach))
    return table
