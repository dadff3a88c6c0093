"""Tokens nobody issued, issued for somebody else, or long ago: UNAUTHENTICATED, whatever they ask for."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm

from closedloop_devstack.keys import AUDIENCE, ISSUER
from closedloop_proofs.fuzz.attacks.calls import all_of
from closedloop_proofs.fuzz.ground import ROLES, Finding, Ground, Target

NAME = "tokens"
HOUR = 3600
DOOR = "closedloop.platform.v1.RulebookService.ListRulebooks"


async def attack(ground: Ground) -> list[Finding]:
    async def one(target: Target, name: str, header: str) -> Finding | None:
        answer = await ground.ask_with(target, b"", (("authorization", header),))
        if answer.code == "UNAUTHENTICATED" and not answer.fault:
            return None
        return Finding(NAME, str(target), f"{name}: {answer.code} {answer.reason} {answer.fault}")

    # Which RPC does not matter: the same link stands before each. One that anybody may call, in each service.
    doors = {target.service: target for target in ground.targets if target.method.full_name == DOOR}
    forged = list(forgeries(ground))
    return await all_of(one(target, name, header) for target in doors.values() for name, header in forged)


def forgeries(ground: Ground) -> Iterator[tuple[str, str]]:
    """(what is wrong with it, the header)."""
    ring = ground.platform.home.keys
    pem = (ground.platform.home.root / "keys" / "signing.pem").read_bytes()
    good = serialization.load_pem_private_key(pem, None)
    public = json.loads(ring.jwks.read_text())["keys"][0]
    kid, now = public["kid"], int(time.time())
    claims = {"sub": "OPS-1", "roles": list(ROLES), "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + HOUR}
    public_pem = ECAlgorithm.from_jwk(public).public_bytes(  # type: ignore[union-attr]
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def signed(key: Any = good, algorithm: str = "ES256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
        given = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return "Bearer " + jwt.encode(given, key, algorithm, headers={"kid": kid} if headers is None else headers)

    yield "expired", signed(exp=now - HOUR)
    yield "expired long ago", signed(exp=1)
    yield "not yet valid", signed(nbf=now + HOUR)
    yield "issued in the future", signed(iat=now + HOUR)
    yield "no expiry", signed(exp=None)
    yield "no subject", signed(sub=None)
    yield "endless expiry", signed(exp=float("inf"))
    yield "another issuer", signed(iss="https://evil.example")
    yield "no issuer", signed(iss=None)
    yield "another audience", signed(aud="somebody-else")
    yield "no audience", signed(aud=None)
    yield "empty subject", signed(sub="")
    yield "a subject with a line break", signed(sub="OPS-1\nadmin")
    yield "a subject of 10,000 letters", signed(sub="x" * 4000)
    yield "roles that are no list", signed(roles="operations")
    yield "roles that are no names", signed(roles=[["operations"]])
    yield "a key of ours under another id", signed(headers={"kid": "nobody"})
    yield "another key under our id", signed(ec.generate_private_key(ec.SECP256R1()))
    yield "another kind of key", signed(rsa.generate_private_key(65537, 2048), "RS256")
    yield "an odd key id", signed(headers={"kid": "../../../../dev/null"})
    yield (
        "a key brought along",
        signed(
            ec.generate_private_key(ec.SECP256R1()),
            headers={"kid": "x", "jwk": public, "jku": "https://evil.example/jwks"},
        ),
    )
    body = _part(claims)
    for none in ("none", "None", "NONE", "nOnE"):
        yield f"alg {none}", f"Bearer {_part({'alg': none, 'kid': kid})}.{body}."
    # The public key used as if it were a shared secret; PyJWT would not even sign that, so by hand.
    for secret in (public_pem, json.dumps(public).encode(), b""):
        yield "HS256 with the public key", f"Bearer {_hmac({'alg': 'HS256', 'typ': 'JWT', 'kid': kid}, body, secret)}"
    right = signed().removeprefix("Bearer ")
    head, middle, tail = right.split(".")
    yield "tampered claims", f"Bearer {head}.{_part({**claims, 'sub': 'CEO'})}.{tail}"
    yield "tampered signature", f"Bearer {head}.{middle}.{tail[:-4]}AAAA"
    yield "no signature", f"Bearer {head}.{middle}."
    yield "zero signature", f"Bearer {head}.{middle}.{_b64(bytes(64))}"
    yield "short signature", f"Bearer {head}.{middle}.{_b64(b'x')}"
    yield "cut off", f"Bearer {right[:-10]}"
    yield "two parts", f"Bearer {head}.{middle}"
    yield "a header nested without end", f"Bearer {_b64(b'[' * 4000)}.{middle}.{tail}"
    yield "claims nested without end", f"Bearer {head}.{_b64(b'[' * 4000)}.{tail}"
    yield "a header that is a list", f"Bearer {_part([1, 2])}.{middle}.{tail}"
    yield "a header that is no JSON", f"Bearer {_b64(b'NaN')}.{middle}.{tail}"
    yield "a key id that is a list", f"Bearer {_part({'alg': 'ES256', 'kid': ['x']})}.{middle}.{tail}"
    yield "a key id that is a number", f"Bearer {_part({'alg': 'ES256', 'kid': 7})}.{middle}.{tail}"
    yield "no algorithm", f"Bearer {_part({'kid': kid})}.{middle}.{tail}"
    yield "an algorithm that is a list", f"Bearer {_part({'alg': ['ES256'], 'kid': kid})}.{middle}.{tail}"
    yield "compressed", f"Bearer {_part({'alg': 'ES256', 'kid': kid, 'zip': 'DEF'})}.{middle}.{tail}"
    yield "critical extension", f"Bearer {_part({'alg': 'ES256', 'kid': kid, 'crit': ['x']})}.{middle}.{tail}"
    yield "detached payload", f"Bearer {_part({'alg': 'ES256', 'kid': kid, 'b64': False})}.{middle}.{tail}"
    yield "a number of 5,000 digits", f"Bearer {_b64(b'9' * 5000)}.{middle}.{tail}"
    yield "an encrypted token", f"Bearer {head}.{middle}.{tail}.{tail}.{tail}"
    yield "another scheme", f"Basic {right}"
    yield "no scheme", right
    yield "nothing after the scheme", "Bearer "
    yield "two tokens", f"Bearer {right} {right}"
    yield "words", "Bearer ' OR 1=1 --"
    yield "not Base64", "Bearer ?.?.?"


def _part(content: Any) -> str:
    return _b64(json.dumps(content, separators=(",", ":")).encode())


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _hmac(header: dict[str, str], body: str, secret: bytes) -> str:
    import hashlib
    import hmac

    signing = f"{_part(header)}.{body}"
    return f"{signing}.{_b64(hmac.new(secret, signing.encode(), hashlib.sha256).digest())}"
