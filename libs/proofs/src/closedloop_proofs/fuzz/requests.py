"""Requests made out of their descriptors: some keep every declared rule, others break them, each in one way.

`plausible(...)` passes the edge as often as it can, names records that exist, and stands at the bounds of what is
declared, so that the slices themselves must know what to say. `hostile(...)` is what the edge must refuse.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from closedloop_chassis.contract import Method
from closedloop_proofs.fuzz import values
from closedloop_proofs.fuzz.records import Records
from closedloop_proofs.fuzz.wellknown import put_well_known

DEEPEST = 5
LONGEST = 20_000
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
REAL = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
KINDS = {
    number: name.removeprefix("TYPE_").lower() for name, number in vars(FieldDescriptor).items() if name[:5] == "TYPE_"
}
FORGED_PAGES = (
    "x", "AAAA", "W10=", "bnVsbA==", *(
        base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode()
        for text in ('["\\ud800"]', '["\\u0000"]', "[" * 500, '["x","y"]', "[1e400]", '["infinity"]',
        '["9999-99-99"]', '[""]', "{}",
                     '["infinity","00000000-0000-0000-0000-000000000000"]', "[" + "9" * 400 + "]", '["x",1]',
                     "[true]", "[[]]")
    ),
)  # fmt: skip

Value = Callable[[FieldDescriptor], Any]


def rules_of(field: FieldDescriptor) -> Any:
    options: Any = field.GetOptions()
    return options.Extensions[validate_pb2.field]


def hostile(request: type[Message]) -> Iterator[tuple[str, Message]]:
    """What breaks rules everywhere: NUL, endless strings, wrong ids, negative numbers, unknown enums, odd reals."""
    yield "nul", _spoil(request(), "a\0b", -1, 0.0, 9999)
    yield "long", _spoil(request(), "龙" * LONGEST, -(2**63), float("inf"), -(2**31))
    yield "odd", _spoil(request(), "'; DROP TABLE lead; --", 2**64 - 1, float("nan"), 2**31 - 1)
    yield "minus", _spoil(request(), "", -(2**31), float("-inf"), -1)
    yield "many", _spoil(request(), "\U0010ffff", 2**31, -0.0, 1, items=1100)


def _spoil(
    message: Any, text: str, number: int, real: float, choice: int, items: int = 1, inside: frozenset[str] = frozenset()
) -> Any:
    def value(field: FieldDescriptor) -> Any:
        if field.type in INTEGERS:
            low, high = INTEGERS[field.type]
            return min(max(number, low), high)
        if field.type == FieldDescriptor.TYPE_ENUM:
            return choice
        if field.type in REAL:
            return real
        if field.type == FieldDescriptor.TYPE_BOOL:
            return True
        return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text

    for field in message.DESCRIPTOR.fields:
        kind = field.message_type
        if kind is not None and (kind.full_name in inside or len(inside) > DEEPEST):
            continue
        if kind is not None and kind.GetOptions().map_entry:
            key, item = kind.fields_by_name["key"], kind.fields_by_name["value"]
            if item.message_type is None:
                getattr(message, field.name)[value(key)] = value(item)
            else:
                getattr(message, field.name)[value(key)].SetInParent()
        elif kind is not None:
            target = getattr(message, field.name)
            # Only the outermost list is long: a thousand of each of a thousand is nobody's request.
            for _ in range(items if field.is_repeated else 1):
                one = target.add() if field.is_repeated else target
                one.SetInParent()
                _spoil(one, text, number, real, choice, 1, inside | {kind.full_name})
        elif field.is_repeated:
            getattr(message, field.name).extend([value(field)] * items)
        else:
            setattr(message, field.name, value(field))
    return message


def plausible(method: Method, records: Records, draw: Random) -> Message:
    """Fits the declared rules field by field, at their bounds as often as not, about records known and unknown."""
    return Plausible(method, records, draw).made()


class Plausible:
    """One request in the making."""

    def __init__(self, method: Method, records: Records, draw: Random) -> None:
        self._method = method
        self._records = records
        self._draw = draw
        self._stem = method.service.rpartition(".")[2].removesuffix("Service")
        # The record it is about, so that its etag is that record's.
        self._named = ""
        # Some requests are terse, some say all there is to say.
        self._silence = draw.choice((0.0, 0.3, 0.3, 0.7))
        # Most want to be served; the others stand at the edge of what is allowed.
        self._edgy = draw.random() < 0.6

    def made(self) -> Message:
        request = self._method.request()
        self._fill(request, 0)
        return request

    def _fill(self, message: Any, depth: int) -> None:
        taken: set[str] = set()
        fields = list(message.DESCRIPTOR.fields)
        for field in fields:
            group = field.containing_oneof
            if group is not None:
                if group.name in taken:
                    continue
                # One of them, and any of them.
                field = self._draw.choice(list(group.fields))
                taken.add(group.name)
            rules = rules_of(field)
            asked = rules.required or rules.repeated.min_items > 0 or rules.string.min_len > 0 or rules.HasField("enum")
            if not asked and self._draw.random() < self._silence:
                continue
            if field.message_type is not None and depth >= DEEPEST:
                continue
            self._put(message, field, depth)

    def _put(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        kind, rules = field.message_type, rules_of(field)
        if kind is not None and kind.GetOptions().map_entry:
            self._put_map(getattr(message, field.name), kind, rules, depth)
        elif field.is_repeated:
            self._put_list(getattr(message, field.name), field, rules.repeated, message.DESCRIPTOR.name, depth)
        elif kind is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            self._message(target, depth)
        else:
            setattr(message, field.name, self._scalar(field, rules, message.DESCRIPTOR.name))

    def _put_list(self, target: Any, field: FieldDescriptor, rules: Any, message: str, depth: int) -> None:
        least, most = rules.min_items, rules.max_items or 20
        wanted = max(least, min(most, self._draw.choice((least, least + 1, least + 2, 12))))
        if field.message_type is not None:
            for _ in range(wanted):
                self._message(target.add(), depth)
            return
        items = [self._scalar(field, rules.items, message) for _ in range(wanted)]
        target.extend(dict.fromkeys(items) if rules.unique else items)

    def _message(self, target: Any, depth: int) -> None:
        if not put_well_known(target, self._draw, self._edgy):
            self._fill(target, depth + 1)

    def _put_map(self, target: Any, kind: Any, rules: Any, depth: int) -> None:
        key, item = kind.fields_by_name["key"], kind.fields_by_name["value"]
        for _ in range(self._draw.choice((0, 1, 3))):
            name = self._scalar(key, rules.map.keys, kind.name)
            if item.message_type is not None:
                target[name].SetInParent()
                self._message(target[name], depth)
            else:
                target[name] = self._scalar(item, rules.map.values, kind.name)

    def _scalar(self, field: FieldDescriptor, rules: Any, message: str) -> Any:
        draw = self._draw
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field, rules.string, message)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return draw.choice((b"", b"\xff\x00bytes", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"PK\x03\x04", bytes(1000)))[
                : rules.bytes.max_len or None
            ]
        if field.type == FieldDescriptor.TYPE_ENUM:
            numbers = [value.number for value in field.enum_type.values]  # type: ignore[union-attr]
            return draw.choice(numbers[1:] or numbers)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return draw.random() < 0.5
        return self._number(field, getattr(rules, KINDS[field.type]))

    def _number(self, field: FieldDescriptor, rules: Any) -> Any:
        if wanted := list(getattr(rules, "in")):
            return self._draw.choice(wanted)
        real = field.type in REAL
        low, high = INTEGERS.get(field.type, (-1e300, 1e300))
        step = 1e-9 if real else 1
        low = rules.gte if rules.HasField("gte") else rules.gt + step if rules.HasField("gt") else low
        high = rules.lte if rules.HasField("lte") else rules.lt - step if rules.HasField("lt") else high
        between = min(max(1, low), high)
        if not self._edgy:
            return between
        if real and not rules.finite and high >= 1e300 and self._draw.random() < 0.3:
            return self._draw.choice(values.REALS)
        return self._draw.choice((low, high, between, between))

    def _text(self, field: FieldDescriptor, rules: Any, message: str) -> str:
        draw, name = self._draw, field.name
        if name == "request_id":
            return uuid.UUID(int=draw.getrandbits(128)).hex
        if name == "etag" and self._named and draw.random() < 0.8:
            return self._records.etags.get(self._named, '"1"')
        if name == "page_token":
            return draw.choice(("", "", *FORGED_PAGES))
        if (known := self._known(message, name)) and draw.random() < 0.75 and _fits(known, rules):
            if not self._named and name.endswith("id"):
                self._named = known
            return known
        if rules.uuid or (name == "id" and not rules.pattern):
            return str(uuid.UUID(int=draw.getrandbits(128), version=4))
        if rules.email:
            return draw.choice(("a@b.example", "x+y@sub.b.example"))
        if listed := list(getattr(rules, "in")):
            return str(draw.choice(listed))
        longest, least = min(rules.max_len or 100, LONGEST), max(rules.min_len, 1)
        if rules.pattern:
            fitting = [word for word in values.FITTING_WORDS if _fits(word, rules)]
            return draw.choice(fitting) if fitting else ""
        if not self._edgy:
            return draw.choice(("nobody", "x", "客户"))[:longest].ljust(least, "x")
        if draw.random() < 0.15:
            return "龙" * longest
        return draw.choice(values.TEXTS)[:longest].ljust(least, "x")

    def _known(self, message: str, name: str) -> str:
        if name == "id":
            return self._records.of_kind(self._stem, self._draw) or self._records.fitting(message, name, self._draw)
        return self._records.fitting(message, name, self._draw)


def _fits(word: str, rules: Any) -> bool:
    least, most = rules.min_len, rules.max_len or LONGEST
    return least <= len(word) <= most and (not rules.pattern or re.search(rules.pattern, word) is not None)
