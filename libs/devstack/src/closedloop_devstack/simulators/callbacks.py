"""What WeCom (企业微信) and DingTalk (钉钉) post to the callback addresses of a company, sealed and signed as they do.

Both seal with AES-256-CBC under the key whose base64 without its "=" is the EncodingAESKey (43 characters); the IV is the
key's first half. Plain text: 16 random bytes, the message's length in 4 (big endian), the message, the receiver; filled up
to a multiple of 32 bytes with bytes that say how many they are. The signature is the SHA-1 of token, timestamp, nonce and
envelope, sorted and joined, in hex.

- WeCom: `GET ?msg_signature&timestamp&nonce&echostr` proves an address, the answer is the opened echo; messages are
  `POST ?msg_signature&timestamp&nonce` with `<xml><ToUserName/><Encrypt/><AgentID/></xml>`; timestamps in seconds, an
  empty answer or "success" is content.
- DingTalk's events: `POST ?signature&timestamp&nonce` with `{"encrypt"}`, timestamps in milliseconds; an address is proved
  by an event `check_url`; every answer is `{"msg_signature", "timeStamp", "nonce", "encrypt"}` that opens to "success".
- What people write to DingTalk's robots is another form: `POST` with the message in plain JSON and the headers `timestamp`
  (milliseconds) and `sign`, the base64 of HMAC-SHA256, keyed by the application's AppSecret, over "timestamp\nAppSecret";
  an answer is a message of the robot, or `{"msgtype": "empty"}`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

WIDTH = 32


@dataclass(frozen=True)
class Posted:
    """One call, ready to be made."""

    method: str
    query: dict[str, str]
    body: bytes = b""
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)

    def but(self, body: bytes | None = None, **query: str) -> Self:
        """The same call with something else in it, as a forger would."""
        return replace(self, query={**self.query, **query}, body=self.body if body is None else body)

    def headed(self, **headers: str) -> Self:
        """The same call with other headers."""
        return replace(self, headers={**self.headers, **headers})

    def send(self, url: str) -> tuple[int, bytes]:
        headers = {"content-type": self.content_type, **self.headers}
        answer = httpx.request(
            self.method, f"{url}?{urlencode(self.query)}", content=self.body, headers=headers, trust_env=False
        )
        return answer.status_code, answer.content


@dataclass
class Platform:
    """A platform's side of one application. `receiver`: the corp id or app key that its envelopes name; `app_secret`:
    DingTalk's alone, of the robot."""

    token: str
    aes_key: str
    receiver: str
    app_secret: str = "app-secret"
    # Added to the clock by which it signs, in seconds.
    ahead: float = 0.0
    sent: int = field(default=0, init=False)

    def seal(self, message: str) -> str:
        text = message.encode()
        plain = secrets.token_bytes(16) + len(text).to_bytes(4, "big") + text + self.receiver.encode()
        missing = WIDTH - len(plain) % WIDTH
        encryptor = self._cipher.encryptor()
        return base64.b64encode(encryptor.update(plain + bytes([missing]) * missing) + encryptor.finalize()).decode()

    def unseal(self, envelope: str) -> tuple[str, str]:
        """Message and receiver."""
        decryptor = self._cipher.decryptor()
        plain = decryptor.update(base64.b64decode(envelope)) + decryptor.finalize()
        plain = plain[: -plain[-1]]
        length = int.from_bytes(plain[16:20], "big")
        return plain[20 : 20 + length].decode(), plain[20 + length :].decode()

    def sign(self, stamp: str, nonce: str, envelope: str) -> str:
        return hashlib.sha1("".join(sorted([self.token, stamp, nonce, envelope])).encode()).hexdigest()

    @property
    def _cipher(self) -> Cipher[modes.CBC]:
        key = base64.b64decode(self.aes_key + "=")
        return Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def _query(self, envelope: str, name: str, ticks: int) -> dict[str, str]:
        stamp, nonce = str(int((time.time() + self.ahead) * ticks)), secrets.token_hex(5)
        return {name: self.sign(stamp, nonce, envelope), "timestamp": stamp, "nonce": nonce}

    def _next(self) -> int:
        self.sent += 1
        return self.sent


