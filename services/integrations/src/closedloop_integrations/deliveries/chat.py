"""Messages to chat groups through the robots of WeCom and DingTalk."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote, urlsplit

from closedloop_integrations.deliveries.gateway import Letter, Receipt
from closedloop_integrations.outbound import Answer, LostError, NotSentError, Outbound
from closedloop_integrations.settings import DingtalkRobot
from closedloop_integrations.sources.rules import PollRules

WECOM_BYTES = 2048
DINGTALK_BYTES = 20_000
# "More than so many a minute", in the platforms' own codes.
TOO_FAST = {45009, 130101}
# Who is too busy has taken nothing; after any other failure the robot may have it.
BUSY = 503


class WecomRobots:
    """`robots`: webhook URLs by name."""

    def __init__(self, robots: Mapping[str, str], limits: PollRules) -> None:
        self._robots, self._limits = robots, limits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send(self, letter: Letter) -> Receipt:
        url = self._robots.get(letter.robot)
        if url is None:
            return Receipt("refused", f"no robot is called {letter.robot}")
        text: dict[str, Any] = {"content": _fit(_content(letter), WECOM_BYTES)}
        if letter.address:
            text["mentioned_list"] = [letter.address]
        return _post(url, {"msgtype": "text", "text": text}, self._limits)


class DingtalkRobots:
    """Signs where a robot has a secret."""

    def __init__(self, robots: Mapping[str, DingtalkRobot], limits: PollRules) -> None:
        self._robots, self._limits = robots, limits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send(self, letter: Letter) -> Receipt:
        robot = self._robots.get(letter.robot)
        if robot is None:
            return Receipt("refused", f"no robot is called {letter.robot}")
        message: dict[str, Any] = {"msgtype": "text", "text": {"content": _fit(_content(letter), DINGTALK_BYTES)}}
        if letter.address:
            by_phone = letter.address.removeprefix("+").isdigit()
            message["at"] = {"atMobiles" if by_phone else "atUserIds": [letter.address]}
        return _post(self._signed(robot), message, self._limits)

    def _signed(self, robot: DingtalkRobot) -> str:
        url, secret = robot.url.get_secret_value(), robot.secret.get_secret_value()
        if not secret:
            return url
        # The platform compares with its own clock; ours may be a moved one.
        stamp = time.time_ns() // 1_000_000
        digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
        return f"{url}&timestamp={stamp}&sign={quote(base64.b64encode(digest), safe='')}"


def _content(letter: Letter) -> str:
    return letter.text if not letter.subject or letter.subject in letter.text else f"{letter.subject}\n{letter.text}"


def _fit(text: str, size: int) -> str:
    """Cut at a character, with an ellipsis, so that its UTF-8 fits."""
    raw = text.encode()
    return text if len(raw) <= size else raw[: size - 3].decode(errors="ignore") + "…"


def _post(url: str, message: dict[str, Any], limits: PollRules) -> Receipt:
    parts = urlsplit(url)
    with Outbound(f"{parts.scheme}://{parts.netloc}", limits.timeout_seconds, limits.max_bytes) as client:
        try:
            answer = client.post_json(url, message)
        except LostError as error:
            return Receipt("unknown", str(error))
    return _read(answer, limits.patience_seconds)


def _read(answer: Answer, patience: float) -> Receipt:
    """Raises NotSentError where the platform is too busy."""
    if answer.status == 429:
        return Receipt("deferred", "429", retry_after=answer.retry_after or patience)
    if answer.status == BUSY:
        raise NotSentError(f"the platform answers {answer.status}")
    if answer.status >= 500:
        return Receipt("unknown", f"the platform answers {answer.status}")
    try:
        told = json.loads(answer.content)
        code, detail = int(told["errcode"]), str(told.get("errmsg", ""))[:300]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Receipt("unknown", f"an answer of status {answer.status} nobody understands")
    if code == 0:
        return Receipt("accepted", detail)
    if code in TOO_FAST:
        return Receipt("deferred", f"{code} {detail}", retry_after=patience)
    return Receipt("refused", f"{code} {detail}")
