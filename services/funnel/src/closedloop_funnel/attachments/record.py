"""A stored file, as Python and SQL hold it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One row of `attachment`; `picture` None: not an image."""

    id: str
    sha256: bytes
    file_name: str
    content_type: str
    size_bytes: int
    author_id: str
    unit_id: str
    uploaded_at: datetime
    taken_at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    device: str = ""
    software: str = ""
    width: int | None = None
    height: int | None = None
    picture: int | None = None
