"""Identifiers that sort by time of birth."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, 12 of the part of one (6.2, method 3), then randomness.

    What one process makes in a row sorts in that order: rows that are written together are read as they were written."""
    return _written(os.urandom(8).hex())


def new_ids(count: int) -> list[str]:
    """As many at once, in their order: the kernel is asked for chance once."""
    chance = os.urandom(8 * count).hex()
    return [_written(chance[begin : begin + 16]) for begin in range(0, 16 * count, 16)]


def _written(chance: str) -> str:
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    moment, part = f"{milliseconds:012x}", f"{rest * 4096 // 1_000_000:03x}"
    variant = "89ab"[int(chance[0], 16) & 3]
    return f"{moment[:8]}-{moment[8:]}-7{part}-{variant}{chance[1:4]}-{chance[4:]}"


def born(identifier: str) -> float | None:
    """Seconds since the epoch at which a UUIDv7 was made; None for other UUIDs."""
    return int(identifier[:8] + identifier[9:13], 16) / 1000 if identifier[14:15] == "7" else None


def is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
