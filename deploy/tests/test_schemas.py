"""Helm lints and refuses what it should, and a cluster of any version we name takes every object."""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml
from referencing import Registry, Resource

from closedloop_operations import values_schema
from closedloop_operations.environment import SERVICES

from .charts import CHARTS, LEAST, SOURCES, Charts, Object, Values, identity, merged, umbrella

# From the oldest that the charts accept to the newest with a schema.
VERSIONS = ("1.27", "1.30", "1.33", "1.37")
# Operators' objects, as their own projects describe them.
MODELS = {
    "cert-manager.io/v1": "cloudcoil.models.cert_manager.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
# Nobody publishes these in a package: their fields are checked by name.
BY_HAND: dict[str, set[str]] = {
    "postgresql.cnpg.io/v1 Cluster": {"spec.instances", "spec.storage.size", "spec.bootstrap.initdb.database"},
    "postgresql.cnpg.io/v1 ScheduledBackup": {"spec.schedule", "spec.cluster.name", "spec.method"},
    "rabbitmq.com/v1beta1 RabbitmqCluster": {"spec.replicas", "spec.persistence.storage", "spec.rabbitmq"},
    "gateway.networking.k8s.io/v1 HTTPRoute": {"spec.parentRefs", "spec.rules"},
}


@pytest.mark.parametrize("name", CHARTS)
def test_helm_lints(charts: Charts, name: str) -> None:
    values = umbrella() if name == "closedloop" else LEAST
    report = helm_python.lint(charts.folder / name, values, strict=True, with_subcharts=True)
    worse_than_information = [found for found in report["messages"] if found["severity"] > 1]
    assert not worse_than_information
    assert not report["errors"]


@pytest.mark.timeout(900)
def test_every_object_is_what_kubernetes_takes(charts: Charts) -> None:
    checked = dict.fromkeys(VERSIONS, 0)
    by_operator: set[str] = set()
    for where, rendered in charts.everything:
        assert len({identity(made) for made in rendered}) == len(rendered), f"{where}: two objects of one name"
        for made in rendered:
            if made["apiVersion"] in MODELS or f"{made['apiVersion']} {made['kind']}" in BY_HAND:
                by_operator.add(_as_the_operator_says(made))
            else:
                for version in VERSIONS:
                    _as_kubernetes_says(made, version)
                    checked[version] += 1
    assert min(checked.values()) > 400
    assert by_operator == {
        "Certificate", "Cluster", "ScheduledBackup", "RabbitmqCluster", "HTTPRoute",
        "ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule",
    }  # fmt: skip


def _as_kubernetes_says(made: Object, version: str) -> None:
    validator = _validator(made["kind"].lower(), made["apiVersion"], version)
    error = jsonschema.exceptions.best_match(validator.iter_errors(made))
    assert error is None, f"Kubernetes {version}, {identity(made)}, {error.json_path}: {error.message}"


@cache
def _validator(kind: str, group: str, version: str) -> jsonschema.Draft202012Validator:
    """As kubernetes_validate.validate has it, which reads its megabytes again for every object."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    name = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", group)
    schema, definitions = (
        kubernetes_validate.utils.schema_contents(f"{folder}/{file}.json", version)
        for file in (f"{kind}-{name}", "_definitions")
    )
    registry = Resource.from_contents(definitions) @ Registry()
    return jsonschema.Draft202012Validator(schema, registry=registry)


def _as_the_operator_says(made: Object) -> str:
    kind: str = made["kind"]
    if module := MODELS.get(made["apiVersion"]):
        model = getattr(importlib.import_module(module), kind)
        taken = model.model_validate(made).model_dump(by_alias=True, exclude_none=True, mode="json")
        unknown = _beyond(made["spec"], taken["spec"])
        assert not unknown, f"{kind} knows no {unknown}"
    else:
        for path in BY_HAND[f"{made['apiVersion']} {kind}"]:
            found: Any = made
            for step in path.split("."):
                found = found[step]
            assert found
    return kind


def _beyond(given: Any, taken: Any, path: str = "spec") -> list[str]:
    """What we say and the model has no place for."""
    if isinstance(given, dict):
        missing = [f"{path}.{key}" for key in given if not isinstance(taken, dict) or key not in taken]
        return missing + [
            more for key in given if key in (taken or {}) for more in _beyond(given[key], taken[key], f"{path}.{key}")
        ]
    if isinstance(given, list):
        return [more for a, b in zip(given, taken, strict=True) for more in _beyond(a, b, f"{path}[]")]
    return []


def test_a_schema_with_a_fault_is_noticed(charts: Charts) -> None:
    """The check above can fail: a field that does not exist, and one of the wrong type."""
    [deployment, *_] = [o for o in charts.render("targets", LEAST) if o["kind"] == "Deployment"]
    for fault in ({"replica": 2}, {"replicas": "two"}):
        with pytest.raises(AssertionError, match="replica"):
            _as_kubernetes_says(merged(deployment, {"spec": fault}), VERSIONS[0])
    [monitor] = [
        made
        for made in charts.render("targets", merged(LEAST, {"serviceMonitor": {"enabled": True}}))
        if made["kind"] == "ServiceMonitor"
    ]
    monitor["spec"]["endpoints"][0]["intervals"] = "15s"
    with pytest.raises(AssertionError, match="intervals"):
        _as_the_operator_says(monitor)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"settings": {"pool_maximum": 4}}, "pool_maximum"),
        ({"settings": {"log_level": "LOUD"}}, "log_level"),
        ({"settings": {"reactor_workers": 99}}, "reactor_workers"),
        ({"settings": {"database_url": "postgresql://u:p@h/d"}}, "database_url"),
        ({"courierSettings": {"batch_size": 0}}, "batch_size"),
        ({"outside": {"settings": {"imap_url": "imaps://u:p@h"}}}, "imap_url"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"tokens": {"jwksUrl": "http://plain.example.com"}}, "jwksUrl"),
        ({"api": {"replica": 3}}, "replica"),
        ({"api": {"resources": {"limits": {"memory": "lots"}}}}, "memory"),
        ({"service": {"name": "another"}}, "service"),
    ],
    ids=lambda found: found if isinstance(found, str) else "",
)
def test_values_nobody_reads_are_refused(charts: Charts, values: Values, complaint: str) -> None:
    with pytest.raises(helm_python.HelmError, match=complaint):
        charts.render("integrations", merged(LEAST, values))


@pytest.mark.parametrize(
    ("without", "complaint"),
    [
        ("database", "database.existingSecret"),
        ("broker", "broker.existingSecret"),
        ("cache", "cache.url"),
        ("tokens", "tokens."),
    ],
)
def test_what_is_missing_is_named(charts: Charts, without: str, complaint: str) -> None:
    values = {key: value for key, value in LEAST.items() if key != without}
    with pytest.raises(helm_python.HelmError, match=complaint):
        charts.render("funnel", values)


def test_schemas_are_those_of_the_settings() -> None:
    for service in SERVICES:
        assert (SOURCES / service / "values.schema.json").read_text() == values_schema.of_service(SOURCES, service), (
            "run `make observability`"
        )
    assert (SOURCES / "closedloop" / "values.schema.json").read_text() == values_schema.of_umbrella(SOURCES)


def test_the_engine_is_helm_4() -> None:
    assert helm_python.helm_sdk_version().startswith("v4.")


def test_versions_are_released_together() -> None:
    """A chart of one version wants the library of that version, and the umbrella wants all of them."""

    def read(name: str) -> Any:
        return yaml.safe_load((SOURCES / name / "Chart.yaml").read_text())

    versions = {name: read(name)["version"] for name in ("library", *CHARTS)}
    for name in CHARTS:
        for wanted in read(name)["dependencies"]:
            assert wanted["version"] == versions[wanted["name"]], f"{name} wants another {wanted['name']}"
