"""Where the outside systems are and how we are let in; environment variables `CLOSEDLOOP_INTEGRATIONS_*`.

An address left empty means that there is no such system; nothing but these addresses is ever called.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import parseaddr
from functools import cache, lru_cache
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter
from pydantic_settings import BaseSettings, SettingsConfigDict

log = structlog.get_logger("integrations.settings")


class DingtalkRobot(BaseModel):
    """A robot's webhook with its token, and the secret that signs."""

    model_config = ConfigDict(frozen=True)

    url: SecretStr
    secret: SecretStr = SecretStr("")


class CallbackKeys(BaseModel):
    """What an application of WeCom or DingTalk signs and seals its callbacks with, and whom its envelopes name."""

    model_config = ConfigDict(frozen=True)

    token: SecretStr = Field(min_length=1)
    aes_key: SecretStr = Field(min_length=43, max_length=43)
    receiver: str


# By platform and application; several hold at once while they are exchanged.
Callbacks = dict[str, dict[str, tuple[CallbackKeys, ...]]]
_callbacks: TypeAdapter[Callbacks] = TypeAdapter(Callbacks)


class Outside(BaseSettings):
    """URLs with credentials are secrets. User and password in them are percent-encoded."""

    model_config = SettingsConfigDict(env_prefix="CLOSEDLOOP_INTEGRATIONS_", extra="ignore", frozen=True)

    procurement_url: str = Field(default="", description="the procurement site, http(s)://host[:port]")
    erp_url: str = Field(default="", description="the ERP's open interface, http(s)://host[:port]")
    erp_account: str = Field(default="closedloop", description="from_account and to_account")
    erp_app_key: str = ""
    erp_app_secret: SecretStr = SecretStr("")
    imap_url: SecretStr = Field(default=SecretStr(""), description="imap(s)://user:password@host[:port][/folder]")
    smtp_url: SecretStr = Field(
        default=SecretStr(""), description="smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]"
    )
    mail_from: str = Field(default="", description='"Name <address>" our mail comes from; answers go there')
    wecom_robots: dict[str, SecretStr] = Field(default_factory=dict, description='{"default": "https://…?key=…"}')
    dingtalk_robots: dict[str, DingtalkRobot] = Field(
        default_factory=dict, description='{"default": {"url": "https://…?access_token=…", "secret": "SEC…"}}'
    )
    # When this process has read them; shows that a new secret has taken.
    read_at: datetime = Field(default_factory=lambda: datetime.now(UTC), exclude=True)
    public_url: str = Field(
        default="", description="where the courier's webhooks are reached from outside, https://host"
    )
    link_secret: SecretStr = Field(default=SecretStr(""), description="signs links that are counted; empty: none are")
    webhook_secret: SecretStr = Field(default=SecretStr(""), description="signs what gateways post to /hooks/mail")
    callbacks: Callbacks = Field(
        default_factory=dict, description='{"wecom": {"<application>": [{"token": …, "aes_key": …, "receiver": …}]}}'
    )
    callbacks_file: str = Field(default="", description="the same in a file, which is read again when it changes")

    @property
    def mail_domain(self) -> str:
        """Behind the @ of our Message-IDs."""
        return parseaddr(self.mail_from)[1].rpartition("@")[2] or "closedloop.invalid"

    def robots(self, channel: str) -> frozenset[str]:
        """Names of the robots of "wecom" or "dingtalk"."""
        if channel == "wecom":
            return frozenset(self.wecom_robots)
        return frozenset(self.dingtalk_robots) if channel == "dingtalk" else frozenset()

    def speaks(self, channel: str) -> bool:
        """Whether messages can leave by the channel."""
        if channel == "mail":
            return bool(self.smtp_url.get_secret_value() and self.mail_from)
        return bool(self.robots(channel))


@cache
def outside() -> Outside:
    return Outside()


def callback_keys(platform: str, application: str) -> tuple[CallbackKeys, ...]:
    """All that hold now, those of the file first; looked up anew at every call."""
    where = outside()
    filed: tuple[CallbackKeys, ...] = ()
    if where.callbacks_file:
        filed = _filed(where.callbacks_file).get(platform, {}).get(application, ())
    return (*filed, *where.callbacks.get(platform, {}).get(application, ()))


def _filed(path: str) -> Callbacks:
    """A file that is being written, or written wrongly, leaves in force what was read last."""
    try:
        state = os.stat(path)
        _last[path] = _read(path, state.st_mtime_ns, state.st_size, state.st_ino)
    except (OSError, ValueError) as error:
        # A ValidationError shows what it was given, and that is secret.
        log.warning("callback keys not read", path=path, cause=type(error).__name__)
    return _last.get(path, {})


_last: dict[str, Callbacks] = {}


@lru_cache(maxsize=8)
def _read(path: str, *state: int) -> Callbacks:
    return _callbacks.validate_json(Path(path).read_bytes())
