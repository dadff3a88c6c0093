"""Fields a company adds to accounts, contacts and leads, typed by the rulebook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Part, Rules


class CustomField(Part):
    title: str
    type: Literal["text", "number", "boolean", "date", "choice"]
    choices: tuple[str, ...] = ()


class FieldRules(Rules):
    """Custom fields by name. `others_allowed`: fields nobody has declared are kept as they come."""

    rulebook: ClassVar[str] = "customers.fields"

    account: dict[str, CustomField] = Field(default={})
    contact: dict[str, CustomField] = Field(default={})
    lead: dict[str, CustomField] = Field(default={})
    others_allowed: bool = True


def check(record: str, profile: Mapping[str, Any], rules: FieldRules) -> None:
    """Raises InvalidArgument CUSTOM_FIELD_INVALID for an undeclared field or a value of another type."""
    declared: Mapping[str, CustomField] = getattr(rules, record)
    wrong = {
        f"profile.custom_fields.{name}": problem
        for name, value in profile.get("custom_fields", {}).items()
        if (problem := _problem(declared.get(name), value, rules.others_allowed))
    }
    if wrong:
        raise errors.InvalidArgument("CUSTOM_FIELD_INVALID", "; ".join(f"{k}: {v}" for k, v in wrong.items()), wrong)


def _problem(field: CustomField | None, value: Any, others_allowed: bool) -> str:
    if field is None:
        return "" if others_allowed else "customers.fields does not declare it"
    if value is None:
        return ""
    if field.type == "choice":
        return "" if value in field.choices else f"one of {', '.join(field.choices)}"
    if field.type == "date":
        try:
            date.fromisoformat(str(value))
        except ValueError:
            return "a day as 2026-01-05"
        return ""
    wanted = {"text": str, "number": (int, float), "boolean": bool}[field.type]
    right = isinstance(value, wanted) and (field.type == "boolean" or not isinstance(value, bool))  # type: ignore[arg-type]
    return "" if right else f"a {field.type}"
