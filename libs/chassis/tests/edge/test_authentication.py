"""Who calls: tokens that are taken, and tokens that are not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
import sample
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from closedloop_chassis import client
from closedloop_chassis.edge.keys import FileKeys, UrlKeys, key_set
from closedloop_chassis.edge.tokens import Tokens

pytestmark = pytest.mark.timeout(60)


async def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, client.info(caught.value).reason


@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
async def test_the_three_asymmetric_algorithms_are_taken(serve: Any, kid: str) -> None:
    async with serve() as edge:
        answer = await edge.stub.Echo(
            sample.pb.EchoRequest(text="hi"), metadata=edge.metadata("rep", kid=kid, subject="wang")
        )
        assert (answer.id, answer.text) == ("wang", "hi")


async def test_no_token_or_another_scheme_is_missing(serve: Any) -> None:
    async with serve() as edge:
        echo = edge.stub.Echo
        assert await refused(echo(sample.pb.EchoRequest())) == ("UNAUTHENTICATED", "TOKEN_MISSING")
        basic = (("authorization", "Basic bGluOnNlY3JldA=="),)
        assert await refused(echo(sample.pb.EchoRequest(), metadata=basic)) == ("UNAUTHENTICATED", "TOKEN_MISSING")


async def test_expiry_is_judged_with_thirty_seconds_of_leeway(serve: Any) -> None:
    async with serve() as edge:
        echo, now = edge.stub.Echo, time.time()
        await echo(sample.pb.EchoRequest(), metadata=edge.metadata("rep", exp=now - 20))
        late = edge.metadata("rep", exp=now - 40)
        assert await refused(echo(sample.pb.EchoRequest(), metadata=late)) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")
        await echo(sample.pb.EchoRequest(), metadata=edge.metadata("rep", nbf=now + 20))
        early = edge.metadata("rep", nbf=now + 40)
        assert await refused(echo(sample.pb.EchoRequest(), metadata=early)) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_token_seen_before_still_expires(signers: Any) -> None:
    tokens = Tokens(FileKeys(str(signers.path)), "closedloop", "closedloop")
    token = signers.token("rep", exp=int(time.time()) - 28)
    assert tokens.known(token) is None
    caller = await tokens.verify(token)
    assert tokens.known(token) is caller
    await asyncio.sleep(2.1)
    assert tokens.known(token) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"aud": "another"},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "li\0n"},
        {"sub": "x" * 129},
        {"roles": "operations"},
        {"roles": [1]},
    ],
)
async def test_claims_that_do_not_fit_are_refused(serve: Any, claims: dict[str, Any]) -> None:
    async with serve() as edge:
        metadata = edge.metadata("operations", **claims)
        assert await refused(edge.stub.Echo(sample.pb.EchoRequest(), metadata=metadata)) == (
            "UNAUTHENTICATED",
            "TOKEN_INVALID",
        )


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_unsigned_symmetric_and_forged_tokens_are_refused(serve: Any, rsa_public_pem: bytes) -> None:
    body = {"sub": "lin", "roles": ["operations"], "iss": "closedloop", "aud": "closedloop", "exp": time.time() + 600}
    none = jwt.encode(body, None, algorithm="none", headers={"kid": "rsa"})
    # The classic: the public key taken for a shared secret.
    head = _b64(json.dumps({"alg": "HS256", "kid": "rsa"}).encode()) + "." + _b64(json.dumps(body).encode())
    confused = f"{head}.{_b64(hmac.new(rsa_public_pem, head.encode(), hashlib.sha256).digest())}"
    stranger = ec.generate_private_key(ec.SECP256R1())
    forged = jwt.encode(body, stranger, algorithm="ES256", headers={"kid": "ec"})
    swapped = jwt.encode(body, stranger, algorithm="ES256", headers={"kid": "rsa"})
    unknown = jwt.encode(body, stranger, algorithm="ES256", headers={"kid": "nobody"})
    async with serve() as edge:
        for token in (none, confused, forged, swapped, unknown, "not.a.token", "x"):
            metadata = (("authorization", f"Bearer {token}"),)
            assert await refused(edge.stub.Echo(sample.pb.EchoRequest(), metadata=metadata)) == (
                "UNAUTHENTICATED",
                "TOKEN_INVALID",
            )


async def test_a_changed_key_file_is_read_again_and_a_withdrawn_key_counts_no_more(serve: Any, signers: Any) -> None:
    async with serve() as edge:
        echo, old = edge.stub.Echo, edge.metadata("rep", kid="rsa")
        await echo(sample.pb.EchoRequest(), metadata=old)
        await asyncio.sleep(1.1)
        signers.publish("new")
        await echo(sample.pb.EchoRequest(), metadata=edge.metadata("rep", kid="new"))
        assert await refused(echo(sample.pb.EchoRequest(), metadata=old)) == ("UNAUTHENTICATED", "TOKEN_INVALID")


@pytest.mark.parametrize("written", ['{"keys": [', "[" * 5000], ids=["half", "nested without end"])
async def test_a_broken_key_file_keeps_the_keys_there_were(signers: Any, written: str) -> None:
    keys = FileKeys(str(signers.path), every=0)
    before = keys.keys
    signers.path.write_text(written)
    keys.look()
    assert keys.keys is before
    assert before is not None
    assert set(before) == {"rsa", "ec", "ed"}


async def test_without_any_keys_the_caller_may_try_again(serve: Any, tmp_path: Path) -> None:
    async with serve(jwks=str(tmp_path / "nothing.json")) as edge:
        assert await refused(edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)) == (
            "UNAVAILABLE",
            "KEYS_AWAY",
        )


async def test_keys_over_plain_http_are_a_configuration_error() -> None:
    with pytest.raises(ValueError, match="https"):
        key_set("http://keys.example.com/jwks.json")


class KeyServer(http.server.BaseHTTPRequestHandler):
    asked = 0
    document = b"{}"

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/jwks.json")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.document)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def key_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))

    class Fresh(KeyServer):
        pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Fresh, f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


async def test_keys_come_from_a_url_and_an_unknown_key_asks_again_but_not_too_often(
    key_server: Any, signers: Any
) -> None:
    handler, url = key_server
    handler.document = signers.path.read_bytes()
    keys = UrlKeys(f"{url}/jwks.json", every=0.3)
    tokens = Tokens(keys, "closedloop", "closedloop")
    # Many at once wait for one request.
    callers = await asyncio.gather(*(tokens.verify(signers.token("rep", subject=f"p{n}")) for n in range(5)))
    assert {caller.subject for caller in callers} == {f"p{n}" for n in range(5)}
    assert handler.asked == 1
    signers.publish("new")
    handler.document = signers.path.read_bytes()
    with pytest.raises(Exception, match="no known key"):
        await tokens.verify(signers.token("rep", kid="new"))
    assert handler.asked == 1
    await asyncio.sleep(0.35)
    assert (await tokens.verify(signers.token("rep", kid="new"))).subject == "lin"
    assert handler.asked == 2


async def test_a_key_url_must_not_lead_out_of_https(key_server: Any) -> None:
    handler, url = key_server
    keys = UrlKeys(f"{url}/moved")
    await keys.search()
    assert keys.keys is None
    assert handler.asked == 1
