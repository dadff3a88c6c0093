"""Keeps personal data and secrets out of what we write down."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from closedloop_chassis import contract

HIDDEN = "***"

_MAIL = re.compile(r"([A-Za-z0-9])[A-Za-z0-9._%+-]*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
# Not within longer runs of letters, digits and hyphens, which are ids and instants.
_EDGE, _END = r"(?<![0-9A-Za-z.-])", r"(?![0-9A-Za-z]|-[0-9A-Za-z])"
_MOBILE = re.compile(_EDGE + r"((?:\+?86[ -]?)?1[3-9]\d)[ -]?\d{4}[ -]?\d{2}(\d{2})" + _END)
_LANDLINE = re.compile(_EDGE + r"(0\d{2,3})-\d{5,6}(\d{2})" + _END)
_ABROAD = re.compile(r"(?<![0-9A-Za-z.-])(\+\d{1,3})[ -]?\d(?:[ -]?\d){4,9}[ -]?(\d{2})" + _END)
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_PASSWORD = re.compile(r"(?<=://)[^\s/@]+@")
_IN_QUERY = re.compile(
    r"(?i)([?&](?:key|token|access_token|app_key|app_secret|secret|sign|signature|password)=)[^&\s\"'<>]+"
)
# Where PostgreSQL shows the row, the key or the line it refuses, names and all.
_ROW = re.compile(r"\b(DETAIL|CONTEXT): [^\n]+")


def masked_text(text: str) -> str:
    """Hides phone numbers, mail addresses, tokens, passwords and keys of URLs, and refused rows inside any text."""
    if "DETAIL:" in text or "CONTEXT:" in text:
        text = _ROW.sub(rf"\1: {HIDDEN}", text)
    if "@" in text:
        text = _MAIL.sub(rf"\1{HIDDEN}@\2", _PASSWORD.sub(f"{HIDDEN}@", text))
    if "=" in text:
        text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
    if "eyJ" in text:
        text = _TOKEN.sub(HIDDEN, text)
    for pattern in (_MOBILE, _LANDLINE, _ABROAD):
        text = pattern.sub(rf"\1{HIDDEN}\2", text)
    return text


def masked_value(value: Any) -> Any:
    """The same through dicts, lists and tuples; other values as they are."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, dict):
        return {key: masked_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked_value(item) for item in value]
    return masked(value) if isinstance(value, Message) else value


def masked(message: Message) -> dict[str, Any]:
    """The message as a dict of its field names, with what the contract calls personal hidden, for logs and audit."""
    rendered: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    _hide(rendered, message.DESCRIPTOR)
    hidden: dict[str, Any] = masked_value(rendered)
    return hidden


def _hide(rendered: Any, descriptor: Any) -> None:
    if not isinstance(rendered, dict):
        return  # a well-known type renders as a plain value
    for name, inner in _sensitive(descriptor).items():
        if name not in rendered:
            continue
        if inner is None:
            rendered[name] = HIDDEN
        elif isinstance(rendered[name], list):
            for item in rendered[name]:
                _hide(item, inner)
        elif descriptor.fields_by_name[name].message_type.GetOptions().map_entry:
            for item in rendered[name].values():
                _hide(item, inner)
        else:
            _hide(rendered[name], inner)


@cache
def _sensitive(descriptor: Descriptor) -> dict[str, Descriptor | None]:
    """Fields to hide (None), and fields to look into, by name."""
    found: dict[str, Descriptor | None] = {}
    for field in descriptor.fields:
        if contract.is_personal(field):
            found[field.name] = None
        elif (inner := _message_of(field)) is not None:
            found[field.name] = inner
    return found


def _message_of(field: FieldDescriptor) -> Descriptor | None:
    kind: Descriptor | None = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        kind = kind.fields_by_name["value"].message_type
    return None if kind is None or kind.full_name.startswith("google.protobuf.") else kind
