"""Google's own types, held against what their documentation promises and no library checks when it reads them.

A timestamp of the year 300,000, a number of a Struct that is NaN, a structure nested fifty levels deep: each can be sent,
none can be kept as JSON, told on as an event, or written back. What comes in is looked at once, where it comes in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

# Levels of a Struct. One is three of protobuf's, which reads a hundred; and what comes in is wrapped when it goes out.
DEEPEST = 20
NANOS = 1_000_000_000
FIRST_SECOND, LAST_SECOND = -62135596800, 253402300799
LONGEST_SECONDS = 315_576_000_000
# So many faults of one message are named.
MOST = 20

Sound = Callable[[Any], bool]


@cache
def check(message: Descriptor) -> Sound | None:
    """Tells whether a message of this type is sound; None where nothing of the kind can be inside.

    Rows that stand for themselves (`ignore: IGNORE_ALWAYS`) are left to `bulk.sift`.
    """
    return _composed(message, ())


def _composed(message: Descriptor, around: tuple[str, ...]) -> Sound | None:
    if message.full_name in _LEAVES:
        return _LEAVES[message.full_name]
    if message.full_name in around:
        # A type within itself is looked up when there is one.
        return lambda given: (sound := check(message)) is None or sound(given)
    around = (*around, message.full_name)
    fields = [(field, _composed(_kind(field), around)) for field in _within(message)]
    singles = [(field.name, sound) for field, sound in fields if sound and not field.is_repeated]
    lists = [(field.name, sound) for field, sound in fields if sound and field.is_repeated and not _is_map(field)]
    maps = [(field.name, sound) for field, sound in fields if sound and _is_map(field)]
    if not (singles or lists or maps):
        return None

    def is_sound(given: Any) -> bool:
        for name, sound in singles:
            if given.HasField(name) and not sound(getattr(given, name)):
                return False
        for name, sound in lists:
            for item in getattr(given, name):
                if not sound(item):
                    return False
        for name, sound in maps:
            for item in getattr(given, name).values():
                if not sound(item):
                    return False
        return True

    return is_sound


def faults(message: Message) -> dict[str, str]:
    """What is wrong with a message that is not sound, by the paths of its fields."""
    return dict(islice(_faults(message, ""), MOST))


def _faults(given: Any, path: str) -> Iterator[tuple[str, str]]:
    words = _WORDS.get(given.DESCRIPTOR.full_name)
    if words is not None:
        if not _LEAVES[given.DESCRIPTOR.full_name](given):
            yield path, words
        return
    for field in _within(given.DESCRIPTOR):
        within = f"{path}.{field.name}" if path else field.name
        if _is_map(field):
            for key, item in getattr(given, field.name).items():
                yield from _faults(item, f'{within}["{key}"]')
        elif field.is_repeated:
            for index, item in enumerate(getattr(given, field.name)):
                yield from _faults(item, f"{within}[{index}]")
        elif given.HasField(field.name):
            yield from _faults(getattr(given, field.name), within)


def _within(message: Descriptor) -> list[FieldDescriptor]:
    """The fields that hold messages, but for rows that stand for themselves."""
    return [
        field
        for field in message.fields
        if field.message_type is not None
        and not _stands_alone(field)
        and (not _is_map(field) or field.message_type.fields_by_name["value"].message_type is not None)
    ]


def _kind(field: FieldDescriptor) -> Descriptor:
    kind = field.message_type
    assert kind is not None
    if not _is_map(field):
        return kind
    value: Descriptor = kind.fields_by_name["value"].message_type  # type: ignore[assignment]
    return value


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _stands_alone(field: FieldDescriptor) -> bool:
    options: Any = field.GetOptions()
    rules = options.Extensions[validate_pb2.field]
    return bool(validate_pb2.IGNORE_ALWAYS in (rules.ignore, rules.repeated.items.ignore))


def _timestamp(given: Any) -> bool:
    return bool(FIRST_SECOND <= given.seconds <= LAST_SECOND and 0 <= given.nanos < NANOS)


def _duration(given: Any) -> bool:
    seconds, nanos = given.seconds, given.nanos
    return bool(abs(seconds) <= LONGEST_SECONDS and abs(nanos) < NANOS and seconds * nanos >= 0)


def _value(given: Any, depth: int = 1) -> bool:
    kind = given.WhichOneof("kind")
    if kind == "number_value":
        return math.isfinite(given.number_value)
    if kind == "struct_value":
        return depth < DEEPEST and all(_value(item, depth + 1) for item in given.struct_value.fields.values())
    if kind == "list_value":
        return depth < DEEPEST and all(_value(item, depth + 1) for item in given.list_value.values)
    return True


def _struct(given: Any) -> bool:
    return all(_value(item) for item in given.fields.values())


def _list(given: Any) -> bool:
    return all(_value(item) for item in given.values)


_JSON = f"must be of finite numbers and at most {DEEPEST} levels deep"
_LEAVES: dict[str, Sound] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Value": _value,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
}
_WORDS = {
    "google.protobuf.Timestamp": "is no moment of the years 1 to 9999",
    "google.protobuf.Duration": "is no span of at most 10,000 years",
    "google.protobuf.Value": _JSON,
    "google.protobuf.Struct": _JSON,
    "google.protobuf.ListValue": _JSON,
}
