"""Custom fields between protobuf's Struct and jsonb."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct


def to_json(struct: Struct) -> dict[str, Any]:
    return dict(json_format.MessageToDict(struct))


def from_json(kept: dict[str, Any]) -> Struct | None:
    if not kept:
        return None
    struct = Struct()
    struct.update(kept)
    return struct
