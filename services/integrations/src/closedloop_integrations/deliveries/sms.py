"""Short messages through Alibaba Cloud (阿里云短信): carriers take only texts of a template and a sign they have approved.

A call is signed over all of it (ACS3-HMAC-SHA256). Sources: help.aliyun.com/document_detail/419273.html (SendSms),
help.aliyun.com/document_detail/2712195.html (signature).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote, urlsplit

from closedloop_integrations.deliveries.gateway import Letter, Receipt
from closedloop_integrations.deliveries.rules import SmsTemplate
from closedloop_integrations.outbound import Answer, LostError, NotSentError, Outbound
from closedloop_integrations.sources.rules import PollRules

ACTION, VERSION = "SendSms", "2017-05-25"
ALGORITHM = "ACS3-HMAC-SHA256"
NOTHING = hashlib.sha256(b"").hexdigest()
# More than may be sent, by the account or to one number.
TOO_FAST = ("isv.BUSINESS_LIMIT_CONTROL", "Throttling")
NO_NUMBER = ("isv.MOBILE_NUMBER_ILLEGAL", "isv.MOBILE_COUNT_OVER_LIMIT")
# Who is too busy has taken nothing; after any other failure the message may have gone.
BUSY = 503


@dataclass(frozen=True, slots=True)
class SmsAccess:
    """`sign` stands before every message: 【sign】."""

    url: str
    key_id: str
    key_secret: str
    sign: str


class AliyunSms:
    """`templates` by purpose: under which one a text goes, and which of its variables carries it."""

    def __init__(self, access: SmsAccess, templates: Mapping[str, SmsTemplate], limits: PollRules) -> None:
        self._access, self._templates, self._limits = access, templates, limits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send(self, letter: Letter) -> Receipt:
        template = self._templates.get(letter.purpose)
        if template is None:
            return Receipt("refused", f"no template is approved for {letter.purpose}")
        query = {
            "OutId": letter.delivery_id,
            "PhoneNumbers": letter.address,
            "SignName": self._access.sign,
            "TemplateCode": template.code,
            "TemplateParam": json.dumps({template.variable: letter.text}, ensure_ascii=False),
        }
        base = self._access.url.rstrip("/")
        # The platform compares with its own clock; ours may be a moved one.
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = headers(urlsplit(base).netloc, ACTION, VERSION, stamp, secrets.token_hex(16))
        given["authorization"] = authorization(self._access.key_id, self._access.key_secret, query, given)
        with Outbound(base, self._limits.timeout_seconds, self._limits.max_bytes) as client:
            try:
                answer = client.post(f"{base}/?{canonical(query)}", b"", given)
            except LostError as error:
                return Receipt("unknown", str(error))
        return _read(answer, self._limits.patience_seconds)


def headers(host: str, action: str, version: str, stamp: str, nonce: str) -> dict[str, str]:
    """What is signed of a call without a body."""
    return {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": NOTHING,
        "x-acs-date": stamp,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }


def canonical(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query))


def authorization(key_id: str, secret: str, query: Mapping[str, str], given: Mapping[str, str]) -> str:
    names = sorted(given)
    told = "".join(f"{name}:{given[name].strip()}\n" for name in names)
    signed = ";".join(names)
    asked = "\n".join(("POST", "/", canonical(query), told, signed, given["x-acs-content-sha256"]))
    digest = f"{ALGORITHM}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), digest.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={signed},Signature={signature}"


def _read(answer: Answer, patience: float) -> Receipt:
    """Raises NotSentError where the platform is too busy."""
    if answer.status >= 500 and answer.status != BUSY:
        return Receipt("unknown", f"the platform answers {answer.status}")
    try:
        told = json.loads(answer.content)
        code, detail = str(told["Code"]), f"{told['Code']} {told.get('Message', '')}"[:300]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if answer.status == BUSY:
            raise NotSentError(f"the platform answers {answer.status}") from error
        return Receipt("unknown", f"an answer of status {answer.status} nobody understands")
    if code == "OK":
        return Receipt("accepted", detail, gateway_id=str(told.get("BizId", ""))[:200])
    if code.startswith(TOO_FAST) or answer.status == 429:
        return Receipt("deferred", detail, retry_after=answer.retry_after or patience)
    if answer.status == BUSY:
        raise NotSentError(f"the platform answers {answer.status}: {detail}")
    return Receipt("refused", detail, bounced=code in NO_NUMBER)
