"""Bytes that no protobuf library would write: cut, flipped, nested without end, not UTF-8, fields nobody declared."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from google.protobuf.descriptor import Descriptor, FieldDescriptor

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
NESTED = 5000
LAST_FIELD = 2**29 - 1
# A lone surrogate, an overlong slash, a byte that starts nothing, a code point beyond the last one.
NOT_UTF8 = (b"\xed\xa0\x80", b"\xc0\xaf", b"\xff", b"\xf4\x90\x80\x80", b"abc\xe9")

Mutation = Callable[[bytes, Descriptor, Random], bytes]


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def tag(field: int, kind: int) -> bytes:
    return varint(field << 3 | kind)


def text(field: int, content: bytes) -> bytes:
    return tag(field, LENGTH) + varint(len(content)) + content


def _cut(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    return payload[: draw.randrange(len(payload))] if payload else b"\x0a"


def _flip(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    found = bytearray(payload or b"\0")
    for _flip in range(draw.randrange(1, 8)):
        found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


def _noise(_: bytes, __: Descriptor, draw: Random) -> bytes:
    return draw.randbytes(draw.choice((1, 7, 100, 5000)))


def _unknown_fields(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    unknown = b"".join(text(draw.randrange(1000, LAST_FIELD), draw.randbytes(9)) for _field in range(50))
    return payload + unknown + tag(LAST_FIELD, VARINT) + varint(2**64 - 1) + tag(LAST_FIELD, FIXED64) + bytes(8)


def _many_unknown_fields(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    return payload + text(LAST_FIELD, b"x") * 50_000


def _wrong_kinds(payload: bytes, message: Descriptor, draw: Random) -> bytes:
    """Every field once more, as what it is not."""
    return payload + b"".join(
        tag(field.number, VARINT) + varint(7)
        if field.type == FieldDescriptor.TYPE_STRING
        else text(field.number, b"\x08\x01")
        for field in message.fields
    )


def _not_utf8(payload: bytes, message: Descriptor, draw: Random) -> bytes:
    texts = [field for field in message.fields if field.type == FieldDescriptor.TYPE_STRING]
    return payload + text(draw.choice(texts).number, draw.choice(NOT_UTF8)) if texts else payload + b"\xff"


def _nested(payload: bytes, message: Descriptor, draw: Random) -> bytes:
    """A message within itself, or within whatever its first field is: more levels than a stack has."""
    inside = [field for field in message.fields if field.message_type is not None]
    number = draw.choice(inside).number if inside else LAST_FIELD
    found = b""
    for _level in range(300):
        found = text(number, found)
    return payload + found


def _groups(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    return (
        payload
        + tag(LAST_FIELD, GROUP) * NESTED
        + (tag(LAST_FIELD, END_GROUP) * NESTED if draw.random() < 0.5 else b"")
    )


def _lies_about_length(payload: bytes, message: Descriptor, draw: Random) -> bytes:
    return (
        payload
        + tag(draw.choice([field.number for field in message.fields] or [1]), LENGTH)
        + varint(draw.choice((2**31 - 1, 2**32, 2**63)))
    )


def _endless_varint(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    return payload + b"\xff" * 11


def _field_zero(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    return payload + b"\x00\x01"


def _twice(payload: bytes, _: Descriptor, draw: Random) -> bytes:
    """Every field once more: the last one counts, lists grow, messages merge."""
    return payload * draw.choice((2, 20))


MUTATIONS: dict[str, Mutation] = {
    "cut": _cut,
    "flipped": _flip,
    "noise": _noise,
    "unknown fields": _unknown_fields,
    "many unknown fields": _many_unknown_fields,
    "wrong kinds": _wrong_kinds,
    "not UTF-8": _not_utf8,
    "nested": _nested,
    "groups": _groups,
    "wrong lengths": _lies_about_length,
    "endless varint": _endless_varint,
    "field zero": _field_zero,
    "twice": _twice,
}
