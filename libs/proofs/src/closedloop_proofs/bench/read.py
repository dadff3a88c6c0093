"""One read under load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Read:
    """An RPC with one request and one caller; its answer has `lines` entries, or something is wrong."""

    name: str
    method: str
    request: bytes
    token: str
    lines: int
