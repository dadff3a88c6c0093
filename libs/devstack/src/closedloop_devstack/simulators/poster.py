"""A system that posts to signed webhooks in the Standard Webhooks manner: a support desk, a website, a telephone system, a
gateway of mails.

`POST` with the body as it is and three headers: `webhook-id`, which stays the same when it is sent again; `webhook-timestamp` in
seconds; `webhook-signature`, "v1," and the base64 of HMAC-SHA256 over "id.timestamp.body", keyed by what stands, in base64,
behind `whsec_`. Any 2xx means taken; 429 and 5xx, that it shall come again.
"""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass, field

from closedloop_devstack.simulators.callbacks import Posted


@dataclass
class Poster:
    """`secret` is "whsec_…"; `ahead` is added to its clock, in seconds."""

    secret: str
    ahead: float = 0.0
    sent: int = field(default=0, init=False)

    def post(self, body: bytes, id: str = "", content_type: str = "application/json") -> Posted:
        self.sent += 1
        name, stamp = id or f"msg_{self.sent}", str(int(time.time() + self.ahead))
        headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": self.sign(name, stamp, body)}
        return Posted("POST", {}, body, content_type, headers)

    def sign(self, id: str, stamp: str, body: bytes) -> str:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = hmac.digest(key, b".".join((id.encode(), stamp.encode(), body)), "sha256")
        return f"v1,{base64.b64encode(mac).decode()}"
