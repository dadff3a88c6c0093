"""Charts, the ways people set them, and the objects that come out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import helm_python
import yaml

from closedloop_operations.environment import SERVICES

SOURCES = Path(__file__).parents[1] / "helm"
# Dependencies before dependants.
CHARTS = (*SERVICES, "closedloop")
NAMESPACE = "acme"

Values = dict[str, Any]
Object = dict[str, Any]

# What has no default because nobody could know it.
LEAST: Values = {
    "database": {"existingSecret": "database"},
    "broker": {"existingSecret": "broker"},
    "cache": {"url": "redis://cache:6379/0"},
    "tokens": {"jwksConfigMap": "keys", "existingSecret": "token"},
}
SCENARIOS: dict[str, Values] = {
    "least": {},
    "measured": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
        "settings": {"otlp_endpoint": "http://collector:4318", "trace_ratio": 0.25, "drain_seconds": 20.5},
    },
    "scaled": {
        "api": {"autoscaling": {"enabled": True}},
        "courier": {"keda": {"enabled": True}},
        "reactor": {"own": True, "autoscaling": {"enabled": True, "minReplicas": 1}},
        "settings": {"pool_max": 24, "log_level": "DEBUG"},
        "courierSettings": {"batch_size": 1000, "grace_seconds": 12},
    },
    "alone": {"api": {"replicas": 1}, "courier": {"replicas": 1}, "reactor": {"own": True, "replicas": 1}},
    "certificates": {
        "tls": {"enabled": True, "issuer": {"name": "house"}},
        "tokens": {"jwksUrl": "https://login.example.com/keys", "jwksConfigMap": ""},
        "image": {"registry": "registry.example.com/sales", "digest": f"sha256:{'0' * 64}"},
    },
    "operators": {
        "database": {
            "existingSecret": "",
            "cloudnativePg": {
                "enabled": True,
                "storageClass": "fast",
                "backup": {"objectStore": "backups"},
                "reader": {"existingSecret": "reader"},
            },
        },
        "cache": {"url": "", "existingSecret": "cache"},
        "webhooks": {
            "enabled": True,
            "ingress": {"className": "nginx", "host": "hooks.example.com", "tlsSecret": "hooks"},
            "gateway": {"name": "public", "hostnames": ["hooks.example.com"]},
        },
    },
    "placed": {
        **{
            process: {
                "nodeSelector": {"pool": "sales"},
                "tolerations": [{"key": "sales", "operator": "Exists"}],
                "priorityClassName": "high",
                "podAnnotations": {"checksum/secrets": "1"},
                "podLabels": {"team": "sales"},
            }
            for process in ("api", "courier")
        },
        "serviceAccount": {"create": False, "name": "given"},
        "networkPolicy": {"enabled": False},
        "migrations": {"enabled": False},
    },
}


def merged(one: Values, other: Values) -> Values:
    """`other` goes before `one`, as with several `--values`."""
    out = dict(one)
    for key, value in other.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def umbrella() -> Values:
    """Everything in one release, broker and cache included."""
    own = {"database": {"cloudnativePg": {"enabled": True}}, "tokens": {"existingSecret": "token"}}
    monitored = {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
    }
    return {
        "global": {
            "tokens": {"jwksUrl": "https://login.example.com/keys"},
            "broker": {"existingSecret": "closedloop-rabbitmq-default-user", "key": "connection_string"},
            "cache": {"url": "redis://closedloop-valkey:6379/0"},
        },
        "rabbitmq": {"enabled": True},
        "valkey": {"enabled": True},
        "dashboards": {"enabled": True, "dataSources": {"enabled": True}},
        **{service: merged(own, monitored) for service in SERVICES},
    }


class Charts:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def build(self, name: str) -> None:
        helm_python.dependency_update(self.folder / name)

    def render(self, name: str, values: Values, *, release: str = "sales", **options: Any) -> list[Object]:
        """All objects; raises helm_python.HelmError as `helm install` would."""
        with helm_python.Chart.load(self.folder / name) as chart:
            # Rendering alone would pass over the schema.
            chart.validate_schema(values)
            files = chart.render(values, name=release, namespace=NAMESPACE, **options)
        return [made for path, text in files.items() if path.endswith(".yaml") for made in objects(text)]

    def notes(self, name: str, values: Values) -> str:
        with helm_python.Chart.load(self.folder / name) as chart:
            return next(
                t for path, t in chart.render(values, name="sales").items() if path == f"{name}/templates/NOTES.txt"
            )

    @cached_property
    def everything(self) -> list[tuple[str, list[Object]]]:
        """Every service in every scenario, and the umbrella."""
        return [
            *(
                (f"{service}, {name}", self.render(service, merged(LEAST, values)))
                for service in SERVICES
                for name, values in SCENARIOS.items()
            ),
            ("closedloop", self.render("closedloop", umbrella())),
        ]


class _NoSecondKey(yaml.SafeLoader):
    """A key that stands twice is a mistake that the YAML of most readers swallows."""


def _mapping(loader: _NoSecondKey, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
    loader.flatten_mapping(node)
    return {loader.construct_object(key, True): loader.construct_object(value, True) for key, value in node.value}


_NoSecondKey.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def objects(text: str) -> list[Object]:
    return [made for made in yaml.load_all(text, _NoSecondKey) if made]


def of_kind(rendered: list[Object], *kinds: str) -> list[Object]:
    return [made for made in rendered if made["kind"] in kinds]


def identity(made: Object) -> tuple[str, str]:
    return made["kind"], made["metadata"]["name"]


def pods(rendered: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Every object that makes pods, with the pod's spec."""
    for made in rendered:
        if made["kind"] == "Pod":
            yield made, made["spec"]
        elif "template" in made.get("spec", {}) and made["kind"] in ("Deployment", "Job", "StatefulSet"):
            yield made, made["spec"]["template"]["spec"]


def pod_labels(made: Object) -> dict[str, str]:
    if made["kind"] == "Pod":
        return made["metadata"]["labels"]
    return made["spec"]["template"]["metadata"]["labels"]


def environment(container: Object) -> dict[str, Any]:
    """Values by name; of a secret its reference."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", ())}
