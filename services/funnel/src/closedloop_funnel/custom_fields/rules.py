"""Fields a company adds to its records (S100): declared in the rulebook, checked when they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Part, Rules


class CustomField(Part):
    """One declared field. `options`: what a text may be; empty: anything."""

    name: str = Field(default="", max_length=200)
    type: Literal["text", "number", "boolean", "date"] = "text"
    required: bool = False
    options: tuple[str, ...] = ()


class CustomFieldRules(Rules):
    """Declared fields by kind of record. A record may carry undeclared ones only while `undeclared` allows it."""

    rulebook: ClassVar[str] = "funnel.custom_fields"

    opportunity: dict[str, CustomField] = Field(default_factory=dict)
    activity: dict[str, CustomField] = Field(default_factory=dict)
    quote: dict[str, CustomField] = Field(default_factory=dict)
    contract: dict[str, CustomField] = Field(default_factory=dict)
    undeclared: bool = True
    most: int = Field(default=200, ge=0, le=1000)


def check(rules: CustomFieldRules, record: str, values: Mapping[str, Any]) -> None:
    """Raises InvalidArgument CUSTOM_FIELD_INVALID naming every field that is wrong."""
    declared: dict[str, CustomField] = getattr(rules, record)
    wrong = {name: "is required" for name, field in declared.items() if field.required and values.get(name) is None}
    for name, value in values.items():
        if name not in declared:
            if not rules.undeclared:
                wrong[name] = "is not declared"
        elif value is not None and (problem := _problem(declared[name], value)):
            wrong[name] = problem
    if len(values) > rules.most:
        wrong["*"] = f"more than {rules.most} fields"
    if wrong:
        raise errors.InvalidArgument(
            "CUSTOM_FIELD_INVALID",
            "; ".join(f"{name} {problem}" for name, problem in sorted(wrong.items())),
            {f"custom_fields.{name}": problem for name, problem in wrong.items()},
        )


def _problem(field: CustomField, value: Any) -> str:
    kinds: dict[str, tuple[type, ...]] = {"text": (str,), "number": (float, int), "boolean": (bool,), "date": (str,)}
    if not isinstance(value, kinds[field.type]) or (field.type == "number" and isinstance(value, bool)):
        return f"is no {field.type}"
    if field.type == "date" and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value)):
        return "is no date like 2026-01-05"
    if field.options and value not in field.options:
        return f"is none of {', '.join(field.options)}"
    return ""
