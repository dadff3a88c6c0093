"""Everything a process is told from outside, in one place; environment variables `CLOSEDLOOP_*`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one process (api, courier or migrate) of one service."""

    model_config = SettingsConfigDict(env_prefix="CLOSEDLOOP_", extra="ignore", frozen=True)

    # Servers. URLs carry credentials, hence secrets.
    database_url: SecretStr = Field(description="postgresql://… of this service's own database")
    amqp_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/1"),
        description="the broker: amqp://… in production, redis://… on one machine",
    )
    redis_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), description="the cache; may vanish")

    # Where this process listens.
    grpc_address: str = "127.0.0.1:7400"
    metrics_address: str = Field(default="127.0.0.1:7401", description="Prometheus /metrics and /healthz over HTTP")
    webhook_address: str = Field(default="127.0.0.1:7402", description="courier only: incoming webhooks")

    # Who may call, and who we are when we call.
    jwks: str = Field(default="", description="path or https URL of the JSON Web Key Set that signs callers' tokens")
    token_issuer: str = "closedloop"
    token_audience: str = "closedloop"
    service_token_file: Path | None = Field(default=None, description="our own token; read again when it changes")
    peers: dict[str, str] = Field(default_factory=dict, description='gRPC targets by service: {"targets": "dns:///…"}')

    # TLS of gRPC; without these files plain text, for one machine and for networks that encrypt by themselves.
    tls_certificate: Path | None = Field(
        default=None, description="PEM chain that callers, and asking peers, are shown"
    )
    tls_key: Path | None = Field(default=None, description="PEM private key of that certificate")
    tls_client_ca: Path | None = Field(default=None, description="PEM; callers must show a certificate of this CA")
    tls_server_ca: Path | None = Field(
        default=None, description="PEM; peers are called over TLS and must be of this CA"
    )

    # Capacity.
    pool_min: int = 2
    pool_max: int = 16
    pool_idle_seconds: float = Field(
        default=600.0, gt=0, description="a connection nobody needed for so long is closed"
    )
    pool_wait_seconds: float = Field(default=1.0, description="waiting longer for a connection is overload")
    max_concurrent_calls: int = Field(default=256, description="more at once are refused with RESOURCE_EXHAUSTED")
    rate_per_caller: float = Field(default=500.0, description="calls per second and caller; 0 switches the limit off")
    max_message_bytes: int = 32 * 1024 * 1024
    # Callers come back by themselves and find new replicas; gRPC spreads the age by a tenth.
    max_connection_age_seconds: float = Field(default=1800.0, gt=0)
    max_connection_age_grace_seconds: float = Field(
        default=120.0, gt=0, description="what a call under way has left when its connection is of age"
    )
    drain_seconds: float = Field(default=10.0, description="how long SIGTERM waits for calls under way")

    # The reactor applies inbox rows and due clocks: inside the api, in a process of its own, or not here.
    reactor: Literal["api", "own", "off"] = "api"
    reactor_workers: int = Field(default=2, ge=1, le=8, description="transactions that apply the inbox side by side")

    # Telemetry.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    otlp_endpoint: str = Field(default="", description="OTLP over HTTP, e.g. http://collector:4318; empty: no export")
    trace_ratio: float = Field(default=0.1, ge=0, le=1, description="share of new traces that are sampled")

    # Who reads figures past the API: boards of Grafana, reports.
    report_reader: str = Field(
        default="",
        pattern="^([a-z_][a-z0-9_]{0,62})?$",
        description="a role of PostgreSQL that `migrate` lets into the schema `report`, and nowhere else; empty: nobody",
    )

    # Development mode: a clock that can be moved, and the service that moves it. Never in production.
    development: bool = False

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TLS_CERTIFICATE and TLS_KEY belong together")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("TLS_CLIENT_CA needs TLS_CERTIFICATE and TLS_KEY")
        return self

    @cached_property
    def dsn(self) -> str:
        return self.database_url.get_secret_value()
