"""PostgreSQL keeps no NUL character; whoever sends one hears where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

SAYS = "must not contain NUL characters"


def fields(message: Message, prefix: str = "") -> Iterator[str]:
    """Paths of texts with one. Rows of a bulk call stand for themselves (see `bulk`) and are passed over."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                yield from _at(field.message_type.fields_by_name["key"], key, path)
                yield from _at(field.message_type.fields_by_name["value"], item, f'{path}["{key}"]')
        elif field.is_repeated:
            if _stand_alone(field):
                continue
            for index, item in enumerate(value):
                yield from _at(field, item, f"{path}[{index}]")
        else:
            yield from _at(field, value, path)


def _at(field: FieldDescriptor, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Message):
        yield from fields(value, f"{path}.")
    elif isinstance(value, str) and "\0" in value:
        yield path.replace("\0", "\\0")


@cache
def _stand_alone(field: FieldDescriptor) -> bool:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return bool(rules.repeated.items.ignore == validate_pb2.IGNORE_ALWAYS)
