"""Which fields a company may add to units, people, products, plans and targets (S100)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from closedloop_chassis.custom_fields import CustomField, CustomFieldRules


class TargetFieldRules(CustomFieldRules):
    """Declared fields by kind of record."""

    rulebook: ClassVar[str] = "targets.custom_fields"

    unit: dict[str, CustomField] = Field(default_factory=dict)
    person: dict[str, CustomField] = Field(default_factory=dict)
    product: dict[str, CustomField] = Field(default_factory=dict)
    plan: dict[str, CustomField] = Field(default_factory=dict)
    target: dict[str, CustomField] = Field(default_factory=dict)
