"""What DingTalk tells: messages to a robot in a chat, and events that the rulebook knows as talk.

Events come in a sealed envelope (`envelope.py`). What people write to a robot comes in plain JSON, and its headers `timestamp`, in
milliseconds, and `sign` prove who calls; the body is not signed, so that TLS alone keeps it whole.
Source: open.dingtalk.com/document/orgapp/receive-message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from closedloop_integrations.conversations.rules import (
    ConversationRules,
    Recorded,
    Unreadable,
    Written,
    moment,
    recorded,
    text_at,
)

SOURCE = "dingtalk"


def signature(secret: str, stamp: str) -> str:
    """HMAC-SHA256 over stamp and secret, base64."""
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def signed(secret: str, stamp: str, given: str) -> bool:
    return hmac.compare_digest(signature(secret, stamp).encode(), given.encode("utf-8", "replace"))


def called_back(message: str, rules: ConversationRules) -> Written | Recorded | None:
    """None for what is no talk. Raises Unreadable."""
    try:
        told: Any = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise Unreadable("this is no JSON") from error
    if not isinstance(told, dict):
        raise Unreadable("this is no object of JSON")
    event = text_at(told, "EventType")
    if event:
        shape = rules.events.get(SOURCE, {}).get(event)
        return recorded(SOURCE, told, shape) if shape else None
    if text_at(told, "msgtype") != "text":
        return None
    sender = text_at(told, "senderStaffId") or text_at(told, "senderId")
    sent_at, id, chat = moment(told.get("createAt")), text_at(told, "msgId"), text_at(told, "conversationId")
    if not sender or not id or not chat or sent_at is None:
        raise Unreadable("a message without sender, chat, time or id")
    name, title = text_at(told, "senderNick"), text_at(told, "conversationTitle")
    return Written(SOURCE, id, chat, sent_at, sender, name, (), title, text_at(told, "text.content"))
