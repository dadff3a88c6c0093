"""How Python values become JSON for PostgreSQL and come back: fast, because whole batches travel as one document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
from psycopg.types.json import Jsonb

loads = orjson.loads


def dumps(value: Any) -> bytes:
    """Dataclasses as objects; what JSON has no words for as PostgreSQL reads it: instants, days, decimals and ids by
    their text."""
    try:
        return orjson.dumps(value, default=_text)
    except TypeError:
        # Keys that are no text, numbers beyond 64 bits.
        return json.dumps(value, default=_text, ensure_ascii=False).encode()


def written(value: Any) -> Jsonb:
    """As it is now, whatever becomes of it before it is sent."""
    return Jsonb(orjson.Fragment(dumps(value)))


def _text(value: Any) -> Any:
    if isinstance(value, Jsonb):
        return value.obj
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds()} seconds"
    return rf"\x{value.hex()}" if isinstance(value, bytes) else str(value)
