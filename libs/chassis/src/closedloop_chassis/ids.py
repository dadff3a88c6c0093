"""Identifiers that sort by time of birth."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then randomness."""
    value = int.from_bytes(os.urandom(10)) | (time.time_ns() // 1_000_000) << 80
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    value = value & ~(0xC000 << 48) | 0x8000 << 48
    return str(uuid.UUID(int=value))


def born(identifier: str) -> float | None:
    """Seconds since the epoch at which a UUIDv7 was made; None for other UUIDs."""
    return int(identifier[:8] + identifier[9:13], 16) / 1000 if identifier[14:15] == "7" else None


def is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
