"""Profiles: what people write about a record, as a message outside and as a JSON object of the fields that are set
inside.

Money is `{"currency": "CNY", "minor": 12345}`, a day "2026-01-05"; other fields are as the contract has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop_chassis import errors, protos

# Text of nothing but these shows nothing: blanks, joiners, marks of direction, fillers. The contract has them too.
_UNSEEN = re.compile(r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe0f\ufeff]*")

Shape = TypeVar("Shape", bound=Message)
Profile = dict[str, Any]


def read(message: Message, path: str = "profile") -> Profile:
    """The fields that are set, text without surrounding blanks; what shows nothing is none. Raises InvalidArgument for
    amounts and days that are none."""
    found = {field.name: _plain(value, f"{path}.{field.name}") for field, value in message.ListFields()}
    return {name: value for name, value in found.items() if value not in ("", [], {})}


def fill(shape: type[Shape], profile: Mapping[str, Any]) -> Shape:
    message = shape()
    for name, value in profile.items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            continue  # a field that a later release wrote
        if field.message_type is not None:
            getattr(message, name).CopyFrom(_message(field.message_type.full_name, value))
        elif field.is_repeated:
            if not isinstance(value, list):
                raise TypeError(f"{name} is a list")
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def merged(old: Profile, new: Profile) -> Profile:
    """`new` laid over `old`; what `new` leaves empty stays, custom fields are laid over one by one."""
    custom = {**old.get("custom_fields", {}), **new.get("custom_fields", {})}
    return {**old, **new, **({"custom_fields": custom} if custom else {})}


def completed(old: Profile, new: Profile) -> Profile:
    """`old` with its empty fields taken from `new`."""
    return merged(new, old)


def masked(old: Profile, new: Profile, paths: Iterable[str], shape: type[Message]) -> Profile:
    """`old` with the fields that `paths` name as in `new`, erased where `new` has none.

    Raises InvalidArgument FIELD_UNKNOWN for a path that is no field."""
    result = dict(old)
    for path in paths:
        name, _, part = path.partition(".")
        if name not in shape.DESCRIPTOR.fields_by_name or (part and name != "custom_fields"):
            raise errors.InvalidArgument("FIELD_UNKNOWN", f"there is no field {path}", {"update_mask": path})
        before, after = (result.get(name, {}), new.get(name, {})) if part else (result, new)
        key = part or name
        changed = {k: v for k, v in before.items() if k != key} | ({key: after[key]} if key in after else {})
        result = {**result, name: changed} if part else changed
    return {name: value for name, value in result.items() if value != {}}


def changed(old: Profile, new: Profile) -> list[str]:
    return sorted(name for name in {**old, **new} if old.get(name) != new.get(name))


def trail(profile: Profile, personal: Iterable[str] = ()) -> dict[str, Any]:
    """The profile as the audit trail keeps it: "profile.<field>", personal ones as hints only."""
    hidden = set(personal)
    return {f"profile.{name}": hint(value) if name in hidden else value for name, value in profile.items()}


def hint(value: Any) -> Any:
    """Shows that personal data changed without showing it: "1***a3f2"."""
    if isinstance(value, list):
        return [hint(item) for item in value]
    if isinstance(value, dict):
        return {key: hint(item) for key, item in value.items()}
    text, mark = str(value), 0
    for char in reversed(text):
        mark = (mark * 31 + ord(char)) & 0xFFFF
    return f"{text[:1]}***{mark:04x}"


def to_value(plain: Any) -> Value:
    return json_format.ParseDict(plain, Value())


def from_value(value: Value) -> Any:
    return json_format.MessageToDict(value) if value.WhichOneof("kind") else None


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Money):
        if not value.currency_code and not value.units and not value.nanos:
            return {}
        return {"currency": value.currency_code, "minor": protos.minor_units(value, path)}
    if isinstance(value, Date):
        return protos.day(value, path).isoformat()
    if isinstance(value, Struct):
        return json_format.MessageToDict(value)
    return [text for text in map(_text, value) if text]


def _text(value: str) -> str:
    return "" if _UNSEEN.fullmatch(value) else value.strip()


def _message(name: str, value: Any) -> Message:
    if name == "google.type.Money":
        amount: Message = protos.money(value["minor"], value["currency"])
        return amount
    if name == "google.type.Date":
        day: Message | None = protos.date_proto(date.fromisoformat(value))
        assert day is not None
        return day
    return json_format.ParseDict(value, Struct())
