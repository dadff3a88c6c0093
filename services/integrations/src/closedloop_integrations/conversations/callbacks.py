"""WeCom and DingTalk call back: whose it is and that it is whole is known here; what it means is read in the api.

Runs in the courier. Keys are looked for at every call, so that new ones hold at once; while both are listed, the old and
the new ones do.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_integrations.conversations import dingtalk, envelope, wecom
from closedloop_integrations.conversations.envelope import Keys
from closedloop_integrations.conversations.rules import ConversationRules
from closedloop_integrations.polling import in_force
from closedloop_integrations.settings import CallbackKeys, RobotSecret, outside

WECOM, DINGTALK = "/hooks/wecom/<application>", "/hooks/dingtalk/<application>"
CHECK_URL = "check_url"
STAMP_DIGITS = 14
# WeCom counts in seconds, DingTalk in milliseconds.
TICKS = {"wecom": 1, "dingtalk": 1000}


def from_wecom(desk: Desk, request: Request) -> Response:
    """GET proves that the address is ours: the echo comes back opened. POST brings a message.

    Raises NotFound WEBHOOK_NOT_CONFIGURED, Unauthenticated SIGNATURE_EXPIRED, SIGNATURE_WRONG, PermissionDenied
    RECEIVER_WRONG, InvalidArgument CALLBACK_UNREADABLE, CALLBACK_UNSAFE, CALLBACK_TOO_LARGE; so does `from_dingtalk`."""
    rules, keys = _begin(desk, request, "wecom")
    if request.method == "GET":
        sealed = request.query.get("echostr", "")
        return Response(200, envelope.opened(_signer(keys, request, "wecom", sealed, rules), sealed).encode())
    sealed = wecom.fields(_text(request.body)).get("Encrypt", "")
    if not isinstance(sealed, str):
        raise errors.InvalidArgument("CALLBACK_UNREADABLE", "the body has one envelope, and text in it")
    message = envelope.opened(_signer(keys, request, "wecom", sealed, rules), sealed)
    _observe(desk, request, "wecom", message)
    return Response(200)


def from_dingtalk(desk: Desk, request: Request) -> Response:
    """Events, which are answered "success", sealed and signed, as DingTalk demands; and what people write to a robot, which is
    plain and signed by its headers."""
    if "sign" in request.headers:
        return _from_robot(desk, request)
    rules, keys = _begin(desk, request, "dingtalk")
    sealed = _encrypted(request.body)
    signer = _signer(keys, request, "dingtalk", sealed, rules)
    message = envelope.opened(signer, sealed)
    if _event_type(message) != CHECK_URL:
        _observe(desk, request, "dingtalk", message)
    stamp, nonce = str(time.time_ns() // 1_000_000), secrets.token_hex(8)
    answer = envelope.sealed(signer, "success")
    told = {
        "msg_signature": envelope.signature(signer.token, stamp, nonce, answer),
        "timeStamp": stamp,
        "nonce": nonce,
        "encrypt": answer,
    }
    return Response(200, json.dumps(told).encode(), content_type="application/json")


def _from_robot(desk: Desk, request: Request) -> Response:
    """The answer says that the robot says nothing."""
    secrets_ = [
        each.app_secret.get_secret_value() for each in _listed(request, "dingtalk") if isinstance(each, RobotSecret)
    ]
    rules = _rules(desk, request, secrets_)
    stamp, given = request.headers.get("timestamp", ""), request.headers["sign"]
    _of_now(stamp, "dingtalk", rules.robot_seconds)
    if not any(dingtalk.signed(secret, stamp, given) for secret in secrets_):
        raise errors.Unauthenticated("SIGNATURE_WRONG", "the signature is not of this application's secret")
    message = _text(request.body)
    # The signature does not cover the body: nothing that only an envelope may bring is taken out of one.
    if not _is_object(message) or _event_type(message):
        raise errors.InvalidArgument("CALLBACK_UNREADABLE", "the body is JSON: a message to a robot")
    _observe(desk, request, "dingtalk", message)
    return Response(200, b'{"msgtype": "empty"}', content_type="application/json")


def _begin(desk: Desk, request: Request, platform: str) -> tuple[ConversationRules, Sequence[Keys]]:
    keys = [
        Keys(each.token.get_secret_value(), each.aes_key.get_secret_value(), each.receiver)
        for each in _listed(request, platform)
        if isinstance(each, CallbackKeys)
    ]
    return _rules(desk, request, keys), keys


def _listed(request: Request, platform: str) -> Sequence[CallbackKeys | RobotSecret]:
    return outside().callbacks.get(platform, {}).get(request.values.get("application", ""), ())


def _rules(desk: Desk, request: Request, keys: Sequence[object]) -> ConversationRules:
    if not keys:
        raise errors.NotFound("WEBHOOK_NOT_CONFIGURED", "no keys are set for this application")
    with desk.connection() as connection:
        rules = in_force(connection, ConversationRules, desk.now())
    if len(request.body) > rules.longest_callback:
        raise errors.InvalidArgument("CALLBACK_TOO_LARGE", f"{rules.longest_callback} bytes at most")
    return rules


def _of_now(stamp: str, platform: str, seconds: float) -> None:
    """The platform compares with its own clock; ours may be a moved one."""
    instant = int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) <= STAMP_DIGITS else 0
    if abs(time.time() - instant / TICKS[platform]) > seconds:
        raise errors.Unauthenticated("SIGNATURE_EXPIRED", "signed at another time than now")


def _signer(keys: Sequence[Keys], request: Request, platform: str, sealed: str, rules: ConversationRules) -> Keys:
    """Whose signature fits, of the keys that hold now."""
    stamp, nonce = request.query.get("timestamp", ""), request.query.get("nonce", "")
    _of_now(stamp, platform, rules.callback_seconds)
    given = request.query.get("msg_signature") or request.query.get("signature", "")
    found = next((each for each in keys if envelope.signed(each, given, stamp, nonce, sealed)), None)
    if found is None or not sealed:
        raise errors.Unauthenticated("SIGNATURE_WRONG", "the signature does not fit the envelope")
    return found


def _observe(desk: Desk, request: Request, platform: str, message: str) -> None:
    """What says the same is the same, however often it is sealed and sent."""
    application = request.values["application"]
    told = events.CallbackFetched(platform=platform, application=application, message=message)
    told.fetch_time.FromDatetime(desk.now())
    name = f"callback:{platform}:{application}:{hashlib.sha256(message.encode()).hexdigest()}"
    desk.observe(told, f"{platform}/{application}", id=uuid5(NAMESPACE_URL, name))


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise errors.InvalidArgument("CALLBACK_UNREADABLE", "the body is no UTF-8") from error


def _encrypted(body: bytes) -> str:
    try:
        return str(json.loads(_text(body))["encrypt"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise errors.InvalidArgument("CALLBACK_UNREADABLE", 'the body is JSON: {"encrypt": …}') from error


def _is_object(message: str) -> bool:
    try:
        return isinstance(json.loads(message), dict)
    except (ValueError, RecursionError):
        return False


def _event_type(message: str) -> str:
    try:
        return str(json.loads(message).get("EventType", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""
