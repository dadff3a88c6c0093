"""Where the outside systems are and how we are let in; environment variables `CLOSEDLOOP_INTEGRATIONS_*`.

An address left empty means that there is no such system; nothing but these addresses is ever called.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parseaddr
from functools import cache

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DingtalkRobot(BaseModel):
    """A robot's webhook with its token, and the secret that signs."""

    model_config = ConfigDict(frozen=True)

    url: SecretStr
    secret: SecretStr = SecretStr("")


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
    webhook_hosts: tuple[str, ...] = Field(
        default=(), description='hosts subscribers may have us call, ["hooks.example.cn", "*.example.com"]; empty: none'
    )
    webhook_inner_hosts: tuple[str, ...] = Field(
        default=(), description='hosts of our own network that may be called, in plain text too, ["10.0.0.5:8080"]'
    )

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
