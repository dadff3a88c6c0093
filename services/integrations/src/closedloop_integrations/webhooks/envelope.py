"""An event as a subscriber gets it: a CloudEvent in JSON, without what is personal unless they may have it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from closedloop_chassis import contract

# Where the unit stands that an event is about: its owner's, or its own.
OWNERSHIP, UNIT = "ownership", "unit_id"
DEPTH = 2


def cloud_event(id: str, source: str, type: str, subject: str, time: datetime, data: Message, most_bytes: int) -> str:
    """Above `most_bytes` the data is left out and `dataomitted` says how long it was."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": id,
        "source": f"closedloop/{source}",
        "type": type,
        "subject": subject,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "dataschema": data.DESCRIPTOR.full_name,
    }
    whole = json.dumps({**event, "data": json_format.MessageToDict(data)}, ensure_ascii=False)
    if (size := len(whole.encode())) <= most_bytes:
        return whole
    return json.dumps({**event, "dataomitted": size}, ensure_ascii=False)


def impersonal(message: Message) -> Message:
    """A copy without the fields the contract calls personal, at any depth."""
    bare = type(message)()
    bare.CopyFrom(message)
    _strip(bare)
    return bare


def unit_of(message: Message, depth: int = DEPTH) -> str:
    """The unit the event belongs to; empty where it says none."""
    fields = message.DESCRIPTOR.fields_by_name
    if OWNERSHIP in fields and (unit := getattr(getattr(message, OWNERSHIP), UNIT, "")):
        return str(unit)
    if UNIT in fields and isinstance(unit := getattr(message, UNIT), str) and unit:
        return unit
    if depth:
        for field, value in message.ListFields():
            if field.message_type is not None and not field.is_repeated and (unit := unit_of(value, depth - 1)):
                return unit
    return ""


def _strip(message: Message) -> None:
    for field, value in message.ListFields():
        if contract.is_personal(field):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for inner in _messages(field, value):
                _strip(inner)


def _messages(field: FieldDescriptor, value: Any) -> list[Message]:
    kind: Any = field.message_type
    if kind.GetOptions().map_entry:
        return [each for each in value.values() if isinstance(each, Message)]
    return list(value) if field.is_repeated else [value]
