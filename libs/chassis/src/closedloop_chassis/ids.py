"""Identifiers that sort by time of birth."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then randomness."""
    moment, chance = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10).hex()
    variant = "89ab"[int(chance[3], 16) & 3]
    return f"{moment[:8]}-{moment[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[7:19]}"


def born(identifier: str) -> float | None:
    """Seconds since the epoch at which a UUIDv7 was made; None for other UUIDs."""
    return int(identifier[:8] + identifier[9:13], 16) / 1000 if identifier[14:15] == "7" else None


def is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