class Wecom(Platform):
    """`source` is what the records it causes are called by."""

    source = "wecom"

    def verification(self) -> Posted:
        echo = self.seal("1616140317555161061")
        return Posted("GET", {**self._query(echo, "msg_signature", 1), "echostr": echo})

    def verified(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"1616140317555161061"

    def content(self, status: int, body: bytes) -> bool:
        return status == 200 and body in (b"", b"success")

    def post(self, message: str) -> Posted:
        envelope = self.seal(message)
        body = f"<xml><ToUserName><![CDATA[{self.receiver}]]></ToUserName><Encrypt><![CDATA[{envelope}]]></Encrypt>"
        body += "<AgentID><![CDATA[1000002]]></AgentID></xml>"
        return Posted("POST", self._query(envelope, "msg_signature", 1), body.encode(), "text/xml")

    def written(self, sender: str, text: str, at: float, id: str = "") -> Posted:
        """A message of a member to the application."""
        return self.post(
            f"<xml><ToUserName><![CDATA[{self.receiver}]]></ToUserName>"
            f"<FromUserName><![CDATA[{sender}]]></FromUserName><CreateTime>{int(at)}</CreateTime>"
            f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
            f"<MsgId>{id or 4561255354251345929 + self._next()}</MsgId><AgentID>1000002</AgentID></xml>"
        )

    def event(self, name: str, at: float, **fields: Any) -> Posted:
        told = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in fields.items())
        return self.post(
            f"<xml><ToUserName>{self.receiver}</ToUserName><FromUserName>sys</FromUserName>"
            f"<CreateTime>{int(at)}</CreateTime><MsgType>event</MsgType><Event>{name}</Event>{told}</xml>"
        )


class Dingtalk(Platform):
    source = "dingtalk"

    def verification(self) -> Posted:
        return self.post(json.dumps({"EventType": "check_url"}))

    def verified(self, status: int, body: bytes) -> bool:
        return self.content(status, body)

    def content(self, status: int, body: bytes) -> bool:
        if status != 200:
            return False
        told = json.loads(body)
        if "msgtype" in told:
            return bool(told == {"msgtype": "empty"})
        signed = self.sign(told["timeStamp"], told["nonce"], told["encrypt"])
        return told["msg_signature"] == signed and self.unseal(told["encrypt"]) == ("success", self.receiver)

    def post(self, message: str) -> Posted:
        envelope = self.seal(message)
        body = json.dumps({"encrypt": envelope}).encode()
        return Posted("POST", self._query(envelope, "signature", 1000), body, "application/json")

    def written(self, sender: str, text: str, at: float, id: str = "") -> Posted:
        """A message to the company's robot in a chat."""
        told = {
            "conversationId": "cid-demo==",
            "conversationType": "2",
            "conversationTitle": "智慧黑板项目群",
            "msgId": id or f"msg{self._next()}==",
            "createAt": int(at * 1000),
            "senderId": f"$:LWCP_v1:${sender}",
            "senderStaffId": sender,
            "senderNick": sender,
            "msgtype": "text",
            "text": {"content": text},
        }
        stamp = str(int((time.time() + self.ahead) * 1000))
        mac = hmac.digest(self.app_secret.encode(), f"{stamp}\n{self.app_secret}".encode(), "sha256")
        headers = {"timestamp": stamp, "sign": base64.b64encode(mac).decode()}
        return Posted(
            "POST", {}, json.dumps(told, ensure_ascii=False).encode(), "application/json; charset=utf-8", headers
        )

    def event(self, name: str, at: float, **fields: Any) -> Posted:
        return self.post(json.dumps({"EventType": name, "TimeStamp": int(at * 1000), **fields}, ensure_ascii=False))
