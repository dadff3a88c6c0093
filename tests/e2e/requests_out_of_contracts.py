"""Requests made out of their descriptors: none a person would send, some that pass every declared rule."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterator
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

DEEPEST = 4
LONGEST = 20_000
# Words that fit the patterns of the contracts; the first that fits is taken.
WORDS = (
    "x", "nobody", "LOOP-1", "2026", "2026-Q1", "2026-01", "CNY", "Asia/Shanghai", "31", "310000", "funnel.pipelines",
    "a.b.c", "won_value", "zh-CN", "a@b.example", "+8613800000000", "https://example.com/", "09:00", "a" * 64, "A1",
    "91310000MA1FL0000X", "unknown_key", "example.com", "image/png", "0" * 64, "abcd1234", "*/5 * * * *", "text/html",
)  # fmt: skip
INTEGERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}
TEXT = (FieldDescriptor.TYPE_STRING,)
REAL = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


def hostile(request: type[Message]) -> Iterator[tuple[str, Message]]:
    """What breaks rules everywhere: NUL, endless strings, wrong ids, negative numbers, unknown enums, odd reals."""
    yield "nul", _fill(request(), lambda field: _spoilt(field, "a\0b", -1, 0.0))
    yield "long", _fill(request(), lambda field: _spoilt(field, "龙" * LONGEST, -(2**31), float("inf")))
    yield "odd", _fill(request(), lambda field: _spoilt(field, "'; DROP TABLE lead; --", 2**31 - 1, float("nan")))


def plausible(request: type[Message], draw: random.Random) -> Message:
    """Fits the declared rules field by field, at their bounds as often as not, about records that do not exist."""
    message = request()
    _fill(message, lambda field: _fitting(field, draw), draw)
    return message


def _fill(message: Any, value: Any, draw: random.Random | None = None, depth: int = 0) -> Any:
    seen: set[str] = set()
    for field in message.DESCRIPTOR.fields:
        group = field.containing_oneof.name if field.containing_oneof else ""
        if group in seen and group:
            continue
        rules = _rules(field)
        asked = rules.required or rules.repeated.min_items > 0
        if draw is not None and not asked and draw.random() < 0.3:
            continue
        if _well_known(message, field, draw):
            continue
        if field.message_type is not None and depth >= DEEPEST:
            continue
        if group:
            seen.add(group)
        _put(message, field, value, draw, depth)
    return message


def _put(message: Any, field: FieldDescriptor, value: Any, draw: random.Random | None, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, item = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        if item.message_type is None:
            getattr(message, field.name)[value(key)] = value(item)
    elif field.message_type is not None:
        target = getattr(message, field.name)
        _fill(target.add() if field.is_repeated else target, value, draw, depth + 1)
        if not field.is_repeated:
            target.SetInParent()
    elif field.is_repeated:
        getattr(message, field.name).append(value(field))
    else:
        setattr(message, field.name, value(field))


def _well_known(message: Any, field: FieldDescriptor, draw: random.Random | None) -> bool:
    """Google's own types within a plausible request: true ones, some of them at the ends of time and money."""
    if draw is None or field.message_type is None or field.is_repeated:
        return False
    target, name = getattr(message, field.name), field.message_type.full_name
    if name == "google.protobuf.Timestamp":
        target.seconds = draw.choice((0, -62135596800, 253402300799, 1767225600, 1798761600))
    elif name == "google.protobuf.Duration":
        target.seconds = draw.choice((0, 1, 3600, 315576000000))
    elif name == "google.type.Date":
        target.year, target.month, target.day = draw.choice(
            ((1, 1, 1), (9999, 12, 31), (2026, 2, 28), (2026, 2, 31), (2026, 0, 0))
        )
    elif name == "google.type.Money":
        target.currency_code = draw.choice(("CNY", "XXX", "USD"))
        target.units, target.nanos = draw.choice(((1, 0), (2**62, 0), (-5, -1), (0, 1), (100, 990000000)))
    elif name == "google.type.Decimal":
        target.value = draw.choice(("1", "1e400", "-0.5", "NaN", "twelve"))
    elif name == "google.protobuf.FieldMask":
        target.paths.append(draw.choice(("nothing.there", "*", "name", "lines")))
    elif name == "google.protobuf.Struct":
        target.update(draw.choice(({}, {"a": {"b": [1, None, "x"]}}, {"rows": "no list"})))
    else:
        return False
    target.SetInParent()
    return True


def _spoilt(field: FieldDescriptor, text: str, number: int, real: float) -> Any:
    if field.type in INTEGERS:
        low, high = INTEGERS[field.type]
        return min(max(number, low), high)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return 9999
    if field.type in REAL:
        return real
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text


def _fitting(field: FieldDescriptor, draw: random.Random) -> Any:
    rules = _rules(field)
    if field.is_repeated:
        rules = rules.repeated.items
    if field.type in TEXT:
        return _text(field, rules.string, draw)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\xff\x00bytes"
    if field.type == FieldDescriptor.TYPE_ENUM:
        return draw.choice(_numbers(field))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return draw.random() < 0.5
    kind = getattr(rules, _kind(field))
    low, high = INTEGERS.get(field.type, (-1e300, 1e300))
    low = kind.gte if kind.HasField("gte") else kind.gt + 1 if kind.HasField("gt") else low
    high = kind.lte if kind.HasField("lte") else kind.lt - 1 if kind.HasField("lt") else high
    between = min(max(1, low), high)
    return draw.choice((low, high, between, between))


def _numbers(field: FieldDescriptor) -> list[int]:
    assert field.enum_type is not None
    return [value.number for value in field.enum_type.values][1:] or [0]


def _kind(field: FieldDescriptor) -> str:
    names = {
        number: name.removeprefix("TYPE_").lower()
        for name, number in vars(FieldDescriptor).items()
        if name[:5] == "TYPE_"
    }
    return names[field.type]


def _text(field: FieldDescriptor, rules: Any, draw: random.Random) -> str:
    if rules.uuid or (field.name == "id" and not rules.pattern) or field.name.endswith("_ids"):
        return str(uuid.UUID(int=draw.getrandbits(128), version=4))
    if field.name == "request_id":
        return uuid.UUID(int=draw.getrandbits(128)).hex
    if rules.email:
        return "a@b.example"
    if getattr(rules, "in"):
        return str(draw.choice(list(getattr(rules, "in"))))
    longest = min(rules.max_len or 100, LONGEST)
    least = max(rules.min_len, 1)
    if rules.pattern:
        fitting = [word for word in WORDS if re.search(rules.pattern, word) and least <= len(word) <= longest]
        return draw.choice(fitting) if fitting else ""
    long = draw.random() < 0.3
    return ("龙" * longest) if long else draw.choice(("nobody", "x", "客户", "%_\\")).ljust(least, "x")[:longest]


def _rules(field: FieldDescriptor) -> Any:
    options: Any = field.GetOptions()
    return options.Extensions[validate_pb2.field]
