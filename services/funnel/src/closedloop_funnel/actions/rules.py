"""Which action units there are (S53). Their parts are in `units.py`, the packs a company starts with in `defaults.py`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.actions.defaults import UNITS
from closedloop_funnel.actions.units import CheckRule, UnitRule


class UnitRules(Rules):
    """Units by key; a stage of a pipeline names those expected in it (`action_unit_keys`)."""

    rulebook: ClassVar[str] = "funnel.action_units"

    units: dict[str, UnitRule] = Field(default_factory=lambda: dict(UNITS))

    def form_of(self, key: str) -> CheckRule | None:
        """The matrix that the unit asks for; None where it asks for none, or is none."""
        unit = self.units.get(key)
        return next((check for check in unit.checks if check.kind == "matrix"), None) if unit else None
