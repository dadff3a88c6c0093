"""Lets in whom the contract grants the RPC, and says how far the caller's sight reaches in this call; a company may want
either narrower."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.permissions import NOWHERE, REACHES, PermissionRules
from closedloop_chassis.work import Caller, Scope


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    granted = table(method)
    org, rulebooks, time = edge.process.org, edge.process.rulebooks, edge.process.time

    async def authorization(exchange: Exchange) -> bytes:
        caller = exchange.caller
        narrowed = rulebooks.in_force(PermissionRules, time.now()).of(method.full_name)
        width = widest(granted, narrowed, caller.roles)
        if width == NOWHERE:
            raise errors.PermissionDenied(
                "ROLE_NOT_GRANTED",
                f"none of the caller's roles may call {method.name}",
                allowed=", ".join(sorted(role for role in granted if widest(granted, narrowed, (role,)) != NOWHERE)),
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


def widest(granted: Mapping[str, int], narrowed: Mapping[str, int], roles: Iterable[str]) -> int:
    """Index of the widest reach that any of the roles has; NOWHERE for none."""
    return max(
        (min(granted[role], narrowed.get(role, granted[role])) for role in roles if role in granted), default=NOWHERE
    )


def table(method: Method) -> dict[str, int]:
    """Role to the index of its widest reach."""
    found: dict[str, int] = {}
    for role, reach in method.grants:
        if reach not in REACHES:
            raise LookupError(f"{method.full_name} grants {role} no reach")
        found[role] = max(found.get(role, NOWHERE), REACHES.index(reach))
    return found
