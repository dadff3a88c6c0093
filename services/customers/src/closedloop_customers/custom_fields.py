"""Which fields a company may add to accounts, contacts and leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis.custom_fields import CustomField, CustomFieldRules


class FieldRules(CustomFieldRules):
    """Declared fields by kind of record."""

    rulebook: ClassVar[str] = "customers.fields"

    account: dict[str, CustomField] = Field(default_factory=dict)
    contact: dict[str, CustomField] = Field(default_factory=dict)
    lead: dict[str, CustomField] = Field(default_factory=dict)


# Said only where it is asked: a plan for any question would not walk the index.
def sought(path: str | None, table: str = "") -> str:
    """The condition of a list: its parameter `custom_fields` is `path`."""
    column = f"{table}.profile" if table else "profile"
    return (
        f"{column} ? 'custom_fields' AND {column}->'custom_fields' @@ %(custom_fields)s::jsonpath" if path else "true"
    )


def check(record: str, profile: Mapping[str, Any], rules: FieldRules) -> None:
    """Raises InvalidArgument CUSTOM_FIELD_INVALID."""
    rules.check(record, profile.get("custom_fields", {}), "profile.custom_fields")
