"""Secrets of those who post to us; environment variables `CLOSEDLOOP_CUSTOMERS_*`."""

from __future__ import annotations

from functools import cache

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Outside(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLOSEDLOOP_CUSTOMERS_", extra="ignore", frozen=True)

    webhook_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='by source, signs what is posted to /hooks/leads/<source>: {"site": "whsec_…"}',
    )


@cache
def outside() -> Outside:
    return Outside()
