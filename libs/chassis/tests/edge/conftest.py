from __future__ import annotations

import io
import json
import logging
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parent))

import sample

from closedloop_chassis.edge.server import EdgeServer
from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import logs


def pytest_sessionfinish() -> None:
    """The sample removes its folder when its process ends, which workers of a parallel run do without a farewell."""
    shutil.rmtree(sample.GENERATED, ignore_errors=True)


@pytest.fixture(scope="module")
def database_url(database: Callable[[Service], str]) -> str:
    url = database(sample.service(sample.Handlers()))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sample.TABLE)
    return url


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE sample, idempotency")
        yield connection


@dataclass
class Signers:
    """Private keys by key id, and the folder their public halves are published in."""

    keys: dict[str, tuple[str, Any]]
    path: Path

    def publish(self, *kids: str) -> None:
        jwks = []
        for kid in kids:
            algorithm, key = self.keys[kid]
            public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
            jwks.append({**public, "kid": kid, "alg": algorithm, "use": "sig"})
        self.path.write_text(json.dumps({"keys": jwks}))

    def token(self, *roles: str, kid: str = "rsa", subject: str = "lin", **claims: Any) -> str:
        algorithm, key = self.keys[kid]
        body = {
            "sub": subject,
            "roles": list(roles),
            "iss": "closedloop",
            "aud": "closedloop",
            "exp": time.time() + 600,
        } | claims
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture(scope="session")
def _private_keys() -> dict[str, tuple[str, Any]]:
    return {
        "rsa": ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "ec": ("ES256", ec.generate_private_key(ec.SECP256R1())),
        "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        "new": ("ES256", ec.generate_private_key(ec.SECP256R1())),
    }


@pytest.fixture
def signers(_private_keys: dict[str, tuple[str, Any]], tmp_path: Path) -> Signers:
    result = Signers(_private_keys, tmp_path / "jwks.json")
    result.publish("rsa", "ec", "ed")
    return result


@pytest.fixture
def rsa_public_pem(_private_keys: dict[str, tuple[str, Any]]) -> bytes:
    pem: bytes = (
        _private_keys["rsa"][1]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return pem


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the process has logged so far, as a log collector reads it."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    logs.start(Settings(database_url=SecretStr("postgresql://")), "sample", "api", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level


@dataclass
class Running:
    process: Process
    handlers: sample.Handlers
    server: EdgeServer
    channel: grpc.aio.Channel
    signers: Signers

    @property
    def stub(self) -> Any:
        return sample.Stub(self.channel)

    def metadata(self, *roles: str, **claims: Any) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.signers.token(*roles, **claims)}"),)

    @property
    def operations(self) -> tuple[tuple[str, str], ...]:
        return self.metadata("operations")


Serve = Callable[..., Any]


@pytest.fixture
def serve(signers: Signers, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """`async with serve(url, **settings) as running`: a server on its own port; the database is real if asked for."""

    @asynccontextmanager
    async def serving(database_url: str = "postgresql://127.0.0.1:9/none", **settings: Any) -> AsyncIterator[Running]:
        defaults: dict[str, Any] = {
            "database_url": database_url,
            "grpc_address": "127.0.0.1:0",
            "jwks": str(signers.path),
            "drain_seconds": 2.0,
            "pool_min": 1,
            "pool_max": 4,
        }
        handlers = sample.Handlers()
        process = Process(sample.service(handlers), Settings(**{**defaults, **settings}))
        process.org.current = sample.ORG
        process.ready.set()
        if "none" not in database_url:
            await process.database.pool.open()
        server = EdgeServer(process)
        await server.start()
        await server.ready()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield Running(process, handlers, server, channel, signers)
        finally:
            await server.stop(0)
            await process.stop()

    return serving
