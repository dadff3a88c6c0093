"""TLS over real connections: who is trusted, who is refused, and a certificate renewed while the server runs."""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import sample
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr, ValidationError

from closedloop_chassis.client import Peers
from closedloop_chassis.settings import Settings

pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path


class Authority:
    """A certificate authority of our own."""

    def __init__(self, name: str, folder: Path) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(self._sign(self._name, self._key, ca=True)))

    def issue(self, name: str) -> Files:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        files = Files(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        files.certificate.write_bytes(_pem(self._sign(subject, key, ca=False)))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(address, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority("ours", tmp_path)


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority("theirs", tmp_path)


def _tls(files: Files, **others: Any) -> dict[str, Any]:
    return {"tls_certificate": files.certificate, "tls_key": files.key, **others}


async def _answer(edge: Any, **settings: Any) -> str:
    """What a peer with these settings gets: SERVING, or the code of the refusal."""
    peers = Peers(
        Settings(
            database_url=SecretStr("postgresql://"), peers={"targets": f"127.0.0.1:{edge.server.port}"}, **settings
        )
    )
    try:
        health = peers.stub("targets", health_pb2_grpc.HealthStub)
        found = await health.Check(health_pb2.HealthCheckRequest(service=sample.SERVICE), timeout=10)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(found.status)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    finally:
        await peers.close()


async def test_a_server_with_a_certificate_answers_those_who_trust_it(
    serve: Any, ours: Authority, theirs: Authority
) -> None:
    async with serve(**_tls(ours.issue("server"))) as edge:
        assert await _answer(edge, tls_server_ca=ours.file) == "SERVING"
        # Whoever trusts another authority, and whoever speaks plain text, does not come through.
        assert await _answer(edge, tls_server_ca=theirs.file) == "UNAVAILABLE"
        assert await _answer(edge) == "UNAVAILABLE"


async def test_mutual_tls_refuses_whom_the_authority_does_not_know(
    serve: Any, ours: Authority, theirs: Authority
) -> None:
    async with serve(**_tls(ours.issue("server"), tls_client_ca=ours.file)) as edge:
        assert await _answer(edge, tls_server_ca=ours.file, **_tls(ours.issue("caller"))) == "SERVING"
        assert await _answer(edge, tls_server_ca=ours.file) == "UNAVAILABLE"
        assert await _answer(edge, tls_server_ca=ours.file, **_tls(theirs.issue("stranger"))) == "UNAVAILABLE"


async def test_a_renewed_certificate_is_used_without_a_restart(serve: Any, ours: Authority, theirs: Authority) -> None:
    files = ours.issue("server")
    async with serve(**_tls(files)) as edge:
        assert await _answer(edge, tls_server_ca=ours.file) == "SERVING"
        # A file that is missing for a moment changes nothing.
        key = files.key.read_bytes()
        files.key.unlink()
        assert await _answer(edge, tls_server_ca=ours.file) == "SERVING"
        files.key.write_bytes(key)
        theirs.issue("server")
        os.utime(files.certificate, ns=(0, 0))
        assert await _answer(edge, tls_server_ca=theirs.file) == "SERVING"


async def test_connections_of_age_are_replaced_and_no_call_is_lost(serve: Any) -> None:
    async with serve(max_connection_age_seconds=0.3, max_connection_age_grace_seconds=5) as edge:
        health = health_pb2_grpc.HealthStub(edge.channel)
        left: list[bool] = []
        async for state in _states(edge.channel):
            found = await health.Check(health_pb2.HealthCheckRequest(service=sample.SERVICE), timeout=10)
            assert found.status == health_pb2.HealthCheckResponse.SERVING
            left.append(state is not grpc.ChannelConnectivity.READY)
            if any(left):
                return
        raise AssertionError("the connection was never replaced")


async def _states(channel: grpc.aio.Channel) -> Any:
    yield grpc.ChannelConnectivity.READY
    while True:
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        yield channel.get_state()


@pytest.mark.parametrize(
    "half",
    [{"tls_certificate": "a.crt"}, {"tls_key": "a.key"}, {"tls_client_ca": "ca.pem"}],
    ids=lambda half: str(half),
)
def test_half_of_it_is_refused_at_the_start(half: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="TLS_CERTIFICATE"):
        Settings(database_url=SecretStr("postgresql://"), **half)  # type: ignore[arg-type]


def test_a_certificate_that_cannot_be_read_is_named(serve: Any, tmp_path: Path) -> None:
    from closedloop_chassis import tls

    lost = tmp_path / "lost.crt"
    settings = Settings(database_url=SecretStr("postgresql://"), tls_certificate=lost, tls_key=lost)
    with pytest.raises(OSError, match=r"lost\.crt"):
        tls.of_server(settings)
