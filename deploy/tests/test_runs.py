"""The rendered pods run: from an empty database through the migration to serving, and away again within their grace."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from closedloop_devstack.servers import PostgresServer, RedisServer
from closedloop_integrations.settings import Reader

from .charts import LEAST, Charts, Values, merged, of_kind, pods
from .cluster import Cluster, namespace, own_ports, until, whole_life
from .kubelet import Container

# It calls another service, so that it has everything a pod can have.
SERVICE = "funnel"


@pytest.fixture
def cluster(
    charts: Charts, postgres: PostgresServer, redis_server: RedisServer, session_folder: Path
) -> Iterator[Cluster]:
    with namespace(charts, SERVICE, postgres, redis_server, session_folder) as made:
        yield made


def test_from_nothing_to_serving_and_away(cluster: Cluster) -> None:
    whole_life(cluster)


def test_with_certificates(cluster: Cluster, tmp_path: Path) -> None:
    """mTLS: the kubelet has no certificate and asks the plain port, `helm test` shows one, a stranger is turned away."""
    authority = _authority()
    # What the Certificate of the chart asks of cert-manager, and what it would lay into the Secret.
    own = own_ports("api", "reactor")
    tls: Values = {"tls": {"enabled": True, "issuer": {"name": "house"}}, "reactor": {"own": True}}
    [wanted] = of_kind(cluster.charts.render(SERVICE, merged(LEAST, tls)), "Certificate")
    names = [*wanted["spec"]["dnsNames"], "localhost"]
    cluster.secrets[wanted["spec"]["secretName"]] = _issued(authority, names)
    cluster.secrets["strangers"] = {**_issued(_authority(), names), "ca.crt": authority["crt"]}

    first = cluster.pods(merged(own["api"], tls))
    api, migrate, test = first["api"], first["migrate"], first["test"]
    reactor = cluster.pods(merged(own["reactor"], tls))["reactor"]
    assert migrate.run() == 0, migrate.output
    for container in (api, reactor):
        container.start()
    for container in (api, reactor):
        container.started()
        assert container.probe("readinessProbe") == container.probe("livenessProbe") == ""
    target = f"localhost:{own['api']['ports']['grpc']}"
    assert test.run(target=target) == 0, test.output
    stranger = cluster.pods(merged(own["api"], merged(tls, {"tls": {"existingSecret": "strangers"}})))["test"]
    stranger.container["args"].append("--seconds=3")
    assert stranger.run(target=target) == 1
    assert "does not serve" in stranger.output
    for container in (api, reactor):
        assert container.terminate()[0] == 0, container.output[-2000:]


def test_secrets_in_files_are_read_and_read_again(
    charts: Charts, session_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the volume lays them: those that are there are found under their settings' names, and a changed one is taken up."""
    values = merged(LEAST, {"outside": {"existingSecret": "outside"}})
    secrets = {"outside": {"smtp_url": "smtps://one@mail.example.com", "wecom_robots": '{"default": "https://robot"}'}}
    [spec] = [
        spec
        for made, spec in pods(charts.render("integrations", values))
        if made["metadata"]["name"].endswith("-courier")
    ]
    container = Container(spec, "integrations", session_folder / "files", secrets, {})
    folder = container.volumes / "outside"
    told = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
    assert told["CLOSEDLOOP_INTEGRATIONS_SECRETS"] == "/etc/closedloop/outside"
    monkeypatch.setenv("CLOSEDLOOP_INTEGRATIONS_SECRETS", str(folder))
    outside = Reader()
    assert outside().smtp_url.get_secret_value() == "smtps://one@mail.example.com"
    assert set(outside().wecom_robots) == {"default"}
    (folder / "closedloop_integrations_smtp_url").write_text("smtps://another@mail.example.com")
    until("takes the new secret", lambda: "another" in outside().smtp_url.get_secret_value())


def _authority() -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "house")])
    certificate = _signed(name, name, key, key, [x509.BasicConstraints(ca=True, path_length=0)])
    return {"key": key, "name": name, "crt": _pem(certificate)}


def _issued(authority: dict[str, Any], names: list[str]) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    certificate = _signed(subject, authority["name"], key, authority["key"], [alternative])
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"tls.crt": _pem(certificate), "tls.key": private.decode(), "ca.crt": authority["crt"]}


def _signed(
    subject: x509.Name, issuer: x509.Name, key: Any, by: Any, extensions: list[x509.ExtensionType]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(by, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
