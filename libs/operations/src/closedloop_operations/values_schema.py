"""values.schema.json of the charts: Helm refuses what no process would read, with the settings' own types and bounds.

The shape follows the defaults in library/values.yaml; what stands in a settings class is taken from there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from pydantic_settings import BaseSettings

from closedloop_chassis.courier.pace import Pace
from closedloop_chassis.settings import Settings
from closedloop_operations import environment

DRAFT = "http://json-schema.org/draft-07/schema#"
# What a name, a quantity or a list holds that a default cannot tell.
OPEN = {"type": "object"}
TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
QUANTITY = {"anyOf": [{"type": "string", "pattern": r"^[0-9.]+(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"}, {"type": "number"}]}
PEERS = {"type": "array", "items": {"type": "object"}}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
REPLICAS = {"type": "integer", "minimum": 0, "maximum": 100}
SHAPES: dict[str, dict[str, Any]] = {
    "resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: {"type": "object", "additionalProperties": QUANTITY} for key in ("requests", "limits")},
    },
    "pullSecrets": {
        "type": "array",
        "items": {"type": "object", "properties": {"name": TEXT}, "required": ["name"], "additionalProperties": False},
    },
    "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "jwksUrl": {"type": "string", "pattern": "^(https://.+)?$"},
    "url": {"type": "string", "pattern": "^(rediss?://.+)?$"},
    "tolerations": {"type": "array", "items": {"type": "object"}},
    "hostnames": {"type": "array", "items": TEXT},
    "ports of outside": {"type": "array", "items": PORT},
    "replicas": REPLICAS,
    "minReplicas": REPLICAS,
    "maxReplicas": {"type": "integer", "minimum": 1, "maximum": 100},
    "cpuPercent": {"type": "integer", "minimum": 1, "maximum": 100},
    "preStopSeconds": {"type": "integer", "minimum": 0, "maximum": 120},
    "port": PORT,
    **dict.fromkeys(("podAnnotations", "podLabels", "nodeSelector", "annotations", "labels"), TEXTS),
    "affinity": OPEN,
    "peers": TEXTS,
}
POLICY_PEERS = (
    "clients",
    "monitoring",
    "webhooks",
    "dns",
    "database",
    "broker",
    "cache",
    "jwks",
    "telemetry",
    "outside",
)


def of_service(charts: Path, service: str) -> str:
    """The JSON text of `charts`/<service>/values.schema.json."""
    defaults = yaml.safe_load((charts / "library" / "values.yaml").read_text())["exports"]["defaults"]
    schema = _shape(defaults, ())
    properties = schema["properties"]
    own = environment.outside(service)
    properties["settings"] = _settings(Settings, environment.OF_THE_CHART)
    properties["courierSettings"] = _settings(Pace, frozenset())
    properties["outside"]["properties"]["settings"] = _settings(own, frozenset()) if own else _nothing()
    properties["networkPolicy"]["properties"] |= dict.fromkeys(POLICY_PEERS, PEERS)
    properties["service"] = {"const": yaml.safe_load((charts / service / "values.yaml").read_text())["service"]}
    properties["peers"] = SHAPES["peers"]
    # Helm's own: of an umbrella and of the library.
    properties |= {"global": OPEN, "library": OPEN, "enabled": {"type": "boolean"}}
    whole = {"$schema": DRAFT, "title": f"Values of the chart {service}", **schema}
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def of_umbrella(charts: Path) -> str:
    """The JSON text of `charts`/closedloop/values.schema.json; what is a service's is checked by the service's chart."""
    schema = _shape(yaml.safe_load((charts / "closedloop" / "values.yaml").read_text()), ())
    services = {
        "type": "object",
        "properties": {"enabled": {"type": "boolean"}},
        "required": ["enabled"],
    }
    schema["properties"] |= dict.fromkeys(environment.SERVICES, services)
    for server in ("broker", "cache"):
        schema["properties"]["global"]["properties"][server]["properties"]["to"] = PEERS
    whole = {"$schema": DRAFT, "title": "Values of the chart closedloop", **schema}
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _shape(default: object, path: tuple[str, ...]) -> dict[str, Any]:
    name = path[-1] if path else ""
    if path == ("outside", "ports"):
        return SHAPES["ports of outside"]
    if name in SHAPES and not (name == "url" and "cache" not in path):
        return SHAPES[name]
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return TEXT
        case Mapping():
            properties = {key: _shape(value, (*path, key)) for key, value in default.items()}
            return {"type": "object", "additionalProperties": False, "properties": properties}
        case _:
            return {"type": "array"}


def _settings(model: type[BaseSettings], left_out: frozenset[str]) -> dict[str, Any]:
    """Fields a user may set as a value: not what the chart sets, and no secret, which has no place among values."""
    whole = model.model_json_schema()
    public = {
        variable.setting
        for variable in environment.variables(model).values()
        if variable.setting not in left_out and not variable.secret
    }
    fields = {name: shape for name, shape in whole["properties"].items() if name in public}
    for shape in fields.values():
        shape.pop("title", None)
    return {"type": "object", "additionalProperties": False, "properties": fields}


def _nothing() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}
