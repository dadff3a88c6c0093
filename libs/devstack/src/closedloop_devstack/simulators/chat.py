"""Chat robots of WeCom (企业微信) and DingTalk (钉钉): the webhooks to which a company's notices are posted.

- WeCom: `POST /cgi-bin/webhook/send?key=K` with `{"msgtype": "text", "text": {"content", "mentioned_list"?}}` or
  `{"msgtype": "markdown", "markdown": {"content"}}`; text up to 2048 bytes, markdown up to 4096.
- DingTalk: `POST /robot/send?access_token=T&timestamp=MS&sign=S` with `{"msgtype": "text", "text": {"content"},
  "at"?}` or `{"msgtype": "markdown", "markdown": {"title", "text"}, "at"?}`; sign is base64 of HMAC-SHA256 with the
  robot's secret over `"{timestamp}\\n{secret}"`, the timestamp within an hour of now. A robot without secret takes
  unsigned messages.

Both answer status 200 with `{"errcode": 0, "errmsg": "ok"}`; refusals have another errcode: WeCom 93000 key unknown,
40008 type unknown, 44004 no content, 45002 too long, 45009 more than `limit` a minute; DingTalk 300001 token unknown,
310000 wrong signature, 40035 bad message, 130101 more than `limit` a minute.

Control: `GET /_control/messages` what was received, oldest first; `DELETE /_control/messages` forgets it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from closedloop_devstack.simulators.ratelimit import SlidingWindow
from closedloop_devstack.simulators.server import Clock, HttpSimulator, utc_now

WECOM_BYTES = {"text": 2048, "markdown": 4096}
DINGTALK_BYTES = 20_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class ChatMessage:
    """A message as people in the group see it. `mentions` are user ids or phone numbers, "@all" for everybody."""

    platform: str
    robot: str
    kind: str
    text: str
    title: str
    mentions: tuple[str, ...]
    received: datetime


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def dingtalk_sign(secret: str, timestamp: int) -> str:
    """`timestamp` in milliseconds; the result goes into the query, where it has to be percent-encoded."""
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class ChatRobots(HttpSimulator):
    """`wecom`: the keys in use. `dingtalk`: secrets by access token ("" for none). `messages`: what came in."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        clock: Clock = utc_now,
        limit: int = 20,
        wecom: Sequence[str] = ("demo-key",),
        dingtalk: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(port, host=host, clock=clock)
        self.wecom = frozenset(wecom)
        self.dingtalk = {"demo-token": "SEC-demo"} if dingtalk is None else dict(dingtalk)
        self.messages: list[ChatMessage] = []
        self._window = SlidingWindow(limit, 60)

    def wecom_url(self, key: str = "demo-key") -> str:
        return f"{self.url}/cgi-bin/webhook/send?key={key}"

    def dingtalk_url(self, token: str = "demo-token") -> str:
        return f"{self.url}/robot/send?access_token={token}"

    def routes(self) -> Sequence[Route]:
        return (
            Route("/cgi-bin/webhook/send", self._wecom, methods=["POST"]),
            Route("/robot/send", self._dingtalk, methods=["POST"]),
            Route("/_control/messages", self._list, methods=["GET"]),
            Route("/_control/messages", self._forget, methods=["DELETE"]),
        )

    async def _wecom(self, request: Request) -> Response:
        content = await request.body()
        try:
            key = request.query_params.get("key", "")
            if key not in self.wecom:
                raise Refused(93000, "invalid webhook url")
            self._pace(f"wecom:{key}", 45009, "api freq out of limit")
            message = _object(content, 40008)
            kind = message.get("msgtype")
            if kind not in WECOM_BYTES:
                raise Refused(40008, "invalid message type")
            part = _part(message, kind, 44004)
            text = _text(part.get("content"), 44004, "content is empty")
            if len(text.encode()) > WECOM_BYTES[kind]:
                raise Refused(45002, "content size out of limit")
            mentions = [*_strings(part.get("mentioned_list")), *_strings(part.get("mentioned_mobile_list"))]
            self._keep("wecom", key, kind, text, "", mentions)
        except Refused as refusal:
            return JSONResponse({"errcode": refusal.code, "errmsg": str(refusal)})
        return JSONResponse({"errcode": 0, "errmsg": "ok"})

    async def _dingtalk(self, request: Request) -> Response:
        content, asked = await request.body(), request.query_params
        try:
            token = asked.get("access_token", "")
            if token not in self.dingtalk:
                raise Refused(300001, "token is not exist")
            self._check_sign(self.dingtalk[token], asked.get("timestamp", ""), asked.get("sign", ""))
            self._pace(f"dingtalk:{token}", 130101, "send too fast, exceed 20 times per minute")
            message = _object(content, 40035)
            kind = message.get("msgtype")
            if kind not in ("text", "markdown"):
                raise Refused(40035, "缺少参数 msgtype")
            part = _part(message, kind, 40035)
            text = _text(part.get("content" if kind == "text" else "text"), 40035, "缺少参数 text")
            title = _text(part.get("title"), 40035, "缺少参数 title") if kind == "markdown" else ""
            if len(text.encode()) > DINGTALK_BYTES:
                raise Refused(40035, "消息过长")
            at = message.get("at")
            mentions: list[str] = []
            if isinstance(at, dict):
                mentions = [
                    *_strings(at.get("atUserIds")),
                    *_strings(at.get("atMobiles")),
                    *(["@all"] if at.get("isAtAll") else []),
                ]
            self._keep("dingtalk", token, kind, text, title, mentions)
        except Refused as refusal:
            return JSONResponse({"errcode": refusal.code, "errmsg": str(refusal)})
        return JSONResponse({"errcode": 0, "errmsg": "ok"})

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"messages": [asdict(m) | {"received": m.received.isoformat()} for m in self.messages]})

    async def _forget(self, _: Request) -> Response:
        with self.lock:
            self.messages.clear()
        return Response(status_code=204)

    def _check_sign(self, secret: str, timestamp: str, sign: str) -> None:
        if not secret:
            return
        now = self.clock().timestamp() * 1000
        if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > HOUR_MS:
            raise Refused(310000, "invalid timestamp")
        if not hmac.compare_digest(dingtalk_sign(secret, int(timestamp)).encode(), sign.encode()):
            raise Refused(310000, "sign not match")

    def _pace(self, robot: str, code: int, message: str) -> None:
        with self.lock:
            if self._window.wait(robot, self.clock().timestamp()):
                raise Refused(code, message)

    def _keep(self, platform: str, robot: str, kind: str, text: str, title: str, mentions: list[str]) -> None:
        with self.lock:
            self.messages.append(ChatMessage(platform, robot, kind, text, title, tuple(mentions), self.clock()))


def _object(content: bytes, code: int) -> dict[str, Any]:
    try:
        message = json.loads(content)
    except ValueError as error:
        raise Refused(code, "invalid json") from error
    if not isinstance(message, dict):
        raise Refused(code, "invalid json")
    return message


def _part(message: dict[str, Any], kind: str, code: int) -> dict[str, Any]:
    part = message.get(kind)
    if not isinstance(part, dict):
        raise Refused(code, f"missing {kind}")
    return part


def _text(value: object, code: int, complaint: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refused(code, complaint)
    return value


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
