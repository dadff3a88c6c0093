"""The world around the company: procurement site, ERP, chat robots and mail, simulated on loopback."""

from __future__ import annotations

import json
from base64 import b64encode
from secrets import token_bytes, token_urlsafe
from typing import Self

from closedloop_devstack.demo.watch import Watch
from closedloop_devstack.simulators.chat import ChatRobots
from closedloop_devstack.simulators.erp import ErpServer
from closedloop_devstack.simulators.mail import MailServer
from closedloop_devstack.simulators.procurement import ProcurementSite

SALES = "sales@yunshu.example.com"


class Outside:
    """Four servers that believe in the story's time; `environment` tells the platform where they are."""

    def __init__(self, watch: Watch) -> None:
        self.site = ProcurementSite(clock=watch.now)
        self.erp = ErpServer(clock=watch.now)
        # The robots' own limit is 20 a minute; hours pass within seconds here.
        self.chat = ChatRobots(clock=watch.now, limit=10_000)
        self.mail = MailServer(clock=watch.now, password=token_urlsafe(18))
        self.webhook_secret = "whsec_" + b64encode(token_bytes(24)).decode()
        self.servers = (self.site, self.erp, self.chat, self.mail)

    @property
    def environment(self) -> dict[str, str]:
        user = SALES.replace("@", "%40")
        ours = {
            "PROCUREMENT_URL": self.site.url,
            "ERP_URL": self.erp.url,
            "ERP_ACCOUNT": self.erp.account,
            "ERP_APP_KEY": self.erp.app_key,
            "ERP_APP_SECRET": self.erp.app_secret,
            "SMTP_URL": f"smtp://{self.mail.host}:{self.mail.port}",
            "IMAP_URL": f"imap://{user}:{self.mail.password}@{self.mail.host}:{self.mail.imap_port}",
            "WEBHOOK_SECRET": self.webhook_secret,
            "MAIL_FROM": f"云枢智造 <{SALES}>",
            "WECOM_ROBOTS": json.dumps({"default": self.chat.wecom_url()}),
        }
        return {f"CLOSEDLOOP_INTEGRATIONS_{name}": value for name, value in ours.items()}

    def start(self) -> Self:
        for server in self.servers:
            server.start()
        return self

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
