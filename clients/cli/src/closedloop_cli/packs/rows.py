"""Units, people and products as a pack writes them: the contract's words, days and amounts as text, roles by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop_cli import shapes
from closedloop_cli.failures import Usage
from closedloop_cli.packs.reading import Where

Shape = TypeVar("Shape", bound=Message)
DATE, MONEY, STRUCT = "google.type.Date", "google.type.Money", "google.protobuf.Struct"
# Whoever brings a pack has brought it: the server writes that down itself.
NEVER = frozenset({"provenance"})
# What a person sees as the kind of a value; the key of its sentence.
_KINDS: dict[int, tuple[Any, str]] = {
    FieldDescriptor.CPPTYPE_STRING: (str, "pack_wants_text"),
    FieldDescriptor.CPPTYPE_BOOL: (bool, "pack_wants_boolean"),
    FieldDescriptor.CPPTYPE_INT32: (int, "pack_wants_whole"),
    FieldDescriptor.CPPTYPE_INT64: (int, "pack_wants_whole"),
    FieldDescriptor.CPPTYPE_DOUBLE: ((int, float), "pack_wants_number"),
}


class Misfit(Exception):
    """One value that is not what the contract has there; `where` is within the row."""

    def __init__(self, where: Where, key: str, **values: object) -> None:
        super().__init__(key)
        self.where, self.key, self.values = where, key, values


def read(shape: type[Shape], given: Any) -> tuple[Shape, list[Misfit]]:
    """The message as far as it can be read, and all that cannot."""
    message = shape()
    if not isinstance(given, dict):
        return message, [Misfit((), "pack_wants_mapping")]
    return message, list(_fill(message, given, ()))


def plain(message: Message) -> dict[str, Any]:
    """As `read` takes it: what is set, in the order of the contract."""
    told = {field.name: _plain(field, value) for field, value in message.ListFields() if field.name not in NEVER}
    return {name: value for name, value in told.items() if value != {}}


def words(shape: type[Message]) -> list[str]:
    return [field.name for field in shape.DESCRIPTOR.fields if field.name not in NEVER]


def _fill(message: Message, given: Mapping[str, Any], where: Where) -> Iterator[Misfit]:
    known = {name: message.DESCRIPTOR.fields_by_name[name] for name in words(type(message))}
    for name, value in given.items():
        here = (*where, name)
        if name not in known:
            yield Misfit(here, "pack_word_unknown", word=name, known=", ".join(known))
        elif value is not None:
            try:
                yield from _set(message, known[name], value, here)
            except Misfit as misfit:
                yield misfit


def _set(message: Message, field: Any, value: Any, where: Where) -> Iterator[Misfit]:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        for key, item in _mapping(value, where).items():
            getattr(message, field.name)[key] = _single(kind.fields_by_name["value"], item, (*where, key))
    elif field.is_repeated:
        if not isinstance(value, list):
            raise Misfit(where, "pack_wants_list")
        getattr(message, field.name).extend(_single(field, item, (*where, at)) for at, item in enumerate(value))
    elif kind is not None and kind.full_name not in (DATE, MONEY, STRUCT):
        yield from _fill(getattr(message, field.name), _mapping(value, where), where)
    elif kind is not None:
        getattr(message, field.name).CopyFrom(_single(field, value, where))
    else:
        setattr(message, field.name, _single(field, value, where))


def _single(field: Any, value: Any, where: Where) -> Any:
    if field.message_type is not None:
        return _known_message(field.message_type.full_name, value, where)
    if field.enum_type is not None:
        prefix = _prefix(field)
        known = {one.name.removeprefix(prefix).lower(): one.number for one in field.enum_type.values if one.number}
        if str(value).lower() not in known:
            raise Misfit(where, "pack_word_none_of", word=value, known=", ".join(known))
        return known[str(value).lower()]
    of, wants = _KINDS[field.cpp_type]
    if not isinstance(value, of) or (isinstance(value, bool) and of is not bool):
        raise Misfit(where, wants, given=value)
    return value


def _known_message(name: str, value: Any, where: Where) -> Message:
    try:
        if name == DATE:
            day: Message = shapes.parse_day(str(value), "")
            return day
        if name == MONEY:
            amount: Message = shapes.parse_money(str(value), "")
            return amount
        return json_format.ParseDict(_mapping(value, where), Struct())
    except (Usage, json_format.ParseError):
        raise Misfit(where, "pack_wants_day" if name == DATE else "pack_wants_money", given=value) from None


def _mapping(value: Any, where: Where) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misfit(where, "pack_wants_mapping")
    return value


def _plain(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {key: value[key] for key in sorted(value)}
    if field.is_repeated:
        return [_plain_single(field, item) for item in value]
    return _plain_single(field, value)


def _plain_single(field: Any, value: Any) -> Any:
    if isinstance(value, Date):
        return shapes.day(value)
    if isinstance(value, Money):
        return f"{shapes.decimal_of(value):f} {value.currency_code}"
    if isinstance(value, Struct):
        return shapes.whole(json_format.MessageToDict(value))
    if isinstance(value, Message):
        return plain(value)
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name).removeprefix(_prefix(field)).lower()
    return value


def _prefix(field: Any) -> str:
    return str(field.enum_type.values[0].name).removesuffix("UNSPECIFIED")
