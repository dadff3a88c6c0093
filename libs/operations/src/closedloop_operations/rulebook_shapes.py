"""The shapes of all rulebooks, as the command line carries them: packs are judged where no service is."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from closedloop_chassis import platform
from closedloop_chassis.rulebook.rules import Rules
from closedloop_operations.environment import SERVICES

PATH = Path("clients/cli/src/closedloop_cli/packs/rulebooks.json")
# Those whose built-in words other files of a pack refer to.
REFERRED_TO = frozenset({"targets.org", "funnel.pipelines", "funnel.action_units", "approvals.policies"})
# Said for people; a shape is the same without.
_WORDS = frozenset({"title", "description"})
_BY_NAME = frozenset({"properties", "$defs"})


def text() -> str:
    """One rulebook a line, by name: {"services", "schema"}, and "body" as it is built in where others refer to it."""
    owners: dict[type[Rules], list[str]] = {}
    for service in SERVICES:
        definition = import_module(f"closedloop_{service}.service").SERVICE
        for part in (platform.SLICE, *definition.slices):
            for model in part.rules:
                owners.setdefault(model, []).append(service)
    found = {model.rulebook: _shape(model, services) for model, services in owners.items()}
    lines = (f"{json.dumps(name)}: {json.dumps(found[name], ensure_ascii=False)}" for name in sorted(found))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _shape(model: type[Rules], services: list[str]) -> dict[str, Any]:
    schema = _bare(model.model_json_schema())
    # What a part is where nobody says so, leaves a body short; of the whole the services tell it.
    schema["properties"] = {name: _without_default(one) for name, one in schema["properties"].items()}
    shape: dict[str, Any] = {"services": services, "schema": schema}
    if model.rulebook in REFERRED_TO:
        shape["body"] = model().model_dump(mode="json")
    return shape


def _without_default(schema: dict[str, Any]) -> dict[str, Any]:
    return {word: value for word, value in schema.items() if word != "default"}


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        word: {name: _bare(item) for name, item in value.items()} if word in _BY_NAME else _bare(value)
        for word, value in schema.items()
        if word not in _WORDS
    }
