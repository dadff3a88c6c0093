"""Who may do what here, as far as a company wants it narrower than the contract grants it (S100)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from closedloop_chassis import contract, packages
from closedloop_chassis.contract import Method
from closedloop_chassis.rulebook.rules import Rules

# The services need each other, and whoever keeps the platform must be able to take a mistake back.
RoleWord = Literal["rep", "manager", "operations", "engineer", "signatory", "executive", "auditor", "integration"]
ReachWord = Literal["none", "own", "unit", "subtree", "company"]
REACHES: tuple[str, ...] = ("own", "unit", "subtree", "company")
NOWHERE = -1
NOTHING: Mapping[str, int] = {}


class PermissionRules(Rules):
    """`narrowed`: "customers.AccountService" or "customers.AccountService.ListAccounts" → role → how far it reaches there.

    Never wider than the contract: deny stays the default. What is said of an RPC goes before what is said of all of its
    service. Rulebooks, clocks, events and the audit trail (closedloop.platform) are out of it."""

    rulebook: ClassVar[str] = "platform.permissions"

    narrowed: dict[str, dict[RoleWord, ReachWord]] = Field(default_factory=dict, max_length=1000)

    @field_validator("narrowed")
    @classmethod
    def _of_the_contract(cls, narrowed: dict[str, dict[RoleWord, ReachWord]]) -> dict[str, dict[RoleWord, ReachWord]]:
        for name, reaches in narrowed.items():
            found = _methods(name)
            for role, reach in reaches.items():
                granted = max((_granted(method, role) for method in found), default=NOWHERE)
                if granted == NOWHERE:
                    raise ValueError(f"{name}: the contract lets no {role} in; there is nothing to narrow")
                if _width(reach) > granted:
                    raise ValueError(f"{name}: the contract gives a {role} no more than {REACHES[granted]}")
        return narrowed

    def of(self, method: str) -> Mapping[str, int]:
        """Role → index of its reach for an RPC by its full name; NOWHERE: not let in. Roles not named are as granted."""
        return self._by_method.get(method, NOTHING) if self.narrowed else NOTHING

    @cached_property
    def _by_method(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for name in sorted(self.narrowed, key=lambda one: one.count(".")):
            for method in _methods(name):
                widths = found.setdefault(method.full_name, {})
                widths.update({role: _width(reach) for role, reach in self.narrowed[name].items()})
        return found


def _methods(name: str) -> list[Method]:
    """Those of "customers.AccountService" or of one RPC of it. Raises ValueError for what no contract has."""
    owner, _, rest = name.partition(".")
    service, _, rpc = rest.partition(".")
    full = f"closedloop.{owner}.v1.{service}"
    try:
        known = packages.services(f"closedloop.{owner}.v1") if owner != "platform" else ()
    except LookupError:
        known = ()
    found = [method for method in contract.methods(full) if rpc in ("", method.name)] if full in known else []
    if not found:
        raise ValueError(f"{name} is no RPC; write it like customers.AccountService.ListAccounts")
    return found


def _granted(method: Method, role: str) -> int:
    return max((REACHES.index(reach) for one, reach in method.grants if one == role), default=NOWHERE)


def _width(reach: str) -> int:
    return NOWHERE if reach == "none" else REACHES.index(reach)
