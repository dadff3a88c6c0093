"""The environment variables of each process, as the settings classes declare them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from closedloop_chassis.courier.pace import Pace
from closedloop_chassis.settings import Settings

SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")
PROCESSES = ("api", "courier", "migrate", "reactor")

# What the charts decide themselves: addresses of ports, files of volumes, secrets by reference.
OF_THE_CHART = frozenset(
    {
        "database_url",
        "amqp_url",
        "redis_url",
        "grpc_address",
        "metrics_address",
        "webhook_address",
        "jwks",
        "service_token_file",
        "peers",
        "tls_certificate",
        "tls_key",
        "tls_client_ca",
        "tls_server_ca",
        "reactor",
    }
)
# Where a service reads its secrets of outside systems from files, besides.
FOLDERS = {"integrations": "CLOSEDLOOP_INTEGRATIONS_SECRETS"}
# What a process cannot do its work without, though the class has a default for the loopback.
NEEDED = {
    "api": {"DATABASE_URL", "REDIS_URL", "JWKS", "GRPC_ADDRESS", "METRICS_ADDRESS"},
    "reactor": {"DATABASE_URL", "REDIS_URL", "METRICS_ADDRESS", "REACTOR"},
    "courier": {"DATABASE_URL", "AMQP_URL", "METRICS_ADDRESS", "WEBHOOK_ADDRESS"},
    "migrate": {"DATABASE_URL"},
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable and the field it is read into."""

    name: str
    setting: str
    field: FieldInfo

    @property
    def secret(self) -> bool:
        return holds_a_secret(self.field.annotation)


def variables(settings: type[BaseSettings]) -> dict[str, Variable]:
    """By name, of one settings class."""
    prefix = settings.model_config.get("env_prefix", "")
    return {
        (name := f"{prefix}{setting.upper()}"): Variable(name, setting, field)
        for setting, field in settings.model_fields.items()
        if not field.exclude
    }


def outside(service: str) -> type[BaseSettings] | None:
    """The service's own settings class, of outside systems; None where it knows none."""
    module = f"closedloop_{service}.settings"
    if find_spec(module) is None:
        return None
    found: type[BaseSettings] = import_module(module).Outside
    return found


def known(service: str) -> dict[str, Variable]:
    """Every variable that any process of the service reads."""
    own = outside(service)
    found = {**variables(Settings), **variables(Pace), **(variables(own) if own else {})}
    if folder := FOLDERS.get(service):
        found[folder] = Variable(folder, "secrets", FieldInfo(annotation=str))
    return found


def holds_a_secret(annotation: object) -> bool:
    """Whether the type is a secret or is made of some: SecretStr, dict[str, SecretStr], a model with one."""
    if annotation is SecretStr:
        return True
    fields: dict[str, FieldInfo] = getattr(annotation, "model_fields", {})
    return any(map(holds_a_secret, get_args(annotation))) or any(holds_a_secret(f.annotation) for f in fields.values())
