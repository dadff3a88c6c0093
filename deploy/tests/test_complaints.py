"""What people complain of in other charts, each as a test of ours."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from typing import Any

import pytest
from pydantic import ValidationError

from closedloop_chassis.courier.brokers import inbox_name
from closedloop_chassis.courier.pace import Pace
from closedloop_chassis.courier.parts import Webhook
from closedloop_chassis.edge import drain
from closedloop_chassis.settings import Settings
from closedloop_operations import environment as variables
from closedloop_operations.environment import NEEDED, SERVICES

from .charts import (
    LEAST,
    SCENARIOS,
    Charts,
    Object,
    environment,
    identity,
    merged,
    of_kind,
    pod_labels,
    pods,
    umbrella,
)

# The order in which Helm creates kinds; whatever is no hook and stands earlier is there when a job begins.
INSTALL_ORDER = ("NetworkPolicy", "ServiceAccount", "Secret", "ConfigMap", "Service", "Deployment", "Job")
# What a platform team brings: named by the values, never by the release.
BROUGHT = {"database", "broker", "cache", "token", "keys", "hooks", "closedloop-rabbitmq-default-user"}


def _references(spec: Object) -> set[tuple[str, str]]:
    """Secrets, ConfigMaps and accounts that a pod names."""
    found = {("ServiceAccount", spec["serviceAccountName"])} if "serviceAccountName" in spec else set()
    for container in spec["containers"]:
        for value in environment(container).values():
            if isinstance(value, dict):
                found.add(("Secret", value["secretKeyRef"]["name"]))
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            found.add(("Secret", volume["secret"]["secretName"]))
        if "configMap" in volume:
            found.add(("ConfigMap", volume["configMap"]["name"]))
    return found


def test_a_job_before_its_account_or_secret(charts: Charts) -> None:
    """No hook needs what the release brings, and what a pod names is either brought by people or made by this release."""
    for where, rendered in charts.everything:
        made_here = {identity(made) for made in rendered}
        # An operator writes these Secrets.
        for cluster in of_kind(rendered, "Cluster"):
            made_here.add(("Secret", f"{cluster['metadata']['name']}-app"))
        for certificate in of_kind(rendered, "Certificate"):
            made_here.add(("Secret", certificate["spec"]["secretName"]))
        for made, spec in pods(rendered):
            hooks = made["metadata"].get("annotations", {}).get("helm.sh/hook", "")
            assert not hooks or hooks == "test", f"{where}: {identity(made)} is the hook {hooks}"
            for kind, name in _references(spec):
                there = (kind, name) in made_here or name in BROUGHT or (kind == "ServiceAccount" and name == "given")
                assert there, f"{where}: {identity(made)} names {kind} {name}, which nobody makes"
                if (kind, name) in made_here and made["kind"] in INSTALL_ORDER and kind in INSTALL_ORDER:
                    assert INSTALL_ORDER.index(kind) < INSTALL_ORDER.index(made["kind"])


def test_replicas_beside_an_autoscaler(charts: Charts) -> None:
    """Who is scaled has no `replicas`, or every upgrade would throw it back; who is not has."""
    for where, rendered in charts.everything:
        scaled = {
            made["spec"]["scaleTargetRef"]["name"]
            for made in of_kind(rendered, "HorizontalPodAutoscaler", "ScaledObject")
        }
        names = {made["metadata"]["name"] for made in of_kind(rendered, "Deployment")}
        assert scaled <= names, where
        for made in of_kind(rendered, "Deployment"):
            assert ("replicas" in made["spec"]) != (made["metadata"]["name"] in scaled), f"{where}: {identity(made)}"


def test_only_one_counts_the_replicas(charts: Charts) -> None:
    both = {"courier": {"keda": {"enabled": True}, "autoscaling": {"enabled": True}}}
    rendered = charts.render("targets", merged(LEAST, both))
    assert not of_kind(rendered, "HorizontalPodAutoscaler")
    [scaled] = of_kind(rendered, "ScaledObject")
    assert scaled["spec"]["triggers"][0]["metadata"]["queueName"] == inbox_name("targets")


def test_a_disruption_budget_on_one_replica(charts: Charts) -> None:
    """It would stop every drain of its node, for ever."""
    for where, rendered in charts.everything:
        least = {made["metadata"]["name"]: made["spec"].get("replicas") for made in of_kind(rendered, "Deployment")}
        for scaler in of_kind(rendered, "HorizontalPodAutoscaler", "ScaledObject"):
            spec = scaler["spec"]
            least[spec["scaleTargetRef"]["name"]] = spec.get("minReplicas", spec.get("minReplicaCount"))
        budgets = {made["metadata"]["name"]: made["spec"] for made in of_kind(rendered, "PodDisruptionBudget")}
        for name, replicas in least.items():
            assert (name in budgets) == (replicas > 1), f"{where}: {name} with {replicas}"
        for spec in budgets.values():
            assert spec["maxUnavailable"] == 1
            assert "minAvailable" not in spec


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"tag": "0.2.0"}},
        {"settings": {"log_level": "DEBUG"}},
        {"migrations": {"attempts": 3}},
        {"serviceAccount": {"name": "other"}},
        {"database": {"migrations": {"existingSecret": "owner"}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_immutable_job_on_upgrade(charts: Charts, change: dict[str, Any]) -> None:
    """A changed job has another name; an unchanged one keeps it, so that GitOps finds nothing to do."""
    [before] = of_kind(charts.render("targets", LEAST, is_install=True), "Job")
    [again] = of_kind(charts.render("targets", LEAST, is_upgrade=True, revision=7), "Job")
    assert again == before
    [after] = of_kind(charts.render("targets", merged(LEAST, change), is_upgrade=True, revision=8), "Job")
    assert after["spec"] != before["spec"]
    assert identity(after) != identity(before)
    assert len(after["metadata"]["name"]) <= 63
    # Deleted after a while it would be made again and again by whoever compares with git.
    assert "ttlSecondsAfterFinished" not in after["spec"]


def test_install_and_upgrade_are_one(charts: Charts) -> None:
    """What GitOps renders knows neither: nothing may depend on it."""
    for service in SERVICES:
        install = charts.render(service, LEAST, is_install=True, is_upgrade=False)
        assert charts.render(service, LEAST, is_install=False, is_upgrade=True, revision=3) == install


def test_selectors_drift_from_version_to_version(charts: Charts) -> None:
    """A selector names nothing that a release, a version or a values file changes, and finds its own pods only."""
    for where, rendered in charts.everything:
        deployments = [made for made in of_kind(rendered, "Deployment") if "valkey" not in made["metadata"]["name"]]
        for made in deployments:
            selector = made["spec"]["selector"]["matchLabels"]
            assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/component"}
            matching = [identity(other) for other, _ in pods(rendered) if selector.items() <= pod_labels(other).items()]
            assert matching == [identity(made)], f"{where}: {identity(made)} selects {matching}"
            for spread in made["spec"]["template"]["spec"]["topologySpreadConstraints"]:
                assert spread["labelSelector"]["matchLabels"] == selector
        for made in of_kind(rendered, "Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = made["spec"]
            selector = spec.get("podSelector", spec.get("selector", {}))
            selector = selector.get("matchLabels", selector)
            assert [o for o, _ in pods(rendered) if selector.items() <= pod_labels(o).items()], (
                f"{where}: {identity(made)} selects nobody"
            )


def test_ports_that_nobody_opens(charts: Charts) -> None:
    for where, rendered in charts.everything:
        for made in of_kind(rendered, "Service"):
            selector = made["spec"]["selector"]
            [spec] = [s for o, s in pods(rendered) if selector.items() <= pod_labels(o).items()]
            opened = {port["name"] for c in spec["containers"] for port in c["ports"]}
            wanted = {port["targetPort"] for port in made["spec"]["ports"]}
            assert wanted <= opened, f"{where}: {identity(made)}"
        for monitor in of_kind(rendered, "ServiceMonitor"):
            wanted = monitor["spec"]["selector"]["matchLabels"]
            seen = [o for o in of_kind(rendered, "Service") if wanted.items() <= o["metadata"]["labels"].items()]
            assert seen
            for made in seen:
                assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in made["spec"]["ports"]}


@pytest.mark.parametrize("service", SERVICES)
def test_helm_test_asks_a_door_that_is_there(charts: Charts, service: str) -> None:
    """Of every service, with and without certificates: its own name and port, and what it must show."""
    for values in ({}, SCENARIOS["certificates"], {"ports": {"grpc": 9000}}):
        rendered = charts.render(service, merged(LEAST, values))
        [(made, spec)] = [(made, spec) for made, spec in pods(rendered) if made["kind"] == "Pod"]
        assert made["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert "hook-succeeded" in made["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        [container] = spec["containers"]
        assert container["command"] == ["python", "-m", "closedloop_chassis.ask"]
        target, *shown = container["args"]
        host, _, port = target.removeprefix("dns:///").rpartition(":")
        [door] = [one for one in of_kind(rendered, "Service") if f"{one['metadata']['name']}.acme.svc" == host]
        assert int(port) == next(one["port"] for one in door["spec"]["ports"] if one["name"] == "grpc")
        assert bool(shown) == ("tls" in values)
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        for argument in shown:
            assert argument.partition("=")[2].rpartition("/")[0] in mounted


def test_names_that_are_too_long(charts: Charts) -> None:
    long = {"fullnameOverride": "closedloop-of-a-company-with-a-very-long-name-indeed-and-more"}
    for made in charts.render("integrations", merged(LEAST, {**long, **SCENARIOS["measured"]})):
        assert len(made["metadata"]["name"]) <= 63
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", made["metadata"]["name"])
        for value in made["metadata"]["labels"].values():
            assert len(value) <= 63


def test_a_grace_shorter_than_the_drain(charts: Charts) -> None:
    """The kubelet counts its grace from the beginning of preStop; a process takes what its settings say, and a little."""
    for seconds in (0.5, 10, 45.5):
        pace = {"courierSettings": {"grace_seconds": seconds}, "settings": {"drain_seconds": seconds}}
        for made, spec in pods(charts.render("funnel", merged(LEAST, pace))):
            if made["kind"] != "Deployment":
                continue
            [container] = spec["containers"]
            stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [0, 0])
            longest = float(stop[1]) + seconds + drain.OVERDUE_SECONDS
            assert spec["terminationGracePeriodSeconds"] > longest, identity(made)


def test_variables_are_those_of_the_settings(charts: Charts) -> None:
    """A chart names no variable that no process reads, and leaves none out that a process needs."""
    named: dict[str, set[str]] = {service: set() for service in SERVICES}
    for where, rendered in charts.everything:
        for made, spec in pods(rendered):
            service = made["metadata"]["labels"]["app.kubernetes.io/name"].removeprefix("closedloop-")
            if service not in SERVICES or made["kind"] == "Pod":
                continue
            [container] = spec["containers"]
            [process] = container["args"]
            told = environment(container)
            read = variables.known(service)
            assert set(told) <= set(read), f"{where}: nobody reads {set(told) - set(read)}"
            lacking = {f"CLOSEDLOOP_{name}" for name in NEEDED[process]} - set(told)
            assert not lacking, f"{where}: {process} of {service} lacks {lacking}"
            for name, value in told.items():
                assert isinstance(value, dict) or not read[name].secret or name == "CLOSEDLOOP_REDIS_URL", (
                    f"{where}: {name} is a secret and stands in the open"
                )
            assert "amqp_url" not in {read[name].setting for name in told} or process == "courier"
            named[service] |= set(told)


def test_secrets_of_outside_systems_arrive_each_by_its_name(charts: Charts) -> None:
    given = merged(LEAST, {"outside": {"existingSecret": "outside"}})
    for service in ("customers", "integrations"):
        own = variables.outside(service)
        assert own is not None
        secrets = {name for name, found in variables.variables(own).items() if found.secret}
        for made, spec in pods(charts.render(service, given)):
            if made["kind"] != "Deployment":
                continue
            told = environment(spec["containers"][0])
            by_name = {
                name
                for name, value in told.items()
                if isinstance(value, dict) and value["secretKeyRef"].get("optional")
            }
            files = [volume["secret"] for volume in spec["volumes"] if volume["name"] == "outside"]
            by_name |= {item["path"].upper() for file in files for item in file["items"]}
            assert by_name == secrets, f"{service}, {made['metadata']['name']}"


def _of(charts: Charts, service: str, values: dict[str, Any], process: str) -> dict[str, Any]:
    for _, spec in pods(charts.render(service, merged(LEAST, values))):
        if spec["containers"][0]["args"] == [process]:
            return environment(spec["containers"][0])
    raise AssertionError(process)


def test_webhooks_from_outside_are_those_the_couriers_answer(charts: Charts) -> None:
    hooks = {"webhooks": {"enabled": True, "ingress": {"host": "hooks.example.com"}}}
    for service in SERVICES:
        module = f"closedloop_{service}.courier"
        parts = importlib.import_module(module).PARTS if find_spec(module) else ()
        answered = [part.path for part in parts if isinstance(part, Webhook)]
        ingresses = of_kind(charts.render(service, merged(LEAST, hooks)), "Ingress")
        led = [path["path"] for one in ingresses for path in one["spec"]["rules"][0]["http"]["paths"]]
        assert bool(led) == bool(answered), service
        for path in answered:
            assert any(path == prefix or path.startswith(f"{prefix}/") for prefix in led), f"nobody is led to {path}"
        for prefix in led:
            assert any(path.startswith(prefix) for path in answered), f"{prefix} leads nowhere"


def test_settings_arrive_as_they_were_meant(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, lists and maps go through YAML, Go and the environment, and come out the same in the settings class."""
    given: dict[str, Any] = {
        "max_message_bytes": 64 * 1024 * 1024,
        "rate_per_caller": 0,
        "trace_ratio": 0.05,
        "pool_idle_seconds": 1234567.5,
        "log_level": "WARNING",
        "development": True,
    }
    told = _of(charts, "funnel", {"settings": given, "peers": {"targets": "dns:///elsewhere:1"}}, "api")
    for name, value in told.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "postgresql://u:p@host/d")
    settings = Settings()
    for name, value in given.items():
        assert getattr(settings, name) == value, name
    assert settings.peers == {"targets": "dns:///elsewhere:1", "approvals": "dns:///closedloop-approvals.acme.svc:7400"}
    told = _of(charts, "funnel", {"courierSettings": {"batch_size": 5000, "busy_seconds": 0.005}}, "courier")
    for name, value in told.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "postgresql://u:p@host/d")
    assert (Pace().batch_size, Pace().busy_seconds) == (5000, 0.005)
    monkeypatch.setenv("CLOSEDLOOP_POOL_MAX", "many")
    with pytest.raises(ValidationError):
        Settings()


def test_notes_tell_what_is_still_open(charts: Charts) -> None:
    plain = charts.notes("targets", LEAST)
    assert "image.digest" in plain
    assert "serviceMonitor.enabled" in plain
    quiet = charts.notes(
        "targets", merged(LEAST, {"serviceMonitor": {"enabled": True}, "image": {"digest": f"sha256:{'0' * 64}"}})
    )
    assert "image.digest" not in quiet
    assert "serviceMonitor" not in quiet
    assert "Never in production" in charts.notes("targets", merged(LEAST, {"settings": {"development": True}}))
    assert "RabbitMQ is the operator's" in charts.notes("closedloop", umbrella())
