"""Fields a company adds to its records (S100): declared in a service's rulebook, checked whenever they are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field

from closedloop.common.v1.common_pb2 import CustomFieldRange
from closedloop_chassis import errors, protos
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

    def faults(self) -> dict[str, str]:
        """Fields that no value could fill, and titles that two fields of a record share: a column of a file means one."""
        found: dict[str, str] = {}
        for record in type(self).model_fields:
            declared = getattr(self, record)
            if not isinstance(declared, Mapping):
                continue
            titled: dict[str, str] = {}
            for name, one in declared.items():
                if one.options and one.type not in ("text", "date"):
                    found[f"{record}.{name}.options"] = f"are texts, and it is a {one.type}"
                elif bad := [option for option in one.options if _problem(one, option)]:
                    found[f"{record}.{name}.options"] = f"{bad[0]} {_problem(one, bad[0])}"
                if one.title and titled.setdefault(one.title, name) != name:
                    found[f"{record}.{name}.title"] = f"{titled[one.title]} has it"
        return found

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

    def path(self, record: str, equal: Mapping[str, Any], ranges: Iterable[CustomFieldRange]) -> str | None:
        """What a list looks for, as a jsonpath predicate over the custom fields; None: for nothing.

        Raises InvalidArgument CUSTOM_FIELD_INVALID for what the declared fields cannot be.
        """
        declared: Mapping[str, CustomField] = getattr(self, record)
        wrong: dict[str, str] = {}
        found: list[str] = []
        for name, value in equal.items():
            if name not in declared and not self.undeclared:
                wrong[f"custom_fields.{name}"] = f"{self.rulebook} does not declare it"
            elif not isinstance(value, str | float | int):
                wrong[f"custom_fields.{name}"] = "is looked for by a text, a number, true or false"
            elif name in declared and (problem := _problem(declared[name], value)):
                wrong[f"custom_fields.{name}"] = problem
            else:
                found.append(f"{_member(name)} == {_literal(value)}")
        for place, wanted in enumerate(ranges):
            bounds = dict(_bounds(wanted, f"custom_field_ranges[{place}]"))
            kind = declared[wanted.name].type if wanted.name in declared else ""
            if not kind and not self.undeclared:
                wrong[f"custom_field_ranges[{place}]"] = f"{self.rulebook} does not declare {wanted.name}"
            if kind and any((kind == "number") == isinstance(bound, str) for bound in bounds.values()):
                wrong[f"custom_field_ranges[{place}]"] = f"{wanted.name} is declared a {kind}"
            found += [f"{_member(wanted.name)} {sign} {_literal(bound)}" for sign, bound in bounds.items()]
        if wrong:
            raise errors.InvalidArgument(
                "CUSTOM_FIELD_INVALID", "; ".join(f"{name} {problem}" for name, problem in sorted(wrong.items())), wrong
            )
        return " && ".join(found) or None


def _bounds(wanted: CustomFieldRange, field: str) -> Iterator[tuple[str, str | float]]:
    if wanted.HasField("least"):
        yield ">=", wanted.least
    if wanted.HasField("most"):
        yield "<=", wanted.most
    if wanted.HasField("first_day"):
        yield ">=", protos.day(wanted.first_day, f"{field}.first_day").isoformat()
    if wanted.HasField("last_day"):
        yield "<=", protos.day(wanted.last_day, f"{field}.last_day").isoformat()


def _member(name: str) -> str:
    return f"$.{json.dumps(name)}"


def _literal(value: str | float) -> str:
    """Texts in quotes, whatever stands in them; jsonpath writes them as JSON does."""
    return json.dumps(value)


def _problem(field: CustomField, value: Any) -> str:
    kinds: dict[str, tuple[type, ...]] = {"text": (str,), "number": (float, int), "boolean": (bool,), "date": (str,)}
    if not isinstance(value, kinds[field.type]) or (field.type == "number" and isinstance(value, bool)):
        return f"is no {field.type}"
    if field.type == "date":
        try:
            written = date.fromisoformat(str(value)).isoformat()
        except ValueError:
            written = ""
        # Other spellings of a day would be found by no range.
        if written != value:
            return "is no day like 2026-01-05"
    if field.options and value not in field.options:
        return f"is none of {', '.join(field.options)}"
    return ""
