"""Alibaba Cloud's short messages (阿里云短信), as a company's server meets them: `POST /` with the action SendSms.

- Signed by ACS3-HMAC-SHA256 over method, path, query, the headers named in `Authorization` and the body's SHA-256; the
  date within a quarter of an hour of now, a nonce used once.
- Query: PhoneNumbers, SignName, TemplateCode, TemplateParam (JSON), OutId.
- Answers `{"Code": "OK", "Message": "OK", "BizId", "RequestId"}`; refusals have another code and status 400:
  InvalidAccessKeyId.NotFound, SignatureDoesNotMatch, InvalidTimeStamp.Expired, SignatureNonceUsed,
  isv.MOBILE_NUMBER_ILLEGAL, isv.SMS_SIGNATURE_ILLEGAL, isv.SMS_TEMPLATE_ILLEGAL, isv.TEMPLATE_MISSING_PARAMETERS,
  isv.BUSINESS_LIMIT_CONTROL from `limit` to one number within an hour.

Control: `GET /_control/messages` what was taken, oldest first; `DELETE /_control/messages` forgets it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from closedloop_devstack.simulators.ratelimit import SlidingWindow
from closedloop_devstack.simulators.server import Clock, HttpSimulator, utc_now

MOBILE = re.compile(r"(\+?86|0086)?1[3-9]\d{9}")
SIGNED = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([a-z0-9;-]+),Signature=([0-9a-f]{64})")
STALE_SECONDS = 900


@dataclass(frozen=True)
class ShortMessage:
    """As a phone shows it."""

    number: str
    text: str
    template: str
    out_id: str
    biz_id: str


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SmsPlatform(HttpSimulator):
    """One account with one sign; `templates`: approved texts by code, with `${variable}`."""

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1", clock: Clock = utc_now, limit: int = 5) -> None:
        super().__init__(port, host=host, clock=clock)
        self.key_id, self.key_secret, self.sign = "demo-key", "demo-secret", "闭环"
        self.templates = {"SMS_1": "${content}。退订回TD"}
        self.messages: list[ShortMessage] = []
        self._nonces: set[str] = set()
        self._window = SlidingWindow(limit, 3600)

    def routes(self) -> Sequence[Route]:
        return (
            Route("/", self._send, methods=["POST"]),
            Route("/_control/messages", self._list, methods=["GET"]),
            Route("/_control/messages", self._forget, methods=["DELETE"]),
        )

    async def _send(self, request: Request) -> Response:
        content = await request.body()
        try:
            self._check(request, content)
            taken = self._take(request)
        except Refused as refusal:
            return JSONResponse({"Code": refusal.code, "Message": str(refusal), "RequestId": "R"}, 400)
        return JSONResponse({"Code": "OK", "Message": "OK", "BizId": taken.biz_id, "RequestId": "R"})

    def _check(self, request: Request, content: bytes) -> None:
        found = SIGNED.fullmatch(request.headers.get("authorization", ""))
        if found is None or found[1] != self.key_id:
            raise Refused("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        names = found[2].split(";")
        if request.headers.get("x-acs-action") != "SendSms" or request.headers.get("x-acs-version") != "2017-05-25":
            raise Refused("InvalidAction.NotFound", "Specified api is not found.")
        if names != sorted(names) or not {"host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce"} <= set(names):
            raise Refused("SignatureDoesNotMatch", "Signed headers are missing.")
        try:
            at = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise Refused("InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from error
        if abs((self.clock() - at).total_seconds()) > STALE_SECONDS:
            raise Refused("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        digest = hashlib.sha256(content).hexdigest()
        query = "&".join(
            f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(request.query_params.items())
        )
        lines = [request.method, request.url.path, query]
        lines += ["".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names), found[2], digest]
        wanted = "ACS3-HMAC-SHA256\n" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
        signature = hmac.new(self.key_secret.encode(), wanted.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, found[3]):
            raise Refused("SignatureDoesNotMatch", "The signature does not match.")
        nonce = request.headers["x-acs-signature-nonce"]
        if nonce in self._nonces:
            raise Refused("SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces.add(nonce)

    def _take(self, request: Request) -> ShortMessage:
        asked = request.query_params
        number, code = asked.get("PhoneNumbers", ""), asked.get("TemplateCode", "")
        if not MOBILE.fullmatch(number):
            raise Refused("isv.MOBILE_NUMBER_ILLEGAL", "号码格式错误")
        if asked.get("SignName") != self.sign:
            raise Refused("isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名")
        if code not in self.templates:
            raise Refused("isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板")
        try:
            given = dict(json.loads(asked.get("TemplateParam", "{}")))
        except (ValueError, TypeError) as error:
            raise Refused("isv.INVALID_JSON_PARAM", "参数格式错误") from error
        wanted = re.findall(r"\$\{(\w+)\}", self.templates[code])
        if not set(wanted) <= set(given):
            raise Refused("isv.TEMPLATE_MISSING_PARAMETERS", "模板变量缺失")
        if self._window.wait(number, self.clock().timestamp()):
            raise Refused("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5")
        text = re.sub(r"\$\{(\w+)\}", lambda found: str(given[found[1]]), self.templates[code])
        with self.lock:
            biz_id = f"9{len(self.messages):017d}^0"
            message = ShortMessage(number, f"【{self.sign}】{text}", code, asked.get("OutId", ""), biz_id)
            self.messages.append(message)
        return message

    async def _list(self, request: Request) -> Response:
        return JSONResponse([asdict(message) for message in self.messages])

    async def _forget(self, request: Request) -> Response:
        self.messages.clear()
        return Response(status_code=204)
