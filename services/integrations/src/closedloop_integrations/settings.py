"""Where the outside systems are and how we are let in; environment variables `CLOSEDLOOP_INTEGRATIONS_*`.

An address left empty means that there is no such system; nothing but these addresses, and the further hosts of the
procurement site that its rulebook names, is ever called.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from email.utils import parseaddr

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

log = structlog.get_logger(__name__)


class DingtalkRobot(BaseModel):
    """A robot's webhook with its token, and the secret that signs."""

    model_config = ConfigDict(frozen=True)

    url: SecretStr
    secret: SecretStr = SecretStr("")


class CallbackKeys(BaseModel):
    """What an application of WeCom or DingTalk signs and seals its callbacks with, and whom its envelopes name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr = Field(min_length=1)
    aes_key: SecretStr = Field(min_length=43, max_length=43)
    receiver: str


class RobotSecret(BaseModel):
    """The AppSecret of an application of DingTalk, with which what people write to its robot is signed and not sealed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app_secret: SecretStr = Field(min_length=1)


# By platform and application; several hold at once while they are exchanged.
Callbacks = dict[str, dict[str, tuple[CallbackKeys | RobotSecret, ...]]]


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
    sms_url: str = Field(default="", description="Alibaba Cloud's short messages, https://dysmsapi.aliyuncs.com")
    sms_key_id: str = ""
    sms_key_secret: SecretStr = SecretStr("")
    sms_sign: str = Field(default="", description="the approved sign that stands before every short message")
    # When this process has read them; shows that a new secret has taken.
    read_at: datetime = Field(default_factory=lambda: datetime.now(UTC), exclude=True)
    public_url: str = Field(
        default="", description="where the courier's webhooks are reached from outside, https://host"
    )
    link_secret: SecretStr = Field(default=SecretStr(""), description="signs links that are counted; empty: none are")
    webhook_secret: SecretStr = Field(default=SecretStr(""), description="signs what gateways post to /hooks/mail")
    wecom_api_url: str = Field(default="https://qyapi.weixin.qq.com", description="where WeCom is asked for meetings")
    wecom_corp_id: str = ""
    wecom_secret: SecretStr = Field(default=SecretStr(""), description="of the application that may read meetings")
    callbacks: Callbacks = Field(
        default_factory=dict, description='{"wecom": {"<application>": [{"token": …, "aes_key": …, "receiver": …}]}}'
    )
    webhook_hosts: tuple[str, ...] = Field(
        default=(), description='hosts subscribers may have us call, ["hooks.example.cn", "*.example.com"]; empty: none'
    )
    webhook_inner_hosts: tuple[str, ...] = Field(
        default=(),
        description="hosts of our own network that may be called on the word of a subscriber or of the rulebook, in plain text "
        'too, ["10.0.0.5:8080"]',
    )

    @property
    def mail_domain(self) -> str:
        """Behind the @ of our Message-IDs."""
        return parseaddr(self.mail_from)[1].rpartition("@")[2] or "closedloop.invalid"

    def is_inner(self, host: str, port: int | None) -> bool:
        """Whether operations have said that this host of our own network may be called."""
        return any(name in (host, f"{host}:{port}") for name in self.webhook_inner_hosts)

    def robots(self, channel: str) -> frozenset[str]:
        """Names of the robots of "wecom" or "dingtalk"."""
        if channel == "wecom":
            return frozenset(self.wecom_robots)
        return frozenset(self.dingtalk_robots) if channel == "dingtalk" else frozenset()

    def speaks(self, channel: str) -> bool:
        """Whether messages can leave by the channel."""
        if channel == "mail":
            return bool(self.smtp_url.get_secret_value() and self.mail_from)
        if channel == "sms":
            return bool(self.sms_url and self.sms_key_id and self.sms_key_secret.get_secret_value() and self.sms_sign)
        return bool(self.robots(channel))


# How often somebody who asks has the folder of secrets looked at.
LOOK_SECONDS = 1.0


class Reader:
    """The settings as they stand. A secret that is changed in the folder `CLOSEDLOOP_INTEGRATIONS_SECRETS` names (a file per
    variable, called like it) is in use a second later, without a restart; the environment goes before the folder."""

    def __init__(self) -> None:
        self._kept: Outside | None = None
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._looked = 0.0

    def __call__(self) -> Outside:
        now = time.monotonic()
        if self._kept is None or now - self._looked >= LOOK_SECONDS:
            folder = os.environ.get("CLOSEDLOOP_INTEGRATIONS_SECRETS", "")
            self._looked, stamp = now, _stamp(folder)
            if self._kept is None or stamp != self._stamp:
                self._kept, self._stamp = _loaded(folder, self._kept), stamp
        return self._kept

    def cache_clear(self) -> None:
        self._kept = None


outside = Reader()


def _loaded(folder: str, before: Outside | None) -> Outside:
    """What is half written or wrong changes nothing where there was something before."""
    try:
        return Outside(_secrets_dir=folder or None)
    except (ValueError, OSError) as error:
        if before is None:
            raise
        # Not its text: it may hold the secret.
        log.warning("secrets not read, the old ones stay", error=type(error).__name__)
        return before


def _stamp(folder: str) -> tuple[tuple[str, int, int], ...]:
    """Of every file, whatever link leads there: Kubernetes changes all of them by one."""
    if not folder:
        return ()
    try:
        with os.scandir(folder) as files:
            found = [(file.name, file.stat()) for file in files if file.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, about.st_mtime_ns, about.st_size) for name, about in found))
