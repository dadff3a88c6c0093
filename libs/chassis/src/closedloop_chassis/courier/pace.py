"""How fast a courier works, and how patient it is; environment variables `CLOSEDLOOP_COURIER_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Pace(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLOSEDLOOP_COURIER_", extra="ignore", frozen=True)

    batch_size: int = Field(default=500, ge=1, le=5000, description="events per transaction, both ways")
    prefetch: int = Field(default=1500, ge=1, description="messages held in memory, not yet acknowledged to the broker")
    busy_seconds: float = Field(default=0.02, description="pause between looks into the outbox while there is traffic")
    idle_seconds: float = Field(default=0.25, description="longest pause between looks while nobody can ring")
    asleep_seconds: float = Field(default=2.0, description="the same while the api can ring that there is something")
    confirm_seconds: float = Field(default=5.0, description="a broker silent for longer is taken to be away")
    abandon_seconds: float = Field(
        default=30.0, description="a queue that is unusable for longer, while its broker answers, is made anew"
    )
    resend_seconds: float = Field(default=30.0, description="an event unacknowledged for longer is told again")
    grace_seconds: float = Field(default=8.0, description="how long SIGTERM waits for the work under way")
    webhook_limit_bytes: int = Field(default=1024 * 1024, description="longer bodies are refused with 413")
    webhook_idle_seconds: float = Field(default=30.0, description="a silent connection is closed after this")
