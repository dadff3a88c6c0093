"""Fields a company adds to its records (S100): declared in a service's rulebook, checked whenever they are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Part, Rules


class CustomField(Part):
    """One declared field. `options`: what a text may be; empty: anything. A date is a text like 2026-01-05."""

    title: str = Field(default="", max_length=200)
    type: Literal["text", "number", "boolean", "date"] = "text"
    required: bool = False
    options: tuple[str, ...] = ()


class CustomFieldRules(Rules):
    """A service adds a `dict[str, CustomField]` for every kind of record that has custom fields.

    A record may carry undeclared ones only while `undeclared` allows it, and `most` of all kinds together.
    """

    undeclared: bool = True
    most: int = Field(default=200, ge=0, le=1000)

    def check(self, record: str, values: Mapping[str, Any], field: str = "custom_fields") -> None:
        """Raises InvalidArgument CUSTOM_FIELD_INVALID naming every field that is wrong; `field` is where they stand."""
        declared: Mapping[str, CustomField] = getattr(self, record)
        wrong = {name: "is required" for name, one in declared.items() if one.required and values.get(name) is None}
        for name, value in values.items():
            if name not in declared:
                if not self.undeclared:
                    wrong[name] = f"{self.rulebook} does not declare it"
            elif value is not None and (problem := _problem(declared[name], value)):
                wrong[name] = problem
        if len(values) > self.most:
            wrong["*"] = f"more than {self.most} fields"
        if wrong:
            raise errors.InvalidArgument(
                "CUSTOM_FIELD_INVALID",
                "; ".join(f"{name} {problem}" for name, problem in sorted(wrong.items())),
                {f"{field}.{name}": problem for name, problem in wrong.items()},
            )


def _problem(field: CustomField, value: Any) -> str:
    kinds: dict[str, tuple[type, ...]] = {"text": (str,), "number": (float, int), "boolean": (bool,), "date": (str,)}
    if not isinstance(value, kinds[field.type]) or (field.type == "number" and isinstance(value, bool)):
        return f"is no {field.type}"
    if field.type == "date":
        try:
            date.fromisoformat(str(value))
        except ValueError:
            return "is no day like 2026-01-05"
    if field.options and value not in field.options:
        return f"is none of {', '.join(field.options)}"
    return ""
