"""Which fields a company may add to deals, activities, quotes and contracts."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from closedloop_chassis.custom_fields import CustomField, CustomFieldRules


class FunnelFieldRules(CustomFieldRules):
    """Declared fields by kind of record."""

    rulebook: ClassVar[str] = "funnel.custom_fields"

    opportunity: dict[str, CustomField] = Field(default_factory=dict)
    activity: dict[str, CustomField] = Field(default_factory=dict)
    quote: dict[str, CustomField] = Field(default_factory=dict)
    contract: dict[str, CustomField] = Field(default_factory=dict)
