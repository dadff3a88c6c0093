"""The rulebooks there are, with their shapes, as this release of the services has them; see `rulebooks.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """`services` that have the rulebook; `schema` of its body. `body`: as built in, where other files refer to it."""

    services: tuple[str, ...]
    schema: dict[str, Any]
    body: dict[str, Any]


def find(name: str) -> Shape | None:
    return _all().get(name)


def names() -> list[str]:
    return list(_all())


def tidy(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body as a person would write it: words in the order of the rulebook, parts without what goes without saying."""
    return _laid_out(name, body, short=True)


def settled(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with sets in order: they come out of a service in any."""
    return _laid_out(name, body, short=False)


def _laid_out(name: str, body: dict[str, Any], *, short: bool) -> dict[str, Any]:
    shape = find(name)
    return dict(_lay(shape.schema, shape.schema, body, short=short)) if shape else body


def _lay(root: dict[str, Any], schema: Any, value: Any, *, short: bool) -> Any:
    schema = _meant(root, schema, value)
    if isinstance(value, list):
        items = [_lay(root, schema.get("items", {}), item, short=short) for item in value]
        return sorted(items, key=str) if schema.get("uniqueItems") else items
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    others = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
    laid = {
        word: _lay(root, known.get(word, others), value[word], short=short)
        for word in (*(word for word in known if word in value), *sorted(set(value) - set(known)))
    }
    return {word: one for word, one in laid.items() if not (short and _unsaid(root, known.get(word, {}), one))}


def _unsaid(root: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    return "default" in schema and _lay(root, schema, schema["default"], short=True) == value


def _meant(root: dict[str, Any], schema: Any, value: Any) -> dict[str, Any]:
    """The schema behind references and choices that speaks of this kind of value."""
    schema = schema if isinstance(schema, dict) else {}
    if "$ref" in schema:
        return _meant(root, root["$defs"][schema["$ref"].rpartition("/")[2]], value)
    kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else ""
    choices = [_meant(root, one, value) for one in schema.get("anyOf", ())]
    return next((one for one in choices if one.get("type") == kind), schema)


@cache
def _all() -> dict[str, Shape]:
    told = json.loads(files(__package__).joinpath("rulebooks.json").read_text("utf-8"))
    return {name: Shape(tuple(one["services"]), one["schema"], one.get("body", {})) for name, one in told.items()}
