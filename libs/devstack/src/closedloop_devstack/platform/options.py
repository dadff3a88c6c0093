"""What the caller of `up` may choose."""

from __future__ import annotations

import os
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.platform.layout import DEFAULT_BASE, SERVICES


class Options(BaseModel):
    """One platform's choices. URLs name servers already running; empty: start one of our own."""

    model_config = ConfigDict(frozen=True)

    port_base: int = Field(default=DEFAULT_BASE, ge=1024, le=65_000)
    services: tuple[str, ...] = SERVICES
    broker: Literal["redis", "rabbitmq"] = "redis"
    development: bool = True
    start_time: AwareDatetime | None = Field(
        default=None, description="development mode: what all services' clocks show when the databases are new"
    )
    database_url: str = ""
    amqp_url: str = ""
    redis_url: str = ""
    ready_seconds: float = Field(default=60.0, gt=0, description="processes not healthy by then are a failed start")
    environment: dict[str, str] = Field(default_factory=dict, description="added to every process's environment")

    @classmethod
    def from_environment(cls, **chosen: object) -> Self:
        """CLOSEDLOOP_PORT_BASE, CLOSEDLOOP_DATABASE_URL, CLOSEDLOOP_AMQP_URL, CLOSEDLOOP_REDIS_URL; `chosen` wins."""
        names = ("port_base", "database_url", "amqp_url", "redis_url")
        found = {name: value for name in names if (value := os.environ.get(f"CLOSEDLOOP_{name.upper()}"))}
        try:
            return cls.model_validate({**found, **chosen})
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(map(str, first["loc"])).upper()
            raise PlatformError(f"CLOSEDLOOP_{name}={first['input']} will not do: {first['msg']}.") from error
