"""Network policies, evaluated as Kubernetes defines them: what a process needs is open, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from closedloop_operations.environment import SERVICES

from .charts import LEAST, SCENARIOS, Charts, Object, merged, of_kind, pod_labels, pods, umbrella

DNS = {"k8s-app": "kube-dns"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
# An address outside of the cluster has no labels.
ANYWHERE: None = None


@dataclass(frozen=True)
class End:
    """One end of a connection: labels of a pod in this namespace or another one, None for an address outside."""

    labels: dict[str, str] | None
    here: bool = True
    address: str = "203.0.113.7"


@dataclass
class Firewall:
    """All policies of a rendering."""

    policies: list[Object] = field(default_factory=list)

    def lets_out(self, labels: dict[str, str], to: End, port: int, protocol: str = "TCP") -> bool:
        return self._allows("Egress", "to", labels, to, port, protocol)

    def lets_in(self, labels: dict[str, str], of: End, port: int) -> bool:
        return self._allows("Ingress", "from", labels, of, port, "TCP")

    def _allows(self, way: str, side: str, labels: dict[str, str], peer: End, port: int, protocol: str) -> bool:
        mine = [
            p["spec"]
            for p in self.policies
            if way in p["spec"]["policyTypes"] and _selects(p["spec"]["podSelector"], labels)
        ]
        if not mine:
            return True
        return any(
            _matches(rule.get(side), peer)
            and any(p["port"] == port and p.get("protocol", "TCP") == protocol for p in rule["ports"])
            for spec in mine
            for rule in spec.get(way.lower(), ())
        )


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "this evaluator knows labels only"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _matches(peers: list[Object] | None, end: End) -> bool:
    # No peers named: every one.
    if not peers:
        return True
    for peer in peers:
        if "ipBlock" in peer:
            if end.labels is None:
                return True
            continue
        if end.labels is None or not (end.here or "namespaceSelector" in peer):
            continue
        if _selects(peer.get("podSelector", {}), end.labels):
            return True
    return False


def _service(name: str, process: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": f"closedloop-{name}",
        "app.kubernetes.io/component": process,
        "app.kubernetes.io/part-of": "closedloop",
    }


def _of(rendered: list[Object], service: str, process: str) -> tuple[dict[str, str], dict[str, Any]]:
    from .charts import environment

    for made, spec in pods(rendered):
        labels = pod_labels(made)
        if _service(service, process).items() <= labels.items():
            return labels, environment(spec["containers"][0])
    raise AssertionError(f"no {process} of {service}")


@pytest.mark.parametrize("scenario", ["least", "measured", "scaled", "certificates", "operators"])
@pytest.mark.parametrize("service", SERVICES)
def test_what_a_process_calls_is_open_and_nothing_else(charts: Charts, service: str, scenario: str) -> None:
    rendered = charts.render(service, merged(LEAST, SCENARIOS[scenario]))
    firewall = Firewall(of_kind(rendered, "NetworkPolicy"))
    processes = ["api", "courier", "migrate", *(["reactor"] if scenario == "scaled" else [])]
    for process in processes:
        labels, told = _of(rendered, service, process)
        needed = _needed(service, process, told)
        for end, port in needed:
            assert firewall.lets_out(labels, end, port), f"{process} does not reach port {port} of {end}"
        # Without names nothing is found, over either protocol (long answers come over TCP).
        for protocol in ("UDP", "TCP"):
            assert firewall.lets_out(labels, End(DNS, here=False), 53, protocol), f"{process} finds no names"
        open_ports = {port for _, port in needed}
        for port in {22, 80, 443, 5432, 5672, 6379, 7400, 8080, 9200, 4317} - open_ports - _outside(service, process):
            assert not firewall.lets_out(labels, End(ANYWHERE), port), f"{process} reaches port {port} of anybody"
        assert not firewall.lets_out(labels, End(ANYWHERE, address="169.254.169.254"), 80)


def _needed(service: str, process: str, told: dict[str, Any]) -> list[tuple[End, int]]:
    """Where the environment of a process sends it."""
    own = {"cnpg.io/cluster": f"closedloop-{service}-db"}
    database = End(own if told["CLOSEDLOOP_DATABASE_URL"]["secretKeyRef"]["key"] == "uri" else ANYWHERE)
    needed = [(database, 5432)]
    if "CLOSEDLOOP_AMQP_URL" in told:
        needed.append((End(ANYWHERE), 5672))
    if "CLOSEDLOOP_REDIS_URL" in told:
        needed.append((End(ANYWHERE), 6379))
    if service == "funnel" and process in ("api", "reactor"):
        needed.append((End(_service("approvals", "api")), 7400))
    if (endpoint := told.get("CLOSEDLOOP_OTLP_ENDPOINT")) and process != "migrate":
        needed.append((End(ANYWHERE), urlsplit(endpoint).port or 80))
    if str(told.get("CLOSEDLOOP_JWKS", "")).startswith("https://"):
        needed.append((End(ANYWHERE), 443))
    return needed


def _outside(service: str, process: str) -> set[int]:
    return {443, 465, 587, 993} if (service, process) == ("integrations", "courier") else set()


def test_who_comes_in(charts: Charts) -> None:
    rendered = charts.render(
        "customers", merged(LEAST, {"webhooks": {"enabled": True, "ingress": {"host": "a.example"}}})
    )
    firewall = Firewall(of_kind(rendered, "NetworkPolicy"))
    api, courier, migrate = (_service("customers", process) for process in ("api", "courier", "migrate"))
    stranger, ours = End({"app": "stranger"}), End(_service("funnel", "api"))
    assert firewall.lets_in(api, ours, 7400)
    assert not firewall.lets_in(api, stranger, 7400)
    assert not firewall.lets_in(api, End(ANYWHERE), 7400)
    for process in (api, courier):
        assert firewall.lets_in(process, End(PROMETHEUS, here=False), 7401)
        assert not firewall.lets_in(process, stranger, 7401)
    assert firewall.lets_in(courier, End({"app": "ingress"}, here=False), 7402)
    assert not firewall.lets_in(courier, stranger, 5555)
    assert not any(firewall.lets_in(migrate, end, port) for end in (ours, stranger) for port in (7400, 7401))
    closed = Firewall(of_kind(charts.render("customers", LEAST), "NetworkPolicy"))
    assert not closed.lets_in(courier, End({"app": "ingress"}, here=False), 7402)


def test_clients_and_servers_by_name(charts: Charts) -> None:
    named = {
        "networkPolicy": {
            "clients": [{"podSelector": {"matchLabels": {"app": "crm"}}}],
            "database": [{"podSelector": {"matchLabels": {"app": "pg"}}}],
        }
    }
    firewall = Firewall(of_kind(charts.render("targets", merged(LEAST, named)), "NetworkPolicy"))
    api = _service("targets", "api")
    assert firewall.lets_in(api, End({"app": "crm"}), 7400)
    assert firewall.lets_out(api, End({"app": "pg"}), 5432)
    assert not firewall.lets_out(api, End(ANYWHERE), 5432)


def test_the_helm_test_reaches_the_api_and_nobody_else(charts: Charts) -> None:
    firewall = Firewall(of_kind(charts.render("targets", LEAST), "NetworkPolicy"))
    test = _service("targets", "test")
    assert firewall.lets_out(test, End(_service("targets", "api")), 7400)
    assert firewall.lets_in(_service("targets", "api"), End(test), 7400)
    assert not firewall.lets_out(test, End(ANYWHERE), 5432)


def test_a_whole_environment(charts: Charts) -> None:
    """In the umbrella with its own cache: services reach it, strangers do not, and it calls nobody."""
    firewall = Firewall(of_kind(charts.render("closedloop", umbrella()), "NetworkPolicy"))
    cache = {"app.kubernetes.io/name": "closedloop-valkey", "app.kubernetes.io/part-of": "closedloop-servers"}
    for service in SERVICES:
        api = _service(service, "api")
        assert firewall.lets_out(api, End(cache), 6379)
        assert firewall.lets_in(cache, End(api), 6379)
    assert not firewall.lets_in(cache, End({"app": "stranger"}), 6379)
    assert not firewall.lets_out(cache, End(ANYWHERE), 443)
