"""Keys and tokens of the one-machine platform: an ES256 key, its JWKS, tokens for people and for services."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from closedloop_devstack.files import write_whole

ISSUER = AUDIENCE = "closedloop"
SERVICE_TOKEN_HOURS = 12.0


class KeyRing:
    """The signing key of one home. Made at first use, found again after."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key_file = folder / "signing.pem"

    @property
    def jwks(self) -> Path:
        """The file with the public key; what CLOSEDLOOP_JWKS names."""
        path = self._folder / "jwks.json"
        if not path.exists():
            write_whole(path, json.dumps({"keys": [self._public()]}, indent=1), mode=0o644)
        return path

    def token(self, subject: str, roles: Iterable[str], hours: float = 12.0) -> str:
        """A signed token: sub, roles, iss, aud, iat, exp."""
        now = int(time.time())
        claims = {
            "sub": subject,
            "roles": sorted(set(roles)),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + int(hours * 3600),
        }
        return jwt.encode(claims, self._private(), algorithm="ES256", headers={"kid": self._public()["kid"]})

    def write_service_token(self, service: str) -> Path:
        """Writes a fresh token of `service:<name>` into its file; the service reads it again when it changes."""
        path = self._folder / f"service-{service}.token"
        write_whole(path, self.token(f"service:{service}", ["service"], SERVICE_TOKEN_HOURS))
        return path

    def _private(self) -> ec.EllipticCurvePrivateKey:
        if not self._key_file.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            pem = made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_whole(self._key_file, pem.decode())
            (self._folder / "jwks.json").unlink(missing_ok=True)
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _public(self) -> dict[str, Any]:
        jwk = dict(ECAlgorithm.to_jwk(self._private().public_key(), as_dict=True))
        # The key's id is its thumbprint (RFC 7638).
        essence = json.dumps(
            {name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True
        )
        kid = urlsafe_b64encode(hashlib.sha256(essence.encode()).digest()).rstrip(b"=").decode()
        return {**jwk, "kid": kid, "alg": "ES256", "use": "sig"}
