"""google.protobuf.Struct as plain Python, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop_chassis import errors


def plain(values: Struct, field: str = "custom_fields") -> dict[str, Any]:
    """Raises InvalidArgument NOT_A_NUMBER for what JSON, and with it jsonb, cannot carry: NaN and the infinities."""
    try:
        return dict(json_format.MessageToDict(values))
    except ValueError as error:
        raise errors.InvalidArgument("NOT_A_NUMBER", "numbers are finite", {field: str(error)}) from error


def struct(values: Mapping[str, Any] | None) -> Struct | None:
    """None for nothing, which leaves the field unset."""
    if not values:
        return None
    result = Struct()
    fill(result, values)
    return result


def fill(message: Struct, values: Mapping[str, Any]) -> None:
    """What Struct.update does, at a third of its price for text and numbers, of which messages to people carry a dozen."""
    fields = message.fields
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            fields[name].string_value = value
        elif kind is bool:
            fields[name].bool_value = value
        elif kind is int or kind is float:
            fields[name].number_value = value
        else:
            message[name] = value
